"""Gray pictures of the report: values around 0, which is middle gray."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tconv.nets.sparse_layer import Array
from tconv.runs.figures import png_uri

__all__ = ["filters_picture", "mosaic", "shown"]

Bytes = npt.NDArray[np.uint8]


def filters_picture(first: Array, second: Array, *, scale: int = 5) -> Bytes:
    """The filters of layer 1 over what those of layer 2 paint, (n, h, w) each, on white."""
    upper, lower = (np.kron(mosaic(each, len(first)), np.ones((scale, scale))) for each in (first, second))
    made = np.full((len(upper) + 4 * scale + len(lower), lower.shape[1]), 255, np.uint8)
    made[: len(upper), : upper.shape[1]] = upper
    made[-len(lower) :] = lower
    return made


def mosaic(tiles: Array, across: int, *, gap: int = 1) -> Bytes:
    """Gray pictures (n, h, w) around 0 in rows of `across`, each with its own scale, black between them."""
    count, height, width = tiles.shape
    rows = -(-count // across)
    made = np.zeros((rows * (height + gap) - gap, across * (width + gap) - gap), np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // across * (height + gap), index % across * (width + gap)
        made[top : top + height, left : left + width] = _gray(tile, float(np.abs(tile).max()))
    return made


def _gray(picture: Array, largest: float) -> Bytes:
    """-largest is black, 0 middle gray, largest white."""
    share = np.clip(picture / (largest or 1.0), -1, 1)
    return np.asarray((127.5 + 127.5 * share).round(), np.uint8)


def shown(picture: Array, like: Array) -> str:
    """A contrast-normalised picture on the scale of another, as a data URI."""
    return png_uri(_gray(picture, float(np.quantile(np.abs(like), 0.995))))
