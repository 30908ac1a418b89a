"""Zero insertion: the same output from a convolution with stride 1 (Dumoulin & Visin 2016, chapter 4)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tconv.arguments import checked
from tconv.geometry import Geometry
from tconv.views.arrays import Array, at, expect, split_channels, split_weight

__all__ = ["zeros"]


def insert(x: Array, between: tuple[int, ...]) -> Array:
    """Insert `between[a]` zeros between neighbours along spatial axis a."""
    sizes = ((size - 1) * (gap + 1) + 1 for size, gap in zip(x.shape[2:], between, strict=True))
    spread = np.zeros((*x.shape[:2], *sizes), x.dtype)
    spread[at(*(slice(None, None, gap + 1) for gap in between))] = x
    return spread


def pad(x: Array, around: tuple[tuple[int, int], ...]) -> Array:
    """Put zeros before and after along each spatial axis; negative numbers crop."""
    outward = [(max(lo, 0), max(hi, 0)) for lo, hi in around]
    sizes = [lo + size + hi for size, (lo, hi) in zip(x.shape[2:], outward, strict=True)]
    padded = np.zeros((*x.shape[:2], *sizes), x.dtype)  # np.pad's zeros among exact integers are 64 bits wide
    padded[at(*(slice(lo, lo + size) for size, (lo, _) in zip(x.shape[2:], outward, strict=True)))] = x
    kept = (
        slice(max(-lo, 0), size - max(-hi, 0))
        for size, (lo, hi) in zip(padded.shape[2:], around, strict=True)
    )
    return np.asarray(padded[at(*kept)])


@checked
def zeros(x: npt.ArrayLike, weight: npt.ArrayLike, geometry: Geometry) -> Array:
    """Transposed convolution by zero insertion, padding, and sliding the kernel turned by 180 degrees.

    `x` (n, c_in, *input), `weight` (c_in, c_out/g, *kernel) -> (n, c_out, *output).
    """
    recipe = geometry.zero_insertion()
    spatial = tuple(range(-geometry.axes, 0))
    image = pad(insert(expect("x", x, geometry.input_shape, geometry), recipe.between), recipe.around)
    turned = np.flip(expect("weight", weight, geometry.weight_shape, geometry), spatial)

    reach = tuple(d * (k - 1) + 1 for k, d in zip(geometry.kernel, recipe.dilation, strict=True))
    dilated = tuple(slice(None, None, d) for d in recipe.dilation)
    windows = np.lib.stride_tricks.sliding_window_view(image, reach, axis=spatial)[at(*dilated)]

    # For each group, sum over its input channels (axis 1 of the windows, 0 of the weights) and over the taps.
    over = ((1, *spatial), (0, *spatial))
    sums = [
        np.tensordot(channels, kernels, over)  # (n, *output, c_out/g)
        for channels, kernels in zip(
            np.moveaxis(split_channels(windows, geometry), 1, 0), split_weight(turned, geometry), strict=True
        )
    ]
    return np.ascontiguousarray(np.moveaxis(np.concatenate(sums, axis=-1), -1, 1))
