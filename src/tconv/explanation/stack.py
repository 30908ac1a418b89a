"""Several layers in a row: what is explained of them, and the cells that are followed through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np

from tconv.errors import TconvError
from tconv.explanation.composition import Array, Composed, backward, forward
from tconv.explanation.request import Request
from tconv.geometry import Axis, Geometry
from tconv.geometry.normalize import per_axis, shown

__all__ = ["Stack"]

LAYERS = 64
LIMIT = 100_000  # of the common stride and kernel, so that all phases are counted at once


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers of which each takes the output of the one before, and the two cells that are followed."""

    layers: tuple[Geometry, ...]
    output: tuple[int, ...]  #: a cell of the last layer's output
    input: tuple[int, ...]  #: a cell of the first layer's input

    @classmethod
    def of(cls, problems: Sequence[Geometry | str], output: object, input_cell: object) -> Stack:
        """Read and check the problems; the cells, if not given, are those in the middle."""
        if not isinstance(problems, list | tuple) or not 1 <= len(problems) <= LAYERS:
            raise TconvError(f"explain_stack({shown(problems)}): a list of 1 to {LAYERS} problems would fit")
        layers: list[Geometry] = []
        for problem in problems:
            before = layers[-1] if layers else None
            layer = Geometry.parse(problem, after=before) if isinstance(problem, str) else problem
            if not isinstance(layer, Geometry):
                raise TconvError(f"explain_stack: {shown(layer)} is not a Geometry or the text of one")
            if before is not None:
                _check_follows(before, layer)
            layers.append(Request.of(layer, None, None).geometry)
        first, last = layers[0], layers[-1]
        made = cls(tuple(layers), last.output, first.input)
        for a in range(first.axes):
            whole = Composed.of(made.along(a))
            for name, size in (("stride", whole.stride), ("kernel", whole.reach)):
                if size > LIMIT:
                    raise TconvError(
                        f"{len(layers)} layers: their common {name} on axis {a} is {size:,}, too large to "
                        f"count; at most {LIMIT:,} would fit, as of fewer layers"
                    )
        return cls(
            made.layers,
            _cell("output", output, last.output, last.taps_of_output),
            _cell("input", input_cell, first.input, first.outputs_of_input),
        )

    @property
    def axes(self) -> int:
        """The number of spatial axes."""
        return self.layers[0].axes

    def along(self, a: int) -> tuple[Axis, ...]:
        """Every layer along one axis."""
        return tuple(layer.axis(a) for layer in self.layers)

    def names(self) -> list[str]:
        """`layer 1` and so on."""
        return [f"layer {n}" for n in range(1, len(self.layers) + 1)]

    def back(self, a: int) -> list[Array]:
        """Per layer, the last one first: which of its inputs reach the followed output along an axis."""
        there = _one(self.layers[-1].output[a], self.output[a])
        found = []
        for axis in reversed(self.along(a)):
            there = (backward(there, axis) > 0).astype(np.int64)
            found.append(np.flatnonzero(there))
        return found

    def onwards(self, a: int) -> list[Array]:
        """Per layer: which of its outputs the followed input reaches along an axis."""
        there = _one(self.layers[0].input[a], self.input[a])
        found = []
        for axis in self.along(a):
            there = (forward(there, axis) > 0).astype(np.int64)
            found.append(np.flatnonzero(there))
        return found

    def coverage(self, a: int) -> Array:
        """How many paths lead from inputs to each output of the stack along an axis."""
        counts: Array = np.ones(self.layers[0].input[a], object)
        for axis in self.along(a):
            counts = forward(counts, axis)
        return counts

    def as_one(self) -> Geometry:
        """The one layer that the stack equals without biases, activations, and borders of inner layers."""
        first, last = self.layers[0], self.layers[-1]
        wholes = [Composed.of(self.along(a)) for a in range(self.axes)]
        sides = tuple(
            (w.lo, (i - 1) * w.stride + w.reach - w.lo - o)
            for w, i, o in zip(wholes, first.input, last.output, strict=True)
        )
        return Geometry.make(
            batch=first.batch,
            in_channels=first.in_channels,
            out_channels=last.out_channels,
            input=first.input,
            kernel=tuple(w.reach for w in wholes),
            stride=tuple(w.stride for w in wholes),
            padding=sides,
            groups=gcd(*(layer.groups for layer in self.layers)),
        )

    @property
    def crops_inside(self) -> bool:
        """Whether a layer other than the last crops what would reach the output: borders then differ."""
        for a in range(self.axes):
            axes = self.along(a)
            for n, axis in enumerate(axes[:-1], 1):
                rest = Composed.of(axes[n:])
                # The first cell beyond each end: where its stamp would end, and where it would begin.
                if axis.lo > 0 and rest.reach - 1 - rest.stride - rest.lo >= 0:
                    return True
                beyond = axis.output * rest.stride - rest.lo
                if axis.hi - axis.output_padding > 0 and beyond < axes[-1].output:
                    return True
        return False


def _check_follows(before: Geometry, layer: Geometry) -> None:
    size = "x".join(map(str, before.output))
    for word, given, wanted in (
        (f"n{before.batch}", layer.batch, before.batch),
        (f"c{before.out_channels}>{layer.out_channels}", layer.in_channels, before.out_channels),
        (f"i{size}", layer.input, before.output),
    ):
        if given != wanted:
            raise TconvError(
                f"{layer} cannot follow {before}, whose output is {before.batch} x {before.out_channels} "
                f"channels x {size}; {word} would fit, or leaving it out"
            )


def _cell(
    name: str, given: object, sizes: tuple[int, ...], reached: Callable[[int, int], object]
) -> tuple[int, ...]:
    if given is None:
        return tuple((size - 1) // 2 for size in sizes)
    cell = per_axis(f"{name} cell", [given] if isinstance(given, int) else given, len(sizes))
    for a, index in enumerate(cell):
        reached(a, index)  # raises for an index that is not there
    return cell


def _one(size: int, index: int) -> Array:
    made = np.zeros(size, np.int64)
    made[index] = 1
    return made
