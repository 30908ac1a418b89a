"""The subject of the views: one channel pair of the problem on three axes, with numbers.

A problem of one or two axes gets leading axes of size 1, so that every view is written once; a grid is then a
row of planes, most often one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError
from tconv.geometry import Axis, Geometry
from tconv.views import scatter

__all__ = ["Cells", "Scene", "cells"]

Array: TypeAlias = npt.NDArray[Any]
Cells: TypeAlias = tuple[int, int, int]

_SIDE = 64  # cells along an axis; more are too small
_CELLS = 4096


def _span(axis: Axis) -> range:
    """All relevant full outputs along an axis: those that a tap reaches, and those that are kept."""
    full = (axis.input - 1) * axis.stride + axis.dilation * (axis.kernel - 1) + 1
    return range(min(0, axis.lo), max(full, axis.lo + axis.output))


@dataclass(frozen=True)
class Scene:
    """A problem to draw: `x` of the input's and `w` of the kernel's shape, both on three axes."""

    geometry: Geometry
    lifted: Geometry  #: the same on three axes, with one channel
    x: Array
    w: Array

    @classmethod
    def of(cls, geometry: Geometry, kernel: Array | None = None) -> Scene:
        """A scene with inputs 1, 2, 3 ... and a kernel, by default 1, 2, 3 ... too.

        Raises:
            TconvError: the problem has more cells than can be shown; the message says what would fit.
        """
        _check_seen(geometry)
        missing = 3 - geometry.axes

        def three(values: Sequence[Any], fill: Any) -> tuple[Any, ...]:
            return (fill,) * missing + tuple(values)

        lifted = replace(
            geometry,
            batch=1,
            in_channels=1,
            out_channels=1,
            groups=1,
            input=three(geometry.input, 1),
            kernel=three(geometry.kernel, 1),
            stride=three(geometry.stride, 1),
            dilation=three(geometry.dilation, 1),
            padding=three(geometry.padding, (0, 0)),
            output_padding=three(geometry.output_padding, 0),
        )
        x = np.arange(1, prod(lifted.input) + 1).reshape(lifted.input)
        w = np.arange(1, prod(lifted.kernel) + 1) if kernel is None else kernel
        return cls(geometry, lifted, x, w.reshape(lifted.kernel))

    @cached_property
    def axes(self) -> tuple[Axis, Axis, Axis]:
        """The three axes."""
        return self.lifted.axis(0), self.lifted.axis(1), self.lifted.axis(2)

    @cached_property
    def low(self) -> Cells:
        """The first kept output, as an index of the full one."""
        return cells(axis.lo for axis in self.axes)

    @cached_property
    def high(self) -> Cells:
        """One past the last kept output, as an index of the full one."""
        return cells(axis.lo + axis.output for axis in self.axes)

    @cached_property
    def spans(self) -> tuple[range, range, range]:
        """The full outputs that are drawn."""
        first, second, third = (_span(axis) for axis in self.axes)
        return first, second, third

    @cached_property
    def kept_spans(self) -> tuple[range, range, range]:
        """The kept outputs, as indices of the full one."""
        first, second, third = (range(axis.lo, axis.lo + axis.output) for axis in self.axes)
        return first, second, third

    def kept(self, u: Cells) -> bool:
        """Whether full output `u` is part of the output."""
        return all(lo <= c < hi for lo, c, hi in zip(self.low, u, self.high, strict=True))

    def landings(self, i: Cells) -> dict[Cells, Cells]:
        """The full outputs over which input `i` is spread, each with the tap that reaches it."""
        found = {}
        for tap in np.ndindex(*self.lifted.kernel):
            u = cells(c * a.stride + t * a.dilation for c, t, a in zip(i, tap, self.axes, strict=True))
            found[u] = cells(tap)
        return found

    def output(self) -> Array:
        """y on three axes, by the definition."""
        result: Array = scatter(self.x[None, None], self.w[None, None], self.lifted)[0, 0]
        return result

    def counts(self) -> Array:
        """How many taps reach each cell of `spans`, cropped or not."""
        counts = np.zeros([len(along) for along in self.spans], int)
        for i in np.ndindex(*self.lifted.input):
            for u in self.landings(cells(i)):
                counts[tuple(c - along.start for c, along in zip(u, self.spans, strict=True))] += 1
        return counts


def cells(values: Iterable[int]) -> Cells:
    """Three numbers as an index of a grid."""
    first, second, third = values
    return first, second, third


def _check_seen(geometry: Geometry) -> None:
    axes = [geometry.axis(a) for a in range(geometry.axes)]
    seen = [len(_span(axis)) for axis in axes]
    if max(*seen, *geometry.input) <= _SIDE and max(prod(seen), prod(geometry.input)) <= _CELLS:
        return
    side = min(_SIDE, int(_CELLS ** (1 / len(axes)) + 1e-9))
    message = (
        f"{geometry}: a drawing of {'x'.join(map(str, seen))} cells; at most {_SIDE} along an axis and "
        f"{_CELLS} in all can be shown;"
    )
    fitting = []
    for axis in axes:
        inputs = range(min(axis.input, side), 0, -1)
        found = next((i for i in inputs if len(_span(axis._replace(input=i))) <= side), None)
        if found is None:
            raise TconvError(f"{message} a smaller kernel, dilation or padding would fit")
        fitting.append(found)
    raise TconvError(f"{message} an input of at most {'x'.join(map(str, fitting))} would fit")
