"""What is said of several layers in a row: sizes, receptive fields, coverage, work, and the one layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from math import inf, prod
from types import MappingProxyType

from tconv.documents import Cell, Item, Line, Section, Strip, Table
from tconv.documents.cells import shown
from tconv.explanation.cells import slices
from tconv.explanation.composition import Array, Composed, period, phases
from tconv.explanation.counts import Range
from tconv.explanation.request import at, listed, merged
from tconv.explanation.stack import Stack
from tconv.geometry import Axis
from tconv.geometry.axis import range_text

__all__ = ["STACK_SECTIONS"]


def size(stack: Stack) -> Section:
    """Every layer with its sizes, and the size formula of all together."""
    layers = stack.layers
    sizes = [layers[0].input, *(layer.output for layer in layers)]
    rows = tuple(
        (name, str(layer), _by(before), _by(after))
        for name, layer, before, after in zip(stack.names(), layers, sizes, sizes[1:], strict=False)
    )
    table = Table("layers", ("layer", "problem", "input", "output"), rows, kinds=_kinds(4, code=1))
    items: list[Item] = [
        table,
        Line("All layers together, with their common stride, kernel and crop:"),
        Line("output = (input - 1) * stride - lo - hi + kernel", formula=True),
    ]
    one = stack.as_one()
    for name, axis in merged([one.axis(a) for a in range(one.axes)]):
        hi = f"- {axis.hi}" if axis.hi >= 0 else f"+ {-axis.hi}"
        lo = f"- {axis.lo}" if axis.lo >= 0 else f"+ {-axis.lo}"
        items.append(
            Line(
                f"{name}: ({axis.input} - 1) * {axis.stride} {lo} {hi} + {axis.kernel} = {axis.output}",
                formula=True,
            )
        )
        wanted = axis.input * axis.stride
        if axis.output == wanted:
            items.append(Line(f"On {name} the output is the input times {axis.stride}."))
        else:
            items.append(
                Line(f"On {name} the output is {axis.output}, not {axis.input} * {axis.stride} = {wanted}.")
            )
    return Section("size", "Sizes", tuple(items))


def field(stack: Stack) -> Section:
    """Receptive fields, strides and alignment after each layer (Araujo, Norris, Sim 2019, for this layer)."""
    rows = []
    for name, axes in merged([stack.along(a) for a in range(stack.axes)]):
        for n, layer in enumerate(stack.names(), 1):
            whole = Composed.of(axes[:n])
            sees = phases(axes)[n - 1].inputs if axes[0].input > 1 else (1,)
            seen = range_text((min(sees), max(sees)))
            rows.append((name, layer, whole.stride, whole.reach, seen, whole.centre, whole.shift))
    columns = ("axes", "after", "stride", "reaches", "sees", "centre", "shift")
    return Section(
        "field",
        "Receptive field and stride",
        (
            Line(
                "From the input of the stack to the output of each layer, along an axis: stride is the "
                "number of outputs per input. One input reaches so many neighbouring outputs (its "
                "stamp), and one output sees so many inputs (its receptive field), away from the borders."
            ),
            Table("fields", columns, tuple(rows), kinds=_kinds(7)),
            Line(
                "Centre is the output index in the middle of the stamp of input 0. Shift is how many outputs "
                "that is beyond the middle of the first stride outputs: 0 is aligned as in an enlarged "
                "picture, 0.5 is half a pixel towards the end."
            ),
            *_shifted(stack),
        ),
    )


def _shifted(stack: Stack) -> Iterator[Line]:
    for name, axes in merged([stack.along(a) for a in range(stack.axes)]):
        whole = Composed.of(axes)
        if whole.shift and axes[0].input > 1:
            end = "end" if whole.shift > 0 else "start"
            yield Line(
                f"On {name} symmetric kernels shift the picture towards the {end} by "
                f"{shown(abs(whole.shift))} of the output's cells, "
                f"{shown(abs(whole.shift) / whole.stride)} of the input's."
            )


def cells(stack: Stack) -> Section:
    """One output back through all layers, and one input onwards."""
    axes = range(stack.axes)
    heads = tuple(f"axis {a}" for a in axes)
    back = [stack.back(a) for a in axes]
    onwards = [stack.onwards(a) for a in axes]
    names = stack.names()

    def rows(found: Sequence[Sequence[Array]], labels: Sequence[str]) -> Iterator[tuple[Cell, ...]]:
        for n, label in enumerate(labels):
            yield label, *(_indices(of[n]) for of in found), prod(of[n].size for of in found)

    return Section(
        "cells",
        "One output back, one input onwards",
        (
            Line(f"Output {at(stack.output)} of the stack is computed from these inputs:"),
            Table(
                "output cell",
                ("of", *heads, "cells"),
                tuple(rows(back, [f"input of {name}" for name in reversed(names)])),
            ),
            Line(f"Input {at(stack.input)} of the stack reaches these outputs:"),
            Table(
                "input cell",
                ("of", *heads, "cells"),
                tuple(rows(onwards, [f"output of {name}" for name in names])),
            ),
        ),
    )


def _indices(found: Array) -> str:
    """`3 to 7`, or single indices where there are gaps."""
    if not found.size:
        return "none"
    first, last = int(found[0]), int(found[-1])
    if last - first + 1 == found.size:
        return f"{first} to {last}" if last > first else str(first)
    return listed(found.tolist(), found.size, most=4)


def coverage(stack: Stack) -> Section:
    """How many paths lead to each output: the coverage of all layers together."""
    groups = merged([stack.along(a) for a in range(stack.axes)])
    rows = []
    for name, axes in groups:
        for layer, paths in zip(stack.names(), _paths(axes), strict=True):
            once = period(paths)
            figure = Range(1, min(paths), max(paths)).ratio
            rows.append((name, layer, listed(paths[:once], once, most=6), once, figure))
    columns = ("axes", "after", "paths in one period", "period", "most / fewest")
    items: list[Item] = [
        Line(
            "The paths from inputs to an output, through one tap of each layer; a cell's number is the "
            "product over the axes. With kernels of ones this is the response to a constant. First away from "
            "the borders, then for all outputs of this size:"
        ),
        Table("paths", columns, tuple(rows), kinds=_kinds(5, words=2)),
    ]
    along = [stack.coverage(a) for a in range(stack.axes)]
    inside = _inside(stack)
    sizes = [line.size for line in along]
    everywhere = Range(prod(sizes), prod(min(line) for line in along), prod(max(line) for line in along))
    items.append(
        Table(
            "evenness",
            ("outputs", "fewest paths", "most paths", "most / fewest"),
            tuple(
                (name, r.least, r.most, r.ratio)
                for name, r in (("away from the borders", inside[-1]), ("all", everywhere))
            ),
        )
    )
    if prod(sizes) <= 600:

        def through(place: tuple[int, ...]) -> int:
            return prod(int(line[o]) for line, o in zip(along, place, strict=True))

        names = [range(size) for size in sizes]
        items.append(Strip(tuple(slices("coverage", "paths", sizes, through, names=names, most=(12, 16)))))
    return Section("coverage", "Total coverage", (*items, _verdict([each.ratio for each in inside])))


def _paths(axes: tuple[Axis, ...]) -> list[tuple[int, ...]]:
    """After each layer, the paths to each output of a period, away from the borders."""
    if axes[0].input > 1:
        return [each.paths for each in phases(axes)]
    # One input overlaps with nothing, whatever the first layer is.
    return [(1,), *(each.paths for each in phases(axes[1:]))]


def _inside(stack: Stack) -> list[Range]:
    """After each layer, the fewest and the most paths away from the borders, over all axes."""
    found = [Range(1, 1, 1)] * len(stack.layers)
    for a in range(stack.axes):
        paths = _paths(stack.along(a))
        found = [
            Range(1, r.least * min(each), r.most * max(each)) for r, each in zip(found, paths, strict=True)
        ]
    return found


def _verdict(ratios: Sequence[Fraction | float]) -> Line:
    """`ratios`: most / fewest after each layer."""
    last = ratios[-1]
    if last == 1:
        told = "Even: away from the borders every output has as many paths as the others."
        if any(ratio != 1 for ratio in ratios):
            return Line(f"{told} Later layers even out what an earlier one made uneven.")
        return Line(f"{told} The geometry causes no checkerboard; weights still can.")
    start = next(n for n, ratio in enumerate(ratios, 1) if ratio != 1)
    told = "no path leads to some outputs"
    if last != inf:
        told = f"some outputs have {float(last):.4g} times as many paths as others"
    told = f"Uneven: {told}. It starts in layer {start}"
    if ratios[start - 1] > last:
        told += f", where the figure is {shown(ratios[start - 1])}; later layers smooth it"
    return Line(f"{told}.")


def work(stack: Stack) -> Section:
    """Multiplications, parameters and outputs of each layer."""
    layers = stack.layers
    counts = [
        (layer.macs_exact, prod(layer.weight_shape), layer.out_channels, prod(layer.output_shape))
        for layer in layers
    ]
    total = tuple(sum(column) for column in zip(*counts, strict=True))
    rows = tuple(
        (name, macs, round(100 * macs / total[0], 1) if total[0] else None, *rest)
        for name, (macs, *rest) in zip([*stack.names(), "all"], [*counts, total], strict=True)
    )
    columns = ("layer", "multiplications", "%", "weights", "biases", "outputs")
    return Section(
        "work",
        "Multiplications and parameters",
        (
            Table("layers", columns, rows),
            Line(
                "Multiplications are products that land in the output, for the whole batch. A layer without "
                f"bias has no biases. In float32 the outputs of all layers take {_bytes(4 * total[3])}, "
                f"their weights {_bytes(4 * total[1])}."
            ),
        ),
    )


def as_one(stack: Stack) -> Section:
    """The one layer that the stack equals if it is linear."""
    one = stack.as_one()
    macs = sum(layer.macs_exact for layer in stack.layers)
    where = (
        "away from the borders, since an inner layer crops" if stack.crops_inside else "at the borders, too"
    )
    return Section(
        "one",
        "As one layer",
        (
            Line(f"Without activations and biases the stack equals one layer; {where}:"),
            Line(str(one), formula=True),
            Line(
                f"Its kernel has {prod(one.weight_shape):,} weights and needs {one.macs_exact:,} "
                f"multiplications; the stack needs {macs:,}. Activations between the layers are what a stack "
                "can do and one layer cannot."
            ),
        ),
    )


def _bytes(number: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number} bytes"


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _kinds(count: int, *, code: int = 0, words: int = 0) -> tuple[str, ...]:
    """Names first, numbers at the end."""
    kinds = ["name", "name", *["number"] * (count - 2)]
    if code:
        kinds[code] = "code"
    if words:
        kinds[words] = "words"
    return tuple(kinds)


#: Name -> the function that makes the section.
STACK_SECTIONS: Mapping[str, Callable[[Stack], Section]] = MappingProxyType(
    {
        "size": size,
        "field": field,
        "cells": cells,
        "coverage": coverage,
        "work": work,
        "one": as_one,
    }
)
