"""Paddings that PyTorch's transposed layers refuse: names, pairs, negative ones, and padding modes.

With a `padding_mode` the layer is the adjoint of the convolution with that padding. Let P be the padding,
which copies cells of y to a border around it, and A the convolution without any: the adjoint of A P is
P^T A^T. So the transposed convolution computes its full output, and P^T folds the border inwards: it adds
each cell of the border to the cell of which it would have been a copy. This is done axis by axis, since P is
one matrix per axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn import functional

from tconv.errors import TconvError
from tconv.geometry.normalize import Sides, padding_pairs, per_axis

__all__ = ["MODES", "folded", "in_numbers"]


def in_numbers(padding: Any, kernel: Sequence[int], stride: Any, dilation: Any) -> Any:
    """`padding` without names: one int per axis where both sides agree on every axis, else (lo, hi) pairs.

    >>> in_numbers("same", (3, 4), 2, 1), in_numbers("same", (4, 4), 2, 1)
    (((0, 1), (1, 1)), (1, 1))
    """
    axes = len(kernel)
    sides = padding_pairs(
        padding, tuple(kernel), _each("stride", stride, axes), _each("dilation", dilation, axes)
    )
    return tuple(lo for lo, _ in sides) if all(lo == hi for lo, hi in sides) else sides


def _each(name: str, value: Any, axes: int) -> tuple[int, ...]:
    one = isinstance(value, tuple | list) and len(value) == 1  # in PyTorch it stands for all axes
    return per_axis(name, value[0] if one else value, axes)


class Mode(NamedTuple):
    """How the border of an axis is folded inwards; n is the inner size, [a, b) the part that is kept."""

    most: Callable[[int, int, int], int]  #: the largest side, from n, a, b
    before: Callable[[int, int, int], int]  #: where those before it are added, from their number, a, b
    after: Callable[[int, int, int], int]  #: where those after it are added, from their number, n, a
    turn: Callable[[Tensor, int], Tensor]  #: the cells along an axis in the order in which they are added


#: What torch.nn.functional.pad calls them.
MODES = {
    "reflect": Mode(
        lambda n, a, b: n - 1,
        lambda count, a, b: 1,
        lambda count, n, a: n - 1 - count,
        lambda cells, dim: cells.flip(dim),
    ),
    "replicate": Mode(
        lambda n, a, b: 2**31 - 1,
        lambda count, a, b: 0,
        lambda count, n, a: n - 1,
        lambda cells, dim: cells.sum(dim, keepdim=True),
    ),
    "circular": Mode(
        lambda n, a, b: b - a,
        lambda count, a, b: b - count,
        lambda count, n, a: a,
        lambda cells, dim: cells,
    ),
}


def folded(full: Tensor, sides: Sides, mode: str) -> Tensor:
    """P^T of a full output (..., *sizes): (..., *(size - lo - hi)).

    `full` is overwritten, and the result may share its memory. Negative sides crop the convolution's
    input, so here they add zeros.

    Raises:
        TconvError: a side that is too large for the inner size, as in torch.nn.functional.pad.

    >>> import torch
    >>> folded(torch.tensor([1.0, 2, 3, 4, 5]), ((1, 1),), "circular")  # 2+5, 3, 4+1
    tensor([7., 3., 5.])
    >>> folded(torch.tensor([1.0, 2, 3, 4, 5]), ((2, 0),), "replicate")  # 1+2+3, 4, 5
    tensor([6., 4., 5.])
    """
    for axis, (lo, hi) in enumerate(sides):
        full = _folded_along(full, axis, len(sides), lo, hi, mode)
    return full


def _folded_along(full: Tensor, axis: int, axes: int, lo: int, hi: int, mode: str) -> Tensor:
    dim = full.dim() - axes + axis
    n = full.shape[dim] - lo - hi
    a, b = max(-lo, 0), n - max(-hi, 0)
    most, before, after, turn = MODES[mode]
    if b - a < 1 or max(lo, hi) > most(n, a, b):
        raise TconvError(
            f"padding ({lo}, {hi}) of mode {mode!r} on axis {axis} where the output has {n} cells; "
            f"{'any positive ones' if mode == 'replicate' else f'at most {max(most(n, a, b), 0)} a side'} "
            "would fit"
        )
    inside = full.narrow(dim, max(lo, 0), b - a)
    if b - a < n:
        inside = functional.pad(inside, [0, 0] * (axes - 1 - axis) + [a, n - b])
    for count, first, start in ((lo, 0, before(lo, a, b)), (hi, full.shape[dim] - hi, after(hi, n, a))):
        if count > 0:
            cells = turn(full.narrow(dim, first, count), dim)
            inside.narrow(dim, start, cells.shape[dim]).add_(cells)
    return inside
