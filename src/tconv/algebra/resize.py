"""Linear resize by whole factors as edge padding and one depthwise transposed convolution, and back.

A resize by f reads the input at (o - a)/f: a = (f-1)/2 aligns the centres of cells (half-pixel),
a = 0 the first samples (asymmetric). Linear interpolation gives input i the weight

    max(0, 1 - |o - a - i f| / f),

a function of o - i f alone, so it is a transposed convolution of stride f whose kernel is this triangle.
Beyond the border a resize repeats the edge; a transposed convolution sees zeros there. They agree if
the edge is repeated once at each end that is read beyond, and the f outputs of each such copy are cropped.
With a = (f-1)/2 the triangle is the bilinear filter of FCN's code (Long, Shelhamer, Darrell 2015).
"""

from __future__ import annotations

import math
from functools import reduce
from typing import NamedTuple

import numpy as np

from tconv.algebra.arrays import Array, check_room, counts
from tconv.arguments import checked
from tconv.errors import TconvError
from tconv.geometry.normalize import PerAxis, Sides

__all__ = ["Lines", "Resize", "linear_resize", "resize_lines"]


class Resize(NamedTuple):
    """Edge padding by `edge`, then a transposed convolution of every channel with `kernel`."""

    kernel: Array  #: (*kernel), float64
    stride: tuple[int, ...]
    edge: Sides
    padding: Sides


class Lines(NamedTuple):
    """`Resize` by the lines whose outer product is its kernel."""

    lines: tuple[Array, ...]  #: one an axis, float64
    stride: tuple[int, ...]
    edge: Sides
    padding: Sides

    @property
    def kernel(self) -> Array:
        """The outer product of the lines, (*kernel)."""
        return reduce(np.multiply.outer, self.lines)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the kernel, which is not computed for it."""
        return tuple(line.size for line in self.lines)


@checked
def linear_resize(factor: PerAxis, axes: int, *, centred: bool = True) -> Resize:
    """The edge padding and transposed convolution that equal a linear resize by `factor`, borders included.

    Args:
        factor: one int, or one per axis; 1 leaves an axis unchanged.
        centred: half-pixel centres (align_corners=False); False aligns the first samples (asymmetric).

    >>> linear_resize(2, 1)
    Resize(kernel=array([0.25, 0.75, 0.75, 0.25]), stride=(2,), edge=((1, 1),), padding=((3, 3),))
    >>> linear_resize(2, 1, centred=False)
    Resize(kernel=array([0.5, 1. , 0.5]), stride=(2,), edge=((0, 1),), padding=((1, 2),))
    """
    made = resize_lines(factor, axes, centred=centred)
    return Resize(made.kernel, made.stride, made.edge, made.padding)


def resize_lines(factor: PerAxis, axes: int, *, centred: bool = True) -> Lines:
    """What `linear_resize` answers, with its kernel in lines.

    >>> resize_lines(3, 2).shape
    (5, 5)
    """
    if not 1 <= axes <= 3:
        raise TconvError(f"axes={axes}; 1, 2 or 3 would fit")
    factors = counts("factor", factor, axes)
    check_room(math.prod(2 * f for f in factors), 1)
    lines = [_line(f, centred) for f in factors]
    return Lines(
        tuple(taps for taps, _, _ in lines),
        factors,
        tuple(edge for _, edge, _ in lines),
        tuple(padding for _, _, padding in lines),
    )


def _line(f: int, centred: bool) -> tuple[Array, tuple[int, int], tuple[int, int]]:
    """Taps, repeated edges and cropped outputs along one axis."""
    shift = (f - 1) / 2 if centred else 0.0
    # Input 0 reaches the outputs strictly between shift - f and shift + f.
    first, last = math.floor(shift - f) + 1, math.ceil(shift + f) - 1
    taps = 1 - np.abs(np.arange(first, last + 1) - shift) / f
    before = int(centred and f > 1)
    behind = int(f > 1)
    return taps, (before, behind), (before * f - first, behind * f + last + 1 - f)
