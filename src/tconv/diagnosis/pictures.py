"""Pictures of a layer before and after its gains are made equal."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod

import numpy as np

from tconv import algebra
from tconv.algebra.arrays import Array
from tconv.diagnosis.measures import Measures, stepped
from tconv.drawing import Picture, draw
from tconv.drawing.grid import UNNUMBERED, Grid, cell_size, number
from tconv.drawing.legend import scale
from tconv.drawing.palette import signed
from tconv.drawing.picture import framed
from tconv.drawing.shapes import Block, Shape, arrow, beside
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.models.layer import ModelLayer

__all__ = ["answers", "coverage", "responses"]

_CELLS = 12  # shown along an axis
_PLANES = 4
_TAPS = 256  # of a filter; twelve filters are shown, each twice
_DARK = 0.6  # from this part of the ramp on, text has the paper's colour
_FEW = 8  # inputs along an axis where coverage is shown


def coverage(layer: ModelLayer) -> Picture:
    """The coverage of a layer of one channel and few inputs, of the same kernel, stride and padding."""
    g = layer.known
    few = tuple(min(size, _FEW) for size in g.input)
    return draw(replace(g, batch=1, in_channels=1, out_channels=1, groups=1, input=few), "coverage")


def answers(layer: ModelLayer, measures: Measures, after: Array | None) -> Picture:
    """The response of the least flat output channel to ones in every input channel, now and after the fix."""
    assert measures.weights is not None
    g, worst = layer.known, measures.weights.worst
    values = [_laid(g, measures.weights.channels[worst])]
    if after is not None:
        flat = algebra.constant_response(after, stepped(layer), g.dilation, g.groups)
        values.append(_laid(g, flat[worst]))
    most = max(float(np.abs(laid).max()) for laid in values) or 1.0
    grids = [
        _grid(title, laid, most) for title, laid in zip(("now", "with equal gains"), values, strict=False)
    ]
    body = grids[0] if len(grids) == 1 else beside(grids[0], arrow(), grids[1])
    ramp = scale(
        lambda value: signed(value / most), -most, most,
        [(-most, f"{-most:.3g}"), (0.0, "0"), (most, f"{most:.3g}")],
    )  # fmt: skip
    notes = ["Away from the borders, without bias; one square is one output."]
    headline = f"What output channel {worst} makes of ones in every input channel"
    return framed(g, headline, beside(body, ramp, gap=24), notes)


def _laid(g: Geometry, gains: Array) -> Array:
    """Gains by phase as a field of outputs: (planes, rows, columns), real, in the cropped output's order."""
    real = np.abs(gains) if gains.dtype.kind == "c" else np.asarray(gains, np.float64)
    sizes = [
        min(o, _span(s, last=a >= g.axes - 2))
        for a, (s, o) in enumerate(zip(gains.shape, g.output, strict=True))
    ]
    indices = [
        (np.arange(size) + lo) % s for size, s, (lo, _) in zip(sizes, gains.shape, g.padding, strict=True)
    ]
    return real[np.ix_(*indices)].reshape((*(1,) * (3 - g.axes), *sizes))


def _span(stride: int, last: bool) -> int:
    """Outputs shown along an axis: whole periods, if they are short; before the last two axes one."""
    whole = min(max(stride, _CELLS // stride * stride), 2 * _CELLS)
    return whole if last else min(stride, _PLANES)


def _grid(title: str, values: Array, most: float) -> Block:
    cell = cell_size(values.shape[2] * min(values.shape[0], 2), 330)
    grid = Grid.sized(title, values.shape, cell, UNNUMBERED)  # a part, whose indices say nothing
    shapes: list[Shape] = []
    for z, y, x in product(*map(range, values.shape)):
        part = float(values[z, y, x]) / most
        ink = "paper" if abs(part) >= _DARK else "ink"
        shapes += grid.fill((z, y, x), signed(part), number(values[z, y, x]), ink)
    return grid.block(*shapes)


def responses(layer: ModelLayer, after: Array | None) -> list[tuple[str, Picture]]:
    """The filters and their frequency response, now and with equal gains.

    Raises:
        TconvError: a kernel that is too large to be drawn.
    """
    g = replace(layer.known, batch=1)
    if prod(g.kernel) > _TAPS:
        raise TconvError(
            f"{g}: filters of {prod(g.kernel)} taps would make the page heavy; at most {_TAPS} are shown, "
            "and tconv draw --view filter shows more"
        )
    weights = [("Now", layer.weight), ("With equal gains", after)]
    return [
        (title, draw(g, "filter", weights=np.asarray(weight, np.float64)))
        for title, weight in weights
        if weight is not None
    ]
