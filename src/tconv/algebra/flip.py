"""A transposed convolution of stride 1 as a convolution.

With taps w, dilation d and padding lo, y[o] = sum_t w[t] x[o + lo - t d]. Counted from the other end, t =
k-1 - u, this is y[o] = sum_u w[k-1-u] x[o + u d - (d(k-1) - lo)]: a convolution (correlation, as in
frameworks) with the flipped kernel and padding d(k-1) - lo before and d(k-1) - hi + o after, where o is the
output padding. Negative padding crops the input. Within each group inputs and outputs are exchanged
(Dumoulin & Visin 2016, chapter 4).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tconv.algebra.arrays import Array, counts, read_weight
from tconv.algebra.merge import exchanged
from tconv.arguments import checked
from tconv.geometry.normalize import Padding, PerAxis, Sides, padding_pairs, per_axis

__all__ = ["Flipped", "flip_stride_one"]


class Flipped(NamedTuple):
    """A convolution of stride 1, with framework (correlation) weights; dilation and groups are as before."""

    weight: Array  #: (out, in/groups, *kernel)
    padding: Sides  #: negative ones crop the input


@checked
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
