"""Helpers of the views: arrays of the right shape, channel groups, and the crop."""

from __future__ import annotations

from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError
from tconv.geometry import Geometry

__all__ = ["Array", "at", "crop", "expect", "full_size", "mix", "split_channels", "split_weight", "uncrop"]

Array: TypeAlias = npt.NDArray[Any]


def at(*entries: object) -> Any:
    """The index of the last axes: `array[at(a, b)]` is `array[..., a, b]`."""
    return (..., *entries)


def expect(name: str, array: npt.ArrayLike, shape: tuple[int, ...], geometry: Geometry) -> Array:
    """`array` as an ndarray, refused unless it has the shape that the geometry gives it."""
    given = np.asarray(array)
    if given.shape != shape:
        raise TconvError(f"{geometry}: {name} has shape {given.shape}; {shape} would fit")
    return given


def split_channels(array: Array, geometry: Geometry) -> Array:
    """(n, c, ...) as (n, groups, c/groups, ...)."""
    batch, channels, *spatial = array.shape
    return array.reshape(batch, geometry.groups, channels // geometry.groups, *spatial)


def split_weight(weight: Array, geometry: Geometry) -> Array:
    """(c_in, c_out/groups, *kernel) as (groups, c_in/groups, c_out/groups, *kernel)."""
    channels = geometry.in_channels // geometry.groups
    return weight.reshape(geometry.groups, channels, *weight.shape[1:])


def mix(x: Array, tap: Array, geometry: Geometry) -> Array:
    """One tap (c_in, c_out/groups) applied at every position: (n, c_in, *any) -> (n, c_out, *any)."""
    positions = split_channels(x.reshape(*x.shape[:2], prod(x.shape[2:])), geometry)
    # (g, c_out/g, c_in/g) times (n, g, c_in/g, positions)
    result: Array = np.matmul(split_weight(tap, geometry).transpose(0, 2, 1), positions)
    return result.reshape(x.shape[0], geometry.out_channels, *x.shape[2:])


def full_size(geometry: Geometry) -> tuple[int, ...]:
    """Spatial sizes before cropping: (i-1)s + d(k-1) + 1, everything that the taps can reach."""
    axes = zip(geometry.input, geometry.kernel, geometry.stride, geometry.dilation, strict=True)
    return tuple((i - 1) * s + d * (k - 1) + 1 for i, k, s, d in axes)


def _overlap(geometry: Geometry) -> tuple[Any, Any]:
    """The part that the full output and the cropped one have in common, as slices of each."""
    full, cropped = [], []
    for size, output, (lo, _) in zip(full_size(geometry), geometry.output, geometry.padding, strict=True):
        start, stop = max(lo, 0), min(size, lo + output)
        full.append(slice(start, max(start, stop)))
        cropped.append(slice(start - lo, max(start, stop) - lo))
    return at(*full), at(*cropped)


def crop(full: Array, geometry: Geometry) -> Array:
    """Crop the padding from the full output; negative padding and output padding add zeros."""
    taken, placed = _overlap(geometry)
    y = np.zeros((*full.shape[: -geometry.axes], *geometry.output), full.dtype)
    y[placed] = full[taken]
    return y


def uncrop(y: Array, geometry: Geometry) -> Array:
    """The adjoint of `crop`: put `y` back into the full output, with zeros where it was cropped."""
    placed, taken = _overlap(geometry)
    full = np.zeros((*y.shape[: -geometry.axes], *full_size(geometry)), y.dtype)
    full[placed] = y[taken]
    return full
