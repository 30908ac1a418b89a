"""Separable filters: a filter of several axes as one filter per axis, where exact: w[y, x] = u[y] v[x].

A transposed convolution acts along each axis separately if its filter is an outer product: scattering along y
with u, then along x with v, is scattering with u v. Bilinear filters and all other products of
one-dimensional filters are. The pair costs k_y + k_x where one layer costs k_y k_x. With several inputs per
output the sum over inputs would also have to be of rank one, so this is for layers where each output channel
has one input channel.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from tconv.algebra.arrays import Array, read_weight, rounded, wide
from tconv.arguments import checked
from tconv.errors import TconvError

__all__ = ["split_axes"]


@checked
def split_axes(weight: Array) -> tuple[Array, ...]:
    """One factor per axis, whose outer product is `weight` for each pair of channels.

    Each factor has the rank of `weight`, with 1 along the other axes; all but the last are 1 or -1 at the
    largest tap. Each filter may be off by 4 roundings of its largest tap.

    Args:
        weight: floating point, (in, out/groups, *kernel).

    Raises:
        TconvError: a filter that is not an outer product; the message gives the remainder.

    >>> [part.tolist() for part in split_axes(np.array([[[[1.0, 2.0], [2.0, 4.0]]]]))]
    [[[[[0.5], [1.0]]]], [[[[2.0, 4.0]]]]]
    """
    array = read_weight(weight)
    if array.dtype.kind not in "fc":
        raise TconvError(f"weights are {array.dtype}; floating point would fit")
    values = wide(array)
    flat = values.reshape(*array.shape[:2], -1)
    largest = np.abs(flat).argmax(-1)
    peaks = np.take_along_axis(flat, largest[..., None], -1)[..., 0]
    ones = np.where(peaks == 0, 1, peaks)
    at = np.unravel_index(largest, array.shape[2:])
    first, second = np.indices(array.shape[:2])
    parts = []
    axes = array.ndim - 2
    for axis in range(axes):
        # The line through the largest tap along this axis; numpy puts the indexed axes first.
        line = values[(first, second, *(slice(None) if a == axis else at[a] for a in range(axes)))]
        scaled = line if axis == axes - 1 else line / ones[..., None]
        shape = [1] * axes
        shape[axis] = array.shape[2 + axis]
        parts.append(rounded(scaled.reshape(*array.shape[:2], *shape), array))
    apart = np.abs(reduce(np.multiply, map(wide, parts)) - values)
    bound = 4 * float(np.finfo(array.dtype).eps) * np.abs(peaks)
    over = apart.reshape(flat.shape).max(-1) - bound
    if (over > 0).any():
        worst = float(apart.max())
        raise TconvError(
            f"filters {array.shape[2:]} are not outer products of one filter per axis: the remainder is "
            f"{worst:.3g}; separable filters would fit"
        )
    return tuple(parts)
