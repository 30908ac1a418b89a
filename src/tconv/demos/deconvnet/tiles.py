"""Gray pictures of the report: values around 0, which is middle gray."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tconv.nets.sparse_layer import Array
from tconv.runs.figures import png_uri

__all__ = ["filters", "filters_picture", "mosaic", "shown"]

_SIDE = 91  # pixels of an enlarged filter: 13 times 7, 7 times 13

Bytes = npt.NDArray[np.uint8]


def filters_picture(first: Array, second: Array) -> Bytes:
    """The filters of layer 1 over what those of layer 2 paint, (n, h, w) each, on white."""
    upper, lower = (filters(each, len(first)) for each in (first, second))
    width = max(upper.shape[1], lower.shape[1])
    made = np.full((len(upper) + 24 + len(lower), width), 255, np.uint8)
    made[: len(upper), : upper.shape[1]] = upper
    made[-len(lower) :, : lower.shape[1]] = lower
    return made


def filters(tiles: Array, across: int) -> Bytes:
    """`mosaic` of filters, enlarged so that those of all layers are about equally large."""
    scale = max(1, round(_SIDE / tiles.shape[-1]))
    return mosaic(np.kron(tiles, np.ones((1, scale, scale))), across, gap=4)


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
