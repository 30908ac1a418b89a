"""Fashion-MNIST, padded to 32x32 pixels, from Debian's package; or a folder of the same kind of files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tconv.demos.dcgan.idx import digest, read_idx
from tconv.errors import TconvError

__all__ = ["SIZE", "Clothes", "open_data"]

Bytes = npt.NDArray[np.uint8]

#: Pixels along each axis, after padding with zeros.
SIZE = 32

#: The files of Fashion-MNIST, and their SHA-256.
FILES = {
    "train-images-idx3-ubyte": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}

CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip

INSTALLED = "usr/share/datasets/fashion-mnist"

#: The fewest pictures to train on: a few batches.
FEWEST = 64


@dataclass(frozen=True)
class Clothes:
    """Gray pictures (n, 32, 32) of bytes with a class each, to train on and to compare with."""

    name: str
    classes: tuple[str, ...]
    train: Bytes
    train_labels: Bytes
    test: Bytes
    test_labels: Bytes


def open_data(folder: Path | None = None) -> Clothes:
    """The four files of `folder`, or Fashion-MNIST where Debian's package or the commands below put it.

    Without a folder the files must be those of Fashion-MNIST, byte for byte.

    Raises:
        TconvError: the files are not there, or are no pictures of up to 32x32 pixels with a label each.
    """
    found = _default() if folder is None else folder
    paths = {name: _path(found, name) for name in FILES}
    known = all(digest(path) == FILES[name] for name, path in paths.items())
    if folder is None and not known:
        raise TconvError(
            f"{found}: these are not the files of Fashion-MNIST (SHA-256 differs); --data reads others"
        )
    parts = [_part(paths[f"{part}-images-idx3-ubyte"], paths[f"{part}-labels-idx1-ubyte"])
             for part in ("train", "t10k")]  # fmt: skip
    (train, train_labels), (test, test_labels) = parts
    count = int(max(train_labels.max(), test_labels.max())) + 1
    if len(train) < FEWEST or len(test) < FEWEST or count < 2:
        raise TconvError(
            f"{found}: {len(train)} and {len(test)} pictures of {count} classes; "
            f"at least {FEWEST} in each part, of two classes, would fit"
        )
    classes = CLASSES if known else tuple(map(str, range(count)))
    name = "Fashion-MNIST" if known else found.absolute().name
    return Clothes(name, classes, train, train_labels, test, test_labels)


def cache() -> Path:
    """The folder into which the commands unpack the data."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "tconv"


def _default() -> Path:
    places = (Path("/") / INSTALLED, cache() / INSTALLED)
    for place in places:
        if place.is_dir():
            return place
    raise TconvError(
        "Fashion-MNIST is not on this machine; get it with: apt-get download dataset-fashion-mnist && "
        f"dpkg -x dataset-fashion-mnist_*.deb {cache()}  (or give --data FOLDER)"
    )


def _path(folder: Path, name: str) -> Path:
    paths = [folder / f"{name}.gz", folder / name]
    for path in paths:
        if path.exists():
            return path
    raise TconvError(f"{folder} has no {name}.gz; the four files of MNIST or Fashion-MNIST would fit")


def _part(images: Path, labels: Path) -> tuple[Bytes, Bytes]:
    """Pictures, padded around to 32x32, and their labels."""
    pictures, classes = read_idx(images, 3), read_idx(labels, 1)
    count, *sizes = pictures.shape
    if len(classes) != count:
        raise TconvError(f"{labels} has {len(classes)} labels for {count} pictures of {images.name}")
    if max(sizes) > SIZE:
        raise TconvError(f"{images}: pictures of {'x'.join(map(str, sizes))}; up to {SIZE}x{SIZE} would fit")
    around = [((SIZE - size) // 2, SIZE - size - (SIZE - size) // 2) for size in sizes]
    return np.pad(pictures, ((0, 0), *around)), classes
