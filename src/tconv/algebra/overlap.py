"""A transposed convolution with a long kernel as one matrix product and overlap-add.

Each input column x[:, i] gives a frame of k values, W^T x[:, i]. Frame i begins at output i s, and where
frames overlap they add up. Cut a frame into m = k/s pieces of s values, the last padded with zeros. With
block b of the output for its values b s .. b s + s - 1,

    block b = sum over j of piece j of frame b - j,

m shifted additions of whole pieces without index arithmetic (Allen & Rabiner 1977, A unified approach to
short-time Fourier analysis and synthesis). An inverse STFT written as a layer has this form: k is the
window, s the hop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tconv.algebra.arrays import Array, check_room, checked_groups, read_weight
from tconv.algebra.merge import exchanged
from tconv.arguments import checked
from tconv.errors import TconvError
from tconv.geometry.normalize import Padding, padding_pairs, whole

__all__ = ["Frames", "to_frames"]


class Frames(NamedTuple):
    """The matrix that maps input columns to frames, and how the frames overlap."""

    matrix: Array  #: (groups, out/groups * pieces * hop, in/groups), times columns (groups, in/groups, n)
    pieces: int
    hop: int
    #: cells to crop from the (n + pieces - 1) * hop that result; negative: zeros to add
    crop: tuple[int, int]


@checked
def to_frames(weight: Array, stride: int, padding: Padding = 0, groups: int = 1) -> Frames:
    """The matrix, pieces and crop that equal a transposed convolution of one axis, for every length.

    Args:
        weight: (in, out/groups, k).
        padding: an int, or [(lo, hi)]; output padding is a smaller hi.

    Returns:
        A matrix whose rows are ordered (piece, out channel, position in the piece) in each group.

    >>> made = to_frames(np.array([[[1, 2, 3]]]), 2)
    >>> made.matrix[..., 0], made.pieces, made.crop  # 1 2 | 3 and a zero, which is cropped again
    (array([[1, 2, 3, 0]]), 2, (0, 1))
    """
    array = read_weight(weight)
    if array.ndim != 3:
        raise TconvError(f"frames of a weight of shape {array.shape}; (in, out/groups, k) would fit")
    hop, k = whole("stride", stride), array.shape[2]
    if hop < 1:
        raise TconvError(f"stride={hop}; at least 1 would fit")
    number = checked_groups(array, groups)
    ((lo, hi),) = padding_pairs(padding, (k,), (hop,), (1,))
    pieces = -(-k // hop)
    check_room(array.shape[0] * array.shape[1] * pieces * hop, array.size)
    filled = np.pad(exchanged(array, number), ((0, 0), (0, 0), (0, pieces * hop - k)))
    apart = filled.reshape(number, -1, array.shape[0] // number, pieces, hop)
    matrix = apart.transpose(0, 3, 1, 4, 2).reshape(number, -1, array.shape[0] // number)
    return Frames(np.ascontiguousarray(matrix), pieces, hop, (lo, hi + pieces * hop - k))
