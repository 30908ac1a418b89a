"""The frequency response of a filter, and its gain at the spectral images that a stride makes.

A transposed convolution of stride s puts s - 1 zeros between its inputs and filters the result.  The zeros
repeat the input's spectrum s times: besides the copy around frequency 0 there are s - 1 images, around m/s
cycles per sample for m = 1 .. s - 1 (Vaidyanathan 1993, Multirate Systems and Filter Banks, section 4.1: the
expanded signal has the transform X(z^s)).  The filter should pass the first and suppress the others.  An
image at m/s of a constant input that is not suppressed is a pattern of period s: a checkerboard.

With several axes, images lie around (m_1/s_1, m_2/s_2, ...) other than 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError
from tconv.geometry.normalize import PerAxis, per_axis

__all__ = ["frequencies", "frequency_response", "image_gains"]

Array: TypeAlias = npt.NDArray[Any]


def frequencies(samples: int = 65) -> npt.NDArray[np.float64]:
    """`samples` frequencies from -1/2 to 1/2 cycles per sample, both ends included.

    >>> frequencies(5)
    array([-0.5 , -0.25,  0.  ,  0.25,  0.5 ])
    """
    if samples < 2:
        raise TconvError(f"samples={samples}; at least 2 would fit")
    return np.linspace(-0.5, 0.5, samples)


def frequency_response(
    filters: npt.ArrayLike, samples: int = 65, *, axes: int | None = None, dilation: PerAxis = 1
) -> npt.NDArray[np.complex128]:
    """H(f) = sum over taps t of w[t] exp(-2 pi i f d t), at `frequencies(samples)` along each axis.

    The last `axes` axes of `filters` are those of the kernel (all, if not given); shape (..., *kernel)
    becomes (..., samples, ..., samples).  It is the Fourier transform of the kernel dilated by d.

    >>> np.abs(frequency_response([1, 2, 1], 5)).round(6)  # 2 + 2 cos(2 pi f)
    array([0., 2., 4., 2., 0.])
    """
    weights, kernel = _filters(filters, axes)
    waves = [
        np.exp(-2j * np.pi * d * np.outer(frequencies(samples), np.arange(k)))
        for k, d in zip(kernel, per_axis("dilation", dilation, len(kernel)), strict=True)
    ]
    return _along_axes(waves, weights)


def image_gains(filters: npt.ArrayLike, stride: Sequence[int], *, dilation: PerAxis = 1) -> Array:
    """|H(m/s)|: the gain of a constant input at each image; entry 0 is the gain at frequency 0.

    `stride` has one entry for each of the last axes of `filters`; shape (..., *kernel) becomes
    (..., *stride).  With equal gains of the phases all other entries are 0.

    >>> image_gains([1, 1, 1], [2])  # phases with sums 2 and 1: their sum and their difference
    array([3., 1.])
    >>> image_gains([0.25, 0.75, 0.75, 0.25], [2]).round(6)
    array([2., 0.])
    """
    weights, kernel = _filters(filters, len(stride))
    strides = per_axis("stride", tuple(stride), len(kernel))
    _positive("stride", strides)
    waves = [
        np.exp(-2j * np.pi * (d * np.outer(np.arange(s), np.arange(k)) % s) / s)
        for k, s, d in zip(kernel, strides, per_axis("dilation", dilation, len(kernel)), strict=True)
    ]
    return np.abs(_along_axes(waves, weights))


def _filters(filters: npt.ArrayLike, axes: int | None) -> tuple[Array, tuple[int, ...]]:
    """The filters in double precision, and the shape of their kernels."""
    weights = np.asarray(filters)
    rank = weights.ndim if axes is None else axes
    if not 1 <= rank <= weights.ndim or weights.size == 0 or weights.dtype.kind not in "biufc":
        raise TconvError(
            f"filters of shape {weights.shape} and dtype {weights.dtype}; "
            f"numbers with at least {max(rank, 1)} axes, none of length 0, would fit"
        )
    if not np.isfinite(weights).all():
        bad = np.count_nonzero(~np.isfinite(weights))
        raise TconvError(
            f"filters of shape {weights.shape}: {bad} values are NaN or infinite; finite ones would fit"
        )
    exact = weights.astype(np.complex128 if weights.dtype.kind == "c" else np.float64)
    return exact, exact.shape[exact.ndim - rank :]


def _positive(name: str, values: Sequence[int]) -> None:
    if min(values) < 1:
        raise TconvError(f"{name}={tuple(values)}; at least 1 on each axis would fit")


def _along_axes(matrices: Sequence[Array], weights: Array) -> Array:
    """Each matrix applied along the matching one of the last axes."""
    first = weights.ndim - len(matrices)
    for axis, matrix in enumerate(matrices, first):
        weights = np.moveaxis(np.tensordot(matrix, weights, axes=(1, axis)), 0, axis)
    return weights
