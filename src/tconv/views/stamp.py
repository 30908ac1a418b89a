"""The stamp, and the two other maps on the same windows.

Input i has the window of full outputs i*s, i*s + d, ..., i*s + d(k-1).  `scatter` adds x[i] * kernel to the
window, `gather` sums kernel * window into x[i], and `correlate` sums x[i] * window into the kernel: the
three partial derivatives of one trilinear form, sum over i and t of x[i] * kernel[t] * y[i*s + t*d - lo].
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tconv.arguments import checked
from tconv.geometry import Geometry
from tconv.views.arrays import Array, at, crop, expect, full_size, split_channels, split_weight, uncrop

__all__ = ["correlate", "gather", "scatter"]


def _windows(geometry: Geometry) -> Iterator[tuple[Any, Any]]:
    """Each input position, and its window in the full output."""
    for position in np.ndindex(*geometry.input):
        window = (
            slice(i * s, i * s + d * (k - 1) + 1, d)
            for i, k, s, d in zip(position, geometry.kernel, geometry.stride, geometry.dilation, strict=True)
        )
        yield at(*position), at(*window)


@checked
def scatter(x: npt.ArrayLike, weight: npt.ArrayLike, geometry: Geometry) -> Array:
    """Transposed convolution as a stamp: every input adds its multiple of the kernel to its window.

    `x` (n, c_in, *input), `weight` (c_in, c_out/g, *kernel) -> (n, c_out, *output).
    """
    x_ = split_channels(expect("x", x, geometry.input_shape, geometry), geometry)
    weight_ = split_weight(expect("weight", weight, geometry.weight_shape, geometry), geometry)
    full = np.zeros(
        (geometry.batch, geometry.out_channels, *full_size(geometry)), np.result_type(x_, weight_)
    )
    stamps = split_channels(full, geometry)  # a view of the same memory
    for position, window in _windows(geometry):
        stamps[window] += np.einsum("ngc,gcm...->ngm...", x_[position], weight_)
    return crop(full, geometry)


@checked
def gather(y: npt.ArrayLike, weight: npt.ArrayLike, geometry: Geometry) -> Array:
    """The convolution whose transpose `scatter` is: every window, times the kernel, is summed into its input.

    `y` (n, c_out, *output), `weight` (c_in, c_out/g, *kernel) -> (n, c_in, *input): the adjoint map,
    which is also the gradient of the transposed layer's input.  Never conjugates.
    """
    weight_ = split_weight(expect("weight", weight, geometry.weight_shape, geometry), geometry)
    full = uncrop(expect("y", y, geometry.output_shape, geometry), geometry)
    stamps = split_channels(full, geometry)
    x = np.zeros(geometry.input_shape, np.result_type(full, weight_))
    x_ = split_channels(x, geometry)
    kernel = "xyz"[: geometry.axes]
    for position, window in _windows(geometry):
        x_[position] = np.einsum(f"ngm{kernel},gcm{kernel}->ngc", stamps[window], weight_)
    return x


@checked
def correlate(x: npt.ArrayLike, y: npt.ArrayLike, geometry: Geometry) -> Array:
    """The gradient of the weights: every input, times its window, is summed into the kernel.

    `x` (n, c_in, *input), `y` (n, c_out, *output) -> (c_in, c_out/g, *kernel).  With `y` the gradient of
    the output it is the transposed layer's weight gradient; with `x` the gradient it is the convolution's.
    Never conjugates.
    """
    x_ = split_channels(expect("x", x, geometry.input_shape, geometry), geometry)
    full = uncrop(expect("y", y, geometry.output_shape, geometry), geometry)
    stamps = split_channels(full, geometry)
    weight = np.zeros(geometry.weight_shape, np.result_type(x_, full))
    weight_ = split_weight(weight, geometry)
    for position, window in _windows(geometry):
        weight_ += np.einsum("ngc,ngm...->gcm...", x_[position], stamps[window])
    return weight
