"""A transposed convolution of stride 1 as a convolution, and one whose phases hold a tap each as 1x1.

Stride 1: with taps w, dilation d and padding lo, y[o] = sum_t w[t] x[o + lo - t d]. Counted from the other
end, t = k-1 - u, that is y[o] = sum_u w[k-1-u] x[o + u d - (d(k-1) - lo)]: a convolution (correlation, as
frameworks have it) by the turned kernel with padding d(k-1) - lo before and d(k-1) - hi + o after. A negative
one crops the input. Within each group inputs and outputs change places (Dumoulin & Visin 2016, chapter 4).

Kernel no longer than the stride, d(k-1) + 1 <= s: stamps do not overlap, so u = i s + t d has one input i and
at most one tap. y[i s + r] = w_r x[i] is a 1x1 convolution to s outputs a channel, followed by laying these s
side by side (depth to space, Shi et al. 2016). Phases without a tap hold zeros.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from tconv.algebra.arrays import Array, counts, exchanged, read_weight
from tconv.algebra.zeros import append_taps, spread_dilation
from tconv.errors import TconvError
from tconv.geometry.arguments import Padding, PerAxis, Sides, padding_pairs, per_axis

__all__ = ["Flipped", "flip_stride_one", "kernel_to_channels"]


class Flipped(NamedTuple):
    """A convolution of stride 1, with framework (correlation) weights; dilation and groups are as before."""

    weight: Array  #: (out, in/groups, *kernel)
    padding: Sides  #: negative ones crop the input


def flip_stride_one(
    weight: Array,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Flipped:
    """The convolution that equals this transposed convolution of stride 1.

    >>> flip_stride_one(np.array([[[1, 2, 4]]]), padding=((0, 1),))
    Flipped(weight=array([[[4, 2, 1]]]), padding=((2, 1),))
    """
    array = read_weight(weight)
    axes = array.ndim - 2
    dilations = counts("dilation", dilation, axes)
    sides = padding_pairs(padding, array.shape[2:], (1,) * axes, dilations)
    extra = per_axis("output_padding", output_padding, axes)
    spans = [d * (k - 1) for d, k in zip(dilations, array.shape[2:], strict=True)]
    return Flipped(
        np.flip(exchanged(array, groups), tuple(range(2, array.ndim))).copy(),
        tuple((r - lo, r - hi + o) for r, (lo, hi), o in zip(spans, sides, extra, strict=True)),
    )


def kernel_to_channels(weight: Array, stride: PerAxis, dilation: PerAxis = 1, groups: int = 1) -> Array:
    """The 1x1 convolution whose outputs, laid side by side, are the layer whose stamps do not overlap.

    Args:
        weight: (in, out/groups, *kernel), its reach d(k-1) + 1 at most the stride along every axis.

    Returns:
        (out * prod(stride), in/groups, 1, ..., 1). Channel o * prod(stride) + r gives the outputs of channel
        o at offset r, the offsets in C order (ONNX's DepthToSpace calls that CRD, PyTorch pixel_shuffle).
        Laid out they are input * stride positions: stride - reach more at the end than the layer makes.

    >>> kernel_to_channels(np.array([[[5, 7]]]), stride=3).tolist()
    [[[5]], [[7]], [[0]]]
    """
    array = read_weight(weight)
    strides = counts("stride", stride, array.ndim - 2)
    spread = spread_dilation(array, dilation)
    short = [s - k for s, k in zip(strides, spread.shape[2:], strict=True)]
    if min(short) < 0:
        raise TconvError(
            f"kernel reach {spread.shape[2:]} with stride {strides}: the stamps overlap; "
            "a reach of at most the stride would fit"
        )
    turned = exchanged(append_taps(spread, short), groups)
    outputs, inputs, *_ = turned.shape
    made = turned.reshape(outputs, inputs, prod(strides)).swapaxes(1, 2)
    return made.reshape(-1, inputs, *(1,) * len(strides))
