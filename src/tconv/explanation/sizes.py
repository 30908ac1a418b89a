"""The size of the output, why it is so, and the same layer by inserted zeros."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tconv.documents import Item, Line, Section, Table
from tconv.errors import TconvError
from tconv.explanation.request import Request, alike
from tconv.geometry import Axis, Geometry
from tconv.geometry.normalize import padding_pairs

__all__ = ["size", "zeros"]

FORMULA = "output = (input - 1) * stride - lo - hi + dilation * (kernel - 1) + 1 + output_padding"


def size(request: Request) -> Section:
    """The size formula (Dumoulin & Visin 2016, relationship 14, with dilation) and its numbers."""
    g = request.geometry
    axes = ", ".join(f"axis {a}" for a in range(g.axes))
    shapes = Table(
        "shapes",
        ("array", "shape", "axes"),
        (
            ("input", g.input_shape, f"batch, channels, {axes}"),
            ("weight", g.weight_shape, f"input channels, output channels / groups, {axes}"),
            ("output", g.output_shape, f"batch, channels, {axes}"),
        ),
    )
    worked = Table(
        "axes",
        ("axis", "input", "stride", "lo", "hi", "dilation", "kernel", "output_padding", "output"),
        tuple(
            (a, x.input, x.stride, x.lo, x.hi, x.dilation, x.kernel, x.output_padding, x.output)
            for a, x in enumerate(g.axis(a) for a in range(g.axes))
        ),
    )
    lines = [Line(f"{name}: {_with_numbers(axis)}", formula=True) for name, axis in alike(g)]
    return Section(
        "size", "Size of the output", (shapes, worked, Line(FORMULA, formula=True), *lines, *_why(g))
    )


def _with_numbers(x: Axis) -> str:
    terms = [
        f"({x.input} - 1) * {x.stride}",
        _minus(x.lo),
        _minus(x.hi),
        f"+ {x.dilation} * ({x.kernel} - 1) + 1 + {x.output_padding} = {x.output}",
    ]
    return " ".join(terms)


def _minus(number: int) -> str:
    return f"- {number}" if number >= 0 else f"+ {-number}"


def _why(g: Geometry) -> Iterator[Item]:
    """Which sizes belong together, and how to get an output of stride times the input."""
    for name, axis in alike(g):
        wanted = axis.input * axis.stride
        together = [o for o in range(axis.smallest_output, axis.smallest_output + axis.stride) if o > 0]
        if len(together) > 1 and axis.output in together:
            yield Line(
                f"On {name} the convolution with these options takes {_all(together)} to {axis.input}; "
                f"output_padding {axis.output_padding} picks {axis.output}."
            )
        if axis.output == wanted:
            yield Line(f"On {name} the output is the input times the stride: {axis.input} * {axis.stride}.")
        elif axis.input > 1:
            left = axis.output - (axis.input - 1) * axis.stride
            yield Line(
                f"Why {axis.output} and not {wanted} = {axis.input} * {axis.stride} on {name}: the kernel "
                f"spans {_span(axis)}; less lo {axis.lo} and hi {axis.hi}, with output_padding "
                f"{axis.output_padding}, that leaves {left}, where the stride, {axis.stride}, is needed."
            )
    fixes = tuple(_fixes(g))
    if fixes:
        yield Line("Changes that give the input times the stride:")
        yield Table("input times stride", ("change", "output", "lo", "problem"), fixes)
    starts = {change: lo for change, _, lo, _ in fixes if change != "kernel"}
    if len(set(starts.values())) > 1:
        yield Line(
            f"{' and '.join(starts)} crop the same uncropped output at different ends: their outputs "
            "differ by a shift."
        )


def _all(sizes: list[int]) -> str:
    return f"both {sizes[0]} and {sizes[1]}" if len(sizes) == 2 else f"each of {sizes[0]} to {sizes[-1]}"


def _span(axis: Axis) -> int:
    return axis.dilation * (axis.kernel - 1) + 1


def _fixes(g: Geometry) -> Iterator[tuple[str, str, str, str]]:
    """Problems like `g` whose output is input * stride on every axis, by one change each."""
    wanted = tuple(i * s for i, s in zip(g.input, g.stride, strict=True))
    if wanted == g.output or max(g.input) == 1:
        return
    missing = tuple(want - g.axis(a).smallest_output for a, want in enumerate(wanted))
    spans = [s + lo + hi - 1 for s, (lo, hi) in zip(g.stride, g.padding, strict=True)]
    kernel = tuple(0 if span % d else span // d + 1 for span, d in zip(spans, g.dilation, strict=True))
    none = (0,) * g.axes
    changes: dict[str, dict[str, Any]] = {
        "output_padding": {"output_padding": missing},
        'padding "same"': {
            "padding": padding_pairs("same", g.kernel, g.stride, g.dilation),
            "output_padding": none,
        },
        "kernel": {"kernel": kernel, "output_padding": none},
    }
    for name, options in changes.items():
        try:
            changed = replace(g, **options)
        except TconvError:
            continue  # no such layer, for example if an output padding would be negative
        starts = "x".join(str(lo) for lo, _ in changed.padding)
        yield name, "x".join(map(str, changed.output)), starts, str(changed)


def zeros(request: Request) -> Section:
    """The recipe of Dumoulin & Visin 2016, chapter 4, with its numbers."""
    g = request.geometry
    recipe = g.zero_insertion()
    rows = []
    for a, (before, after) in enumerate(recipe.around):
        axis = g.axis(a)
        spread = (axis.input - 1) * axis.stride + 1
        with_zeros = spread + before + after
        between = recipe.between[a]
        rows.append((a, axis.input, between, spread, before, after, with_zeros, _span(axis), axis.output))
    columns = (
        *("axis", "input", "between", "spread", "before", "after"),
        *("with zeros", "kernel spans", "output"),
    )
    items: list[Item] = [
        Line(
            "The same output comes from a convolution with stride 1: put stride - 1 zeros between "
            "neighbouring inputs, dilation * (kernel - 1) - lo zeros before them and dilation * (kernel - 1) "
            "- hi + output_padding after them, turn the kernel by 180 degrees (along every axis)"
            + (", dilate it" if max(g.dilation) > 1 else "")
            + " and slide it one cell at a time."
        ),
        Table("recipe", columns, tuple(rows)),
        Line("output = with zeros - kernel spans + 1", formula=True),
    ]
    if any(side < 0 for sides in recipe.around for side in sides):
        items.insert(2, Line("A negative number of zeros crops as many cells."))
    return Section("zeros", "The same by inserting zeros", tuple(items))
