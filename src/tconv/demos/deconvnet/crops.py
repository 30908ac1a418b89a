"""What the network sees: crops of natural pictures, halved in size, their contrast normalised."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tconv.demos.pictures import gray
from tconv.ops import conv

__all__ = ["TEST", "TRAINING", "VALIDATION", "drawn", "normalised", "part"]

Array = npt.NDArray[Any]

TRAINING = ("astronaut", "brick", "chelsea", "coffee")

#: Picture and corner of the crop that choices are made with, and of those that only results come from.
VALIDATION = ("coins", 20, 60)
TEST = (("camera", 40, 80), ("rocket", 112, 85))


def drawn(side: int, each: int, seed: int) -> Array:
    """`each` square crops of every training picture, at places that `seed` determines: (n, 1, side, side)."""
    draw = np.random.default_rng(seed)
    crops = []
    for name in TRAINING:
        whole = normalised(_halved(gray(name)))
        for _ in range(each):
            row, column = (int(draw.integers(0, size - side + 1)) for size in whole.shape)
            crops.append(whole[row : row + side, column : column + side])
    return np.stack(crops)[:, None]


def part(name: str, row: int, column: int, side: int) -> Array:
    """The crop of a picture with this corner, (1, 1, side, side)."""
    whole = normalised(_halved(gray(name)))
    return np.ascontiguousarray(whole[None, None, row : row + side, column : column + side])


def normalised(picture: Array, width: float = 4.0) -> Array:
    """A picture (h, w) without its local mean, divided by its local deviation, as float32.

    Local means are Gaussian, with a standard deviation of `width` pixels. Where the deviation is below its
    mean over the picture, that mean divides, so that flat parts do not become noise.
    """
    centred = picture - _blurred(picture, width)
    deviation = np.sqrt(np.maximum(_blurred(centred**2, width), 0))
    floor = max(float(deviation.mean()), 1e-6)
    return np.asarray(centred / np.maximum(deviation, floor), np.float32)


def _blurred(picture: Array, width: float) -> Array:
    reach = int(3 * width)
    line = np.exp(-np.square(np.arange(-reach, reach + 1) / width) / 2)
    line /= line.sum()
    edged = np.pad(picture.astype(np.float64), reach, mode="symmetric")[None, None]
    rows = conv(edged, line.reshape(1, 1, -1, 1))
    blurred: Array = conv(rows, line.reshape(1, 1, 1, -1))[0, 0]
    return blurred


def _halved(picture: Array) -> Array:
    """Means of 2x2 pixels, so that a filter of 7x7 sees edges and not only slopes."""
    height, width = (size // 2 for size in picture.shape)
    squares = picture[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    return np.asarray(squares.mean(axis=(1, 3)))


def signal_to_noise(truth: Array, other: Array) -> float:
    """10 log10(|truth|^2 / |other - truth|^2), in dB."""
    wide = truth.astype(np.float64)
    return float(10 * np.log10(np.sum(wide**2) / np.sum((other - wide) ** 2)))
