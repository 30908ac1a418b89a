"""Explicit zeros in the weights in place of an option: dilation, groups, output padding.

A dilated kernel has zeros between its taps, a layer with groups has zeros where a channel does not reach
another group, and outputs that no tap reaches are outputs of a tap of zero. Storing these zeros
changes no sum, so each identity is exact in every dtype; the cost is multiplications by zero.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tconv.algebra.arrays import Array, check_room, checked_groups, counts, read_weight
from tconv.arguments import checked
from tconv.errors import TconvError
from tconv.geometry.normalize import PerAxis, per_axis

__all__ = ["append_taps", "dense_groups", "spread_dilation"]


@checked
def spread_dilation(weight: Array, dilation: PerAxis) -> Array:
    """The kernel of d(k-1) + 1 taps that without dilation equals `weight` with dilation d.

    >>> spread_dilation(np.array([[[1, 2, 4]]]), 2)
    array([[[1, 0, 2, 0, 4]]])
    """
    array = read_weight(weight)
    dilations = counts("dilation", dilation, array.ndim - 2)
    sizes = [d * (k - 1) + 1 for d, k in zip(dilations, array.shape[2:], strict=True)]
    check_room(prod(array.shape[:2]) * prod(sizes), array.size)
    result = np.zeros((*array.shape[:2], *sizes), array.dtype)
    result[(slice(None), slice(None), *(slice(None, None, d) for d in dilations))] = array
    return result


@checked
def append_taps(weight: Array, extra: PerAxis) -> Array:
    """`weight` with `extra` taps of zero after its last: the layer's output grows at the end by d * extra.

    These are the positions that output padding adds: no other tap reaches them.

    >>> append_taps(np.array([[[1, 2]]]), 1)
    array([[[1, 2, 0]]])
    """
    array = read_weight(weight)
    added = per_axis("extra", extra, array.ndim - 2)
    if min(added) < 0:
        raise TconvError(f"extra={extra!r} taps; 0 or more per axis would fit")
    sizes = [k + e for k, e in zip(array.shape[2:], added, strict=True)]
    check_room(prod(array.shape[:2]) * prod(sizes), array.size)
    return np.pad(array, [(0, 0), (0, 0), *((0, e) for e in added)])


@checked
def dense_groups(weight: Array, groups: int) -> Array:
    """The weights of one group that equal `groups` groups: blocks on the diagonal, zeros elsewhere.

    Args:
        weight: (in, out/groups, *kernel) of a transposed convolution, or (out, in/groups, *kernel) of a
            convolution: in both, the first axis is cut into groups.

    Returns:
        (in, out, *kernel), or (out, in, *kernel).

    >>> dense_groups(np.array([[[1]], [[2]]]), 2)[..., 0]
    array([[1, 0],
           [0, 2]])
    """
    array = read_weight(weight)
    number = checked_groups(array, groups)
    check_room(array.size * number, array.size)
    rows, columns = array.shape[0] // number, array.shape[1]
    result = np.zeros((array.shape[0], columns * number, *array.shape[2:]), array.dtype)
    for g in range(number):
        block = slice(g * rows, (g + 1) * rows)
        result[block, g * columns : (g + 1) * columns] = array[block]
    return result
