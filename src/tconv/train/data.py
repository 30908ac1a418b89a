"""Labelled pictures: a folder of them, or a data set that is built in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

from tconv.documents import counted, named
from tconv.errors import TconvError, unknown
from tconv.train.labels import read_classes
from tconv.train.pictures import IGNORED, Label, Picture, read_picture, size_of, to_channels

__all__ = ["BUILT_IN", "Data", "Kept", "Split", "open_data", "statistics"]

BUILT_IN = ("brain",)
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg")


class Split(Protocol):
    """The labelled pictures of one split, in a fixed order.

    ``split[i]`` is a picture, float32 (height, width, channels) in 0..1, and its label, uint8 (height,
    width).
    """

    @property
    def names(self) -> Sequence[str]:
        """The name of each picture."""

    def __getitem__(self, index: int, /) -> tuple[Picture, Label]: ...

    def __len__(self) -> int: ...


class Data(Protocol):
    """A data set: names for its classes, 1 or 3 channels, and splits such as ``train``, ``val``, ``test``."""

    @property
    def name(self) -> str:
        """The name or folder by which the data set was opened."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class index."""

    @property
    def colours(self) -> tuple[tuple[int, int, int], ...]:
        """The colour of each class in labels; none where labels hold class indices."""

    @property
    def channels(self) -> int:
        """1 for gray pictures, 3 for RGB."""

    def split(self, name: str) -> Split:
        """The labelled pictures of one split."""


def open_data(name: str | Path, *, ignore: int | None = None) -> Data:
    """Open a folder of labelled pictures, or a built-in data set by its name.

    A folder holds ``classes.txt`` (one class per line: ``name``, or ``name r g b`` if labels are coloured)
    and, for each split, ``SPLIT/images`` (PNG or JPEG, gray or RGB, any sizes) and ``SPLIT/labels`` (a PNG of
    the same stem and size). A pixel of a label is a class index, and ``ignore`` is ignored (None: the number
    of classes, and 255); or it is the colour of a class, and colours of the name ``ignored`` are ignored.

    Raises:
        TconvError: neither a folder nor a built-in name, the folder lacks what is described above, or
            ``ignore`` does not fit.

    >>> open_data("brian")
    Traceback (most recent call last):
    ...
    tconv.errors.TconvError: data 'brian' is unknown as a folder or a built-in data set; did you mean 'brain'?
    """
    if ignore is not None and (type(ignore) is not int or not 0 <= ignore <= IGNORED):
        raise TconvError(f"ignore={ignore!r:.60}: must be an int from 0 to {IGNORED}")
    path = Path(name)
    if str(name) in BUILT_IN and not path.is_dir():
        from tconv.train.brain import Brain

        if ignore is not None:
            raise TconvError(f"ignore={ignore}: data {name!r} ignores no pixels; leave it out")
        return Brain()
    if path.is_dir():
        return Folder(path, ignore)
    raise unknown("data", str(name), BUILT_IN, " as a folder or a built-in data set")


class Folder:
    """Labelled pictures in a folder; see `open_data` for what it holds."""

    def __init__(self, path: Path, ignore: int | None = None) -> None:
        self.name = str(path)
        self.path = path
        self.labelling = read_classes(path / "classes.txt", ignore)
        self.classes = self.labelling.classes
        self.colours = self.labelling.colours
        self.channels = 1 if self._all_gray() else 3

    def splits(self) -> list[str]:
        """The names of the existing splits."""
        return sorted(p.parent.name for p in self.path.glob("*/images") if not p.parent.name.startswith("."))

    def split(self, name: str) -> FolderSplit:
        """The labelled pictures of one split, sorted by name.

        Raises:
            TconvError: no such split, no pictures in it, a picture without label, or sizes that differ.
        """
        if name not in self.splits():
            there = ", ".join(self.splits()) or "none"
            raise TconvError(f"{self.name}: no split {name!r} ({name}/images is missing); there are: {there}")
        return FolderSplit(self, name)

    def _all_gray(self) -> bool:
        names = self.splits()
        folders = [self.path / name / "images" for name in (["train"] if "train" in names else names)]
        files = [f for folder in folders for f in _listed(folder) if f.suffix.lower() in PICTURE_ENDINGS]
        return bool(files) and all(size_of(f)[2] for f in files)


