"""Labels for pictures of any size, in overlapping tiles for large ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tconv.errors import TconvError
from tconv.files import make_folder, write_aside
from tconv.train.checkpoint import load_segmenter
from tconv.train.legend import with_legend
from tconv.train.module import Segmenter
from tconv.train.palette import BLANK, palette
from tconv.train.pictures import Picture, read_picture, to_channels

__all__ = ["TILE", "Predicted", "overlay", "predict", "scores", "window"]

TILE = 1024


@dataclass(frozen=True)
class Predicted:
    """The files written for one picture, and the share of its pixels in each class."""

    image: Path
    label: Path
    overlay: Path
    probabilities: Path | None
    shares: tuple[float, ...]
    classes: tuple[str, ...]
    """The classes that were predicted somewhere."""


def predict(
    checkpoint: str | Path | Segmenter,
    images: Sequence[str | Path],
    out: str | Path,
    *,
    probabilities: bool = False,
    tile: int | None = None,
) -> Iterator[Predicted]:
    """Label pictures and write, for each, a label PNG, an overlay PNG and on request probabilities (.npy).

    Pictures are read upright, as their EXIF orientation says, and results lie over the upright picture. Below
    it, the overlay has a legend of the classes that were predicted.

    For a net trained on RGB a gray picture is repeated in each channel; for a net trained on gray pictures
    the luma of an RGB picture is taken. ``tile``: see `scores`.

    Raises:
        TconvError: not a checkpoint, an unreadable picture, two pictures of one name, or a file cannot be
        written.
    """
    paths = [Path(image) for image in images]
    stems = [path.stem for path in paths]
    for path, stem in zip(paths, stems, strict=True):
        if stems.count(stem) > 1:
            raise TconvError(
                f"{path}: another picture is called {stem}, too; their results would have the same name"
            )
    segmenter = checkpoint if isinstance(checkpoint, Segmenter) else load_segmenter(checkpoint)
    out = make_folder(Path(out))
    for path in paths:
        picture = read_picture(path)
        found = scores(segmenter, picture, tile=tile)
        yield _write(segmenter, path, picture, found, out, probabilities)


def scores(segmenter: Segmenter, picture: Picture, *, tile: int | None = None) -> Tensor:
    """Scores (classes, height, width) of a picture (height, width, 1 or 3), values 0..1.

    ``tile`` x ``tile`` pixels are computed at a time, each tile from a window that is larger by the net's
    receptive field and that starts at a multiple of its stride, so that the result is that of the whole
    picture; 0 means whole, None means `TILE`.

    Raises:
        TconvError: a negative tile.
    """
    tile = TILE if tile is None else tile
    if tile < 0:
        raise TconvError(f"tile={tile}: must be at least 1, or 0 for the whole picture")
    x = segmenter.normalisation(to_channels(picture, segmenter.in_channels)).to(segmenter.dtype)
    height, width = x.shape[1:]
    with torch.inference_mode():
        if not tile or max(height, width) <= tile:
            whole: Tensor = segmenter(x[None])[0]
            return whole
        result = x.new_empty(len(segmenter.classes), height, width)
        for rows, from_rows in _windows(segmenter, height, tile):
            for columns, from_columns in _windows(segmenter, width, tile):
                answer = segmenter(x[None, :, from_rows, from_columns])[0]
                inside = answer[:, _within(rows, from_rows), _within(columns, from_columns)]
                result[:, rows, columns] = inside
    return result


def _windows(segmenter: Segmenter, size: int, tile: int) -> Iterator[tuple[slice, slice]]:
    """Along one axis: the range that each tile computes, and the range that it reads."""
    for start in range(0, size, tile):
        part = slice(start, min(start + tile, size))
        yield part, window(segmenter, part, size)


def window(segmenter: Segmenter, part: slice, size: int) -> slice:
    """What the scores of a part of an axis are computed from, with the result of the whole axis."""
    margin, stride = segmenter.network.receptive_field, segmenter.network.total_stride
    # A window that starts at a multiple of the stride is pooled in the same cells as the whole picture.
    return slice(max(0, part.start - margin) // stride * stride, min(size, part.stop + margin))


def _within(part: slice, window: slice) -> slice:
    return slice(part.start - window.start, part.stop - window.start)


def overlay(
    picture: Picture,
    labels: npt.NDArray[np.uint8],
    classes: Sequence[str],
    colours: npt.NDArray[np.uint8] | None = None,
) -> npt.NDArray[np.uint8]:
    """A picture (height, width, 1 or 3; 0..1) under the half-transparent colours of its labels, as RGB
    bytes."""
    drawn_in = (palette(classes) if colours is None else colours)[labels].astype(np.float32)
    drawn = np.array([name.lower() not in BLANK for name in classes])[labels][:, :, None]
    base = to_channels(picture, 3) * 255
    return np.where(drawn, (base + drawn_in) / 2, base).round().astype(np.uint8)


def _write(
    segmenter: Segmenter, path: Path, picture: Picture, found: Tensor, out: Path, probabilities: bool
) -> Predicted:
    from PIL import Image

    labels = found.argmax(0).numpy().astype(np.uint8)
    indexed = Image.fromarray(labels, mode="P")
    indexed.putpalette(segmenter.colours.tobytes())
    there = np.unique(labels)
    names = [segmenter.classes[index] for index in there]
    blended = Image.fromarray(
        with_legend(
            overlay(picture, labels, segmenter.classes, segmenter.colours), names, segmenter.colours[there]
        )
    )
    files = {kind: out / f"{path.stem}-{kind}.png" for kind in ("label", "overlay")}
    for kind, image in (("label", indexed), ("overlay", blended)):
        with write_aside(files[kind]) as file:
            image.save(file, format="PNG")
    table = out / f"{path.stem}-probabilities.npy" if probabilities else None
    if table is not None:
        with write_aside(table) as file:
            np.save(file, found.softmax(0).numpy())
    counts = np.bincount(labels.ravel(), minlength=len(segmenter.classes))
    shares = tuple((counts / labels.size).tolist())
    return Predicted(path, files["label"], files["overlay"], table, shares, tuple(names))
