"""Several layers in a row, along one axis: how they compose.

Layer j sends index i of its input, through tap t, to the full output i * s + t * d, and crops `lo`. Two
layers in a row send i to i * (s1 s2) + (t1 d1 s2 + t2 d2), less lo1 s2 + lo2. So a stack is one layer with
the product of the strides as its stride, and its taps are the sums of the layers' taps, each scaled by the
strides after it. How many paths lead through such a sum is the product of polynomials with coefficients 1:

    K(z) = product over j of (1 + z^d + ... + z^(d (k-1)))  at  z^(product of the strides after j).

At the borders the stack differs from that one layer where an inner layer crops. So actual sizes are
computed layer by layer (`forward`, `backward`).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tconv.geometry import Axis
from tconv.geometry.axis import reach

__all__ = ["Composed", "Phases", "backward", "forward", "period", "phases"]

Array: TypeAlias = npt.NDArray[Any]


class Composed(NamedTuple):
    """A run of layers along one axis, without borders: stride, kernel span and crop of the one layer."""

    stride: int
    reach: int
    lo: int

    @classmethod
    def of(cls, axes: Sequence[Axis]) -> Composed:
        """Of the layers in their order.

        >>> Composed.of([Axis(7, 4, 2, 1, 1, 0, 1)] * 2)  # k4 s2 p1 twice is k10 s4 p3
        Composed(stride=4, reach=10, lo=3)
        """
        stride, span, lo = 1, 1, 0
        for axis in axes:
            stride *= axis.stride
            span = (span - 1) * axis.stride + reach(axis.kernel, axis.dilation)
            lo = lo * axis.stride + axis.lo
        return cls(stride, span, lo)

    @property
    def centre(self) -> Fraction:
        """The output index in the middle of the stamp of input 0."""
        return Fraction(self.reach - 1, 2) - self.lo

    @property
    def shift(self) -> Fraction:
        """How many outputs that is beyond the middle of the first `stride` outputs, 0 if they are aligned."""
        return self.centre - Fraction(self.stride - 1, 2)


class Phases(NamedTuple):
    """What holds for the outputs away from the borders; entry o is that of output o modulo the length."""

    paths: tuple[int, ...]  #: ways from an input to this output
    inputs: tuple[int, ...]  #: inputs that reach it


@lru_cache(maxsize=8)
def phases(axes: tuple[Axis, ...]) -> tuple[Phases, ...]:
    """Of the first layer, of the first two, and so on."""
    found = []
    kernel: Array = np.ones(1, object)
    for n, axis in enumerate(axes, 1):
        kernel = _full(kernel, axis)
        whole = Composed.of(axes[:n])
        rows = -(-kernel.size // whole.stride)
        table = np.zeros(rows * whole.stride, object)
        table[: kernel.size] = kernel
        table = np.roll(table.reshape(rows, whole.stride), -whole.lo, axis=1)
        found.append(Phases(tuple(table.sum(0).tolist()), tuple((table > 0).sum(0).tolist())))
    return tuple(found)


def period(values: Sequence[int]) -> int:
    """The shortest period of `values` that divides their number.

    >>> period((1, 2, 1, 2)), period((3, 3)), period((1, 2, 3))
    (2, 1, 3)
    """
    size = len(values)
    line = np.array(values, object)
    return next(p for p in range(1, size + 1) if size % p == 0 and (line[p:] == line[: size - p]).all())


def forward(values: Array, axis: Axis) -> Array:
    """Each output is the sum of the inputs that reach it: the layer with a kernel of ones."""
    return _cropped(_full(values, axis), axis.lo, axis.output)


def backward(values: Array, axis: Axis) -> Array:
    """Each input is the sum of the outputs that it reaches: the convolution with a kernel of ones."""
    span = (axis.input - 1) * axis.stride + reach(axis.kernel, axis.dilation)
    full = _cropped(values, -axis.lo, span)
    sums = _windows(full[::-1], axis.kernel, axis.dilation)[:span][::-1]
    return sums[:: axis.stride][: axis.input]


def _full(values: Array, axis: Axis) -> Array:
    """The uncropped output."""
    spread = np.zeros((values.size - 1) * axis.stride + 1, values.dtype)
    spread[:: axis.stride] = values
    return _windows(spread, axis.kernel, axis.dilation)


def _windows(values: Array, taps: int, apart: int) -> Array:
    """Entry u is the sum of values[u], values[u - apart], ..., of `taps` terms."""
    size = values.size + apart * (taps - 1)
    line = np.zeros(-(-size // apart) * apart, values.dtype)
    line[: values.size] = values
    sums = np.add.accumulate(line.reshape(-1, apart), 0).reshape(-1)
    sums[taps * apart :] -= sums[: -taps * apart].copy()
    return sums[:size]


def _cropped(values: Array, lo: int, size: int) -> Array:
    """`size` entries from index `lo` on; zeros where there are none."""
    made = np.zeros(size, values.dtype)
    start, stop = max(lo, 0), min(lo + size, values.size)
    if start < stop:
        made[start - lo : stop - lo] = values[start:stop]
    return made