class FolderSplit:
    """One split of a folder; sizes are compared when it is opened, values when a label is read."""

    def __init__(self, folder: Folder, name: str) -> None:
        root = folder.path / name
        self.labelling, self.channels = folder.labelling, folder.channels
        found = _listed(root / "images")
        self.images = [f for f in found if f.suffix.lower() in PICTURE_ENDINGS]
        if not self.images:
            raise TconvError(f"{root / 'images'}: no pictures ({', '.join(PICTURE_ENDINGS)}) in this folder")
        self.labels = [root / "labels" / f"{image.stem}.png" for image in self.images]
        self.names = [image.stem for image in self.images]
        for one, two in pairwise(sorted(self.images, key=lambda image: image.stem)):
            if one.stem == two.stem:
                raise TconvError(
                    f"{one}: {two.name} has the same label; pictures of different stems would fit"
                )
        others = [f for f in found if f not in set(self.images)]
        alone = [f for f in _listed(root / "labels") if f not in set(self.labels)]
        self.left_out = [
            f"{root / kind}: {counted(len(files), 'file')} left out, {why}: {named([f.name for f in files])}"
            for kind, files, why in (
                ("images", others, f"not {', '.join(PICTURE_ENDINGS)}"),
                ("labels", alone, "no picture of the same stem"),
            )
            if files
        ]
        """What is there and not used, one line for each kind."""
        for image, label in zip(self.images, self.labels, strict=True):
            if not label.exists():
                raise TconvError(f"{image}: its label {label} is missing")
            (height, width, _), (rows, columns, _) = size_of(image), size_of(label)
            if (height, width) != (rows, columns):
                raise TconvError(
                    f"{image} is {width}x{height}, but its label {label} is {columns}x{rows}; equal sizes fit"
                )

    def __len__(self) -> int:
        return len(self.images)

    def values(self) -> set[int]:
        """The values in the split's labels, where they are class indices."""
        return set().union(*map(self.labelling.values, self.labels))

    def __getitem__(self, index: int) -> tuple[Picture, Label]:
        picture = to_channels(read_picture(self.images[index]), self.channels)
        return picture, self.labelling.read(self.labels[index])


class Kept:
    """A split whose pictures are decoded once and then kept in memory, in bytes, up to `most` of these.

    What does not fit in bytes, such as 16-bit pictures, is read again each time.
    """

    def __init__(self, split: Split, most: int = 2**30) -> None:
        self.split, self.left = split, most
        self._kept: dict[int, tuple[Label, Label]] = {}

    @property
    def names(self) -> Sequence[str]:
        return self.split.names

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int, /) -> tuple[Picture, Label]:
        if index in self._kept:
            held, label = self._kept[index]
            return np.divide(held, np.float32(255), dtype=np.float32), label
        picture, label = self.split[index]
        if picture.size + label.size <= self.left:
            held = np.rint(picture * 255).astype(np.uint8)
            if np.array_equal(held / np.float32(255), picture):
                self._kept[index] = held, label
                self.left -= held.size + label.size
        return picture, label


def _listed(folder: Path) -> list[Path]:
    """What is in a folder, but hidden files, such as the ``._x.jpg`` that macOS writes beside ``x.jpg``."""
    try:
        return sorted(f for f in folder.iterdir() if not f.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as fault:
        raise TconvError(f"cannot list the folder {folder}: {fault.strerror or fault}") from fault


def statistics(split: Split, pictures: int = 64) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel, over at most ``pictures`` pictures spread evenly over the
    split."""
    step = max(1, len(split) // pictures)
    sums, squares, count = np.float64(0), np.float64(0), 0
    for index in range(0, len(split), step):
        picture = split[index][0].astype(np.float64)
        sums = sums + picture.sum((0, 1))
        squares = squares + (picture**2).sum((0, 1))
        count += picture.shape[0] * picture.shape[1]
    mean = np.atleast_1d(sums / count)
    # A split of blank pictures has no spread: keep it finite.
    deviation = np.sqrt(np.maximum(np.atleast_1d(squares / count) - mean**2, 1e-6))
    return mean.tolist(), deviation.tolist()
