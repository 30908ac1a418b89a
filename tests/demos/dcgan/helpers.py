"""A tiny data set in IDX files, for the tests of the generators: bright squares and bars on black."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

NAMES = {"train": 160, "t10k": 96}


def idx(values: np.ndarray) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def shapes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 28, 28) and labels: a bar that stands, one that lies, a square."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, count).astype(np.uint8)
    pictures = np.zeros((count, 28, 28), np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        top, left = draw.integers(3, 8, 2)
        height, width = ((18, 6), (6, 18), (14, 14))[label]
        picture[top : top + height, left : left + width] = draw.integers(120, 256)
    return pictures, labels


def write(folder: Path, *, zipped: bool = True) -> Path:
    """Write the four files."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (part, count) in enumerate(NAMES.items()):
        pictures, labels = shapes(count, seed)
        for kind, values in (("images-idx3", pictures), ("labels-idx1", labels)):
            data = idx(values)
            name = f"{part}-{kind}-ubyte"
            (folder / f"{name}.gz" if zipped else folder / name).write_bytes(
                gzip.compress(data) if zipped else data
            )
    return folder
