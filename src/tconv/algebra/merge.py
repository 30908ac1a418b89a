"""Nearest upsampling and the convolution after it as one transposed convolution, and back where it factors.

Upsampling by f repeats values: xu[m] = x[m div f]. A convolution (correlation, as in frameworks) with taps w,
dilation d and padding p gives y[o] = sum_t w[t] xu[o + t d - p]. Writing o + t d - p = i f + e with 0 <= e
< f,

    y[o] = sum_i x[i] v[o + P - i f],    v[u] = sum_e w'[u - e],    w'[u] = w[k-1 - u/d] where d divides u,
    P = d(k-1) - p,

which is the transposed convolution with kernel v = w' * ones(f) of length d(k-1) + f, stride f and padding P.
Both see zeros beyond the borders, so it is exact there, too. For k = 3, f = 2: v = (w2, w1+w2, w0+w1,
w0) and P = 2 - p; with two axes 4 products per output instead of 9.

In the other direction, v must be divisible by ones(f), that is by (1 - z^f)/(1 - z), along every axis. In one
dimension it is exactly if the phases of v have equal gains: such a layer is nearest upsampling and a
convolution.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from tconv.algebra.arrays import Array, check_room, checked_groups, counts, read_weight, rounded, wide
from tconv.arguments import checked
from tconv.errors import TconvError
from tconv.geometry.normalize import Padding, PerAxis, Sides, padding_pairs

__all__ = [
    "Convolution",
    "Merged",
    "exchanged",
    "merge_nearest",
    "merged_kernel",
    "split_nearest",
    "tolerated",
]


class Merged(NamedTuple):
    """One transposed convolution."""

    weight: Array  #: (in, out/groups, *kernel)
    stride: tuple[int, ...]
    padding: Sides


class Convolution(NamedTuple):
    """A convolution of stride 1, with framework (correlation) weights, after nearest upsampling."""

    weight: Array  #: (out, in/groups, *kernel)
    factor: tuple[int, ...]
    padding: Sides


@checked
def merge_nearest(
    weight: Array, factor: PerAxis, padding: Padding = 0, dilation: PerAxis = 1, groups: int = 1
) -> Merged:
    """The one transposed convolution that equals upsampling by `factor` (nearest), then this convolution.

    Args:
        weight: (out, in/groups, *kernel) of the convolution, whose stride is 1 and whose padding is zeros.
        factor, dilation: one int, or one per axis.
        padding: of the convolution: an int, one per axis, or (lo, hi) pairs.

    Returns:
        Weight (in, out/groups, *(d(k-1) + factor)), stride and padding, exact on integers, borders included.

    >>> merge_nearest(np.array([[[1, 2, 4]]]), 2, padding=1)
    Merged(weight=array([[[4, 6, 3, 1]]]), stride=(2,), padding=((1, 1),))
    """
    array = read_weight(weight)
    axes = array.ndim - 2
    factors, dilations = counts("factor", factor, axes), counts("dilation", dilation, axes)
    _, sides = merged_kernel(array.shape, factors, padding, dilations)
    made = exchanged(wide(array), groups)
    for axis, (f, d) in enumerate(zip(factors, dilations, strict=True), 2):
        made = _along(made, axis, f, d)
    return Merged(rounded(made, array), factors, sides)


def merged_kernel(
    shape: tuple[int, ...], factor: PerAxis, padding: Padding = 0, dilation: PerAxis = 1
) -> tuple[tuple[int, ...], Sides]:
    """The kernel and padding that `merge_nearest` makes of weights of this shape, without their numbers.

    >>> merged_kernel((1, 1, 3), 2, padding=1)
    ((4,), ((1, 1),))
    """
    kernel = shape[2:]
    axes = len(kernel)
    factors, dilations = counts("factor", factor, axes), counts("dilation", dilation, axes)
    sides = padding_pairs(padding, kernel, (1,) * axes, dilations)
    reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    made = tuple(r + f for r, f in zip(reach, factors, strict=True))
    check_room(prod(shape[:2]) * prod(made), prod(shape))
    return made, tuple((r - lo, r - hi) for r, (lo, hi) in zip(reach, sides, strict=True))


def exchanged(weight: Array, groups: int) -> Array:
    """(a, b/groups, ...) -> (b, a/groups, ...): outputs and inputs are exchanged within each group."""
    number = checked_groups(weight, groups)
    a, b, *kernel = weight.shape
    blocks = weight.reshape(number, a // number, b, *kernel).swapaxes(1, 2)
    return blocks.reshape(number * b, a // number, *kernel)


def _along(weight: Array, axis: int, factor: int, dilation: int) -> Array:
    """The flipped and dilated taps of one axis, summed over windows of `factor`."""
    turned = np.moveaxis(weight, axis, -1)[..., ::-1]
    reach = dilation * (turned.shape[-1] - 1) + 1
    spread = np.zeros((*turned.shape[:-1], reach + factor - 1), turned.dtype)
    for e in range(factor):
        spread[..., e : e + reach : dilation] += turned
    return np.moveaxis(spread, -1, axis)


@checked
def split_nearest(
    weight: Array,
    stride: PerAxis,
    padding: Padding = 0,
    groups: int = 1,
    *,
    tolerance: float | None = None,
) -> Convolution:
    """Factor a transposed convolution into nearest upsampling by `stride` and a convolution.

    The inverse of `merge_nearest` with dilation 1, where there is one: w'[u] = v[u] - v[u-1] + w'[u-s].

    Args:
        weight: (in, out/groups, *kernel), each kernel axis at least the stride.
        tolerance: how far the product may be from `weight`; by default 0 for exact dtypes, otherwise 64
            roundings of the largest weight.

    Raises:
        TconvError: the kernel does not factor; the message gives the remainder.

    >>> split_nearest(np.array([[[4, 6, 3, 1]]]), 2, padding=1)
    Convolution(weight=array([[[1, 2, 4]]]), factor=(2,), padding=((1, 1),))
    """
    array = read_weight(weight)
    axes = array.ndim - 2
    strides = counts("stride", stride, axes)
    kernel = array.shape[2:]
    if any(k < s for k, s in zip(kernel, strides, strict=True)):
        raise TconvError(f"kernel {kernel} is shorter than the stride {strides}, so it holds no repetition")
    sides = padding_pairs(padding, kernel, strides, (1,) * axes)
    result = wide(array)
    for axis, s in enumerate(strides, 2):
        result = _divided(result, axis, s)
    conv = rounded(exchanged(result, groups), array)
    back = merge_nearest(conv, strides, 0, 1, groups).weight
    apart = np.abs(wide(back) - wide(array)).max()
    if apart > (tolerated(array) if tolerance is None else tolerance):
        raise TconvError(
            f"a kernel {kernel} with stride {strides} that does not factor into nearest upsampling and a "
            f"convolution: the remainder is {float(apart):.3g}; equal gains along every axis would fit"
        )
    reach = [k - s for k, s in zip(kernel, strides, strict=True)]
    return Convolution(
        conv, strides, tuple((r - lo, r - hi) for r, (lo, hi) in zip(reach, sides, strict=True))
    )


def tolerated(weight: Array) -> float:
    """How far a product may be from `weight` to count as equal: 64 roundings of the largest, 0 if exact."""
    if weight.dtype.kind not in "fc":
        return 0.0
    return 64 * float(np.finfo(weight.dtype).eps) * float(np.abs(weight).max())


def _divided(weight: Array, axis: int, factor: int) -> Array:
    """The quotient of one axis by ones(factor), flipped to a convolution's order."""
    line = np.moveaxis(weight, axis, -1)
    quotient = np.zeros((*line.shape[:-1], line.shape[-1] - factor + 1), line.dtype)
    for u in range(quotient.shape[-1]):
        quotient[..., u] = line[..., u]
        if u >= 1:
            quotient[..., u] -= line[..., u - 1]
        if u >= factor:
            quotient[..., u] += quotient[..., u - factor]
    return np.moveaxis(quotient[..., ::-1], -1, axis)
