"""Class names and label pictures, from files to class indices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError, clean
from tconv.files import check_file
from tconv.train.pictures import IGNORED, Label, read_pixels

__all__ = ["Labelling", "read_classes"]

Colour = tuple[int, int, int]

_PALE = "ignored"
"""The name of colours in classes.txt that are no class."""


@dataclass(frozen=True)
class Labelling:
    """How the pixels of label pictures become class indices.

    Without ``colours`` a pixel is a class index, and the value ``ignore`` means *ignored*; None stands for
    the number of classes and 255. With one colour per class a pixel is one of them, or one of ``pale``,
    which are ignored.
    """

    classes: tuple[str, ...]
    colours: tuple[Colour, ...] = ()
    pale: tuple[Colour, ...] = ()
    ignore: int | None = None

    @property
    def ignored(self) -> tuple[int, ...]:
        """The values that are ignored in labels of class indices."""
        return (len(self.classes), IGNORED) if self.ignore is None else (self.ignore,)

    def read(self, path: Path) -> Label:
        """Read a label picture, upright: uint8 class indices (height, width), `IGNORED` where ignored.

        Raises:
            TconvError: the file is not a label picture, or a pixel is no class (named, with its position).
        """
        return self._of_colours(path) if self.colours else self._of_indices(path)

    def values(self, path: Path) -> set[int]:
        """The values in a label of class indices."""
        return set(np.unique(_indices(path)).tolist())

    def _of_indices(self, path: Path) -> Label:
        values, count = _indices(path), len(self.classes)
        ignored = np.isin(values, self.ignored)
        wrong = ((values < 0) | (values >= count)) & ~ignored
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            left_out = " and ".join(map(str, self.ignored)) + (" is" if len(self.ignored) == 1 else " are")
            raise TconvError(
                f"{path}: label {values[row, column]} at row {row}, column {column} is outside the {count}"
                f" classes; 0 to {count - 1} fit, {left_out} ignored"
            )
        return np.where(ignored, IGNORED, values).astype(np.uint8)

    def _of_colours(self, path: Path) -> Label:
        _, pixels = read_pixels(path, _as_rgb)
        codes = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        known = np.array([(r << 16) + (g << 8) + b for r, g, b in (*self.colours, *self.pale)], np.uint32)
        meaning = np.array([*range(len(self.colours)), *[IGNORED] * len(self.pale)], np.uint8)
        order = known.argsort()
        place = np.searchsorted(known[order], codes).clip(max=len(known) - 1)
        wrong = known[order][place] != codes
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            colour = " ".join(map(str, pixels[row, column].tolist()))
            raise TconvError(
                f"{path}: colour {colour} at row {row}, column {column} is not in classes.txt; a line"
                f" 'NAME {colour}' makes it a class, '{_PALE} {colour}' leaves it out"
            )
        found: Label = meaning[order][place]
        return found


def read_classes(path: Path, ignore: int | None = None) -> Labelling:
    """Read ``classes.txt``: one class per line, ``name`` or ``name r g b``.

    Raises:
        TconvError: no readable text, fewer than 2 or more than 255 classes, a name or colour that occurs
            twice, colours in some lines only, or ``ignore`` where labels are colours.
    """
    check_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise TconvError(
            f"{path.parent}: no readable classes.txt (one class name per line): {fault}"
        ) from fault
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [_coloured(path, line) for line in lines]
    coloured = [entry for entry in found if entry is not None]
    if coloured and len(coloured) < len(lines):
        bare = lines[found.index(None)]
        raise TconvError(f"{path}: {clean(bare)!r} has no colour, but others have; 'name r g b' fits")
    classes = [(name, colour) for name, colour in coloured if name != _PALE]
    names = tuple(name for name, _ in classes) if coloured else tuple(lines)
    if not 2 <= len(names) <= 255:
        raise TconvError(f"{path}: {len(names)} classes; 2 to 255 fit")
    if len(set(names)) < len(names):
        raise TconvError(f"{path}: a class name occurs twice")
    if len({colour for _, colour in coloured}) < len(coloured):
        raise TconvError(f"{path}: a colour occurs twice")
    if coloured and ignore is not None:
        raise TconvError(f"ignore={ignore}: {path} gives colours; a line '{_PALE} r g b' leaves one out")
    pale = tuple(colour for name, colour in coloured if name == _PALE)
    return Labelling(names, tuple(colour for _, colour in classes), pale, ignore)


def _coloured(path: Path, line: str) -> tuple[str, Colour] | None:
    """The name and the colour in a line; None if it does not end in three numbers."""
    name, *parts = line.rsplit(None, 3)
    if len(parts) < 3 or not all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts):
        return None
    r, g, b = map(int, parts)
    if max(r, g, b) > 255:
        raise TconvError(f"{path}: {clean(line)!r}: a colour is three numbers from 0 to 255")
    return name, (r, g, b)


def _as_rgb(image: Any) -> Any:
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise ValueError(f"mode {image.mode} has no colours")
    return image.convert("RGB")


def _indices(path: Path) -> npt.NDArray[Any]:
    mode, values = read_pixels(path)
    if values.ndim != 2 or values.dtype.kind not in "bui":
        raise TconvError(
            f"{path}: a label has one class index per pixel (gray or palette), this is {mode};"
            " for colours, lines 'name r g b' in classes.txt would fit"
        )
    return values
