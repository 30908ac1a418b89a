"""The matrix: C of the convolution, and its transpose, which is this layer."""

from __future__ import annotations

from math import prod

import numpy as np

from tconv.drawing.grid import Grid, cell_size, played
from tconv.drawing.palette import hue
from tconv.drawing.picture import Picture, framed, sizes
from tconv.drawing.scene import Scene
from tconv.drawing.shapes import Rect, Shape, Stroke, beside, stacked
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.views import triplets

__all__ = ["matrix"]

_HEADLINE = "As matrices: C maps the output's values to the input's, its transpose maps back"
_MOST = 160


def matrix(scene: Scene, animated: bool) -> Picture:
    """C and its transpose side by side, coloured by tap; animated, one row of C after another."""
    g = scene.geometry
    inputs, outputs = prod(g.input), prod(g.output)
    if max(inputs, outputs) > _MOST:
        raise TconvError(
            f"{g}: its matrix has {outputs} rows and {inputs} columns; at most {_MOST} of each can be shown; "
            f"{_fitting(g)} would fit"
        )
    cell = cell_size(inputs + outputs + scene.lifted.kernel[2], 860)
    taps = prod(g.kernel)
    ranks = np.arange(taps).reshape(g.kernel)
    rows, columns, found = triplets(ranks, g)
    forward = Grid(
        f"C: {inputs} x {outputs}, the convolution", (range(1), range(inputs), range(outputs)), cell
    )
    back = Grid(
        f"its transpose: {outputs} x {inputs}, this layer", (range(1), range(outputs), range(inputs)), cell
    )
    key = Grid.sized(
        f"kernel {sizes(g.kernel)}, its taps", scene.lifted.kernel, min(30, cell_size(taps, 400))
    )
    keys: list[Shape] = []
    for index, (_, tap) in zip(key, np.ndenumerate(ranks), strict=True):
        keys += key.fill(index, hue(int(tap), taps), str(tap))
    entries: list[tuple[list[Shape], list[Shape]]] = [([], []) for _ in range(inputs)]
    for o, i, tap in zip(rows.tolist(), columns.tolist(), found.tolist(), strict=True):
        entries[i][0].extend(forward.fill((0, i, o), hue(tap, taps), str(tap)))
        entries[i][1].extend(back.fill((0, o, i), hue(tap, taps), str(tap)))
    frames: tuple[list[list[Shape]], list[list[Shape]]] = ([], [])
    last_in, last_out = g.input[-1], g.output[-1]
    drawn = _ruled(forward, last_in, last_out), _ruled(back, last_out, last_in)
    for i, added in enumerate(entries):
        places = ((0, i, 0), (1, i + 1, outputs)), ((0, 0, i), (1, outputs, i + 1))
        for grid, place, shapes, new, steps in zip(
            (forward, back), places, drawn, added, frames, strict=True
        ):
            shapes += new
            steps.append([*shapes, *grid.window(*place, "ink")])
    one, other = (
        played(grid, [*(steps if animated else []), shapes])
        for grid, shapes, steps in zip((forward, back), drawn, frames, strict=True)
    )
    body = beside(stacked(one, key.block(*keys), gap=30), other, gap=36)
    notes = [
        f"A row of C reads {sizes(g.kernel)} outputs, the same column of the transpose writes as many. "
        "Thick lines separate the rows of the pictures.",
        "The connectivity is kept, the values are not recovered: the transpose is not an inverse.",
    ]
    if g.in_channels * g.out_channels > 1:
        notes.append("Drawn for one pair of channels.")
    return framed(g, _HEADLINE, body, notes)


def _fitting(g: Geometry) -> str:
    for size in range(max(g.input), 0, -1):
        smaller = tuple(min(i, size) for i in g.input)
        outputs = prod(g.axis(a)._replace(input=i).output for a, i in enumerate(smaller))
        if prod(smaller) <= _MOST and 0 < outputs <= _MOST:
            return f"an input of {sizes(smaller)}"
    return "a smaller kernel"


def _ruled(grid: Grid, down: int, across: int) -> list[Shape]:
    """Paper with lines between cells, stronger ones where a row of the picture ends."""
    _, rows, columns = grid.spans
    x, y = grid.corner((0, 0, 0))
    width, height = len(columns) * grid.cell, len(rows) * grid.cell
    lines: list[Shape] = [Rect(x, y, width, height, "blank")]
    for count, every, upright in ((len(rows), down, False), (len(columns), across, True)):
        for n in range(count + 1):
            strong = n % every == 0
            if not strong and grid.cell < 8:
                continue
            ends = (
                (x + n * grid.cell, y, x + n * grid.cell, y + height)
                if upright
                else (x, y + n * grid.cell, x + width, y + n * grid.cell)
            )
            lines.append(Stroke(*ends, "muted" if strong else "cell", 1.2 if strong else 0.8))
    return lines
