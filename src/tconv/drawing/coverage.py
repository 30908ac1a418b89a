"""The coverage: how many taps reach each output, and how unevenly."""

from __future__ import annotations

import numpy as np

from tconv.drawing.grid import LETTERS, UNNUMBERED, Grid, cell_size
from tconv.drawing.legend import scale
from tconv.drawing.palette import heat
from tconv.drawing.picture import Picture, framed, sizes
from tconv.drawing.scene import Scene
from tconv.drawing.shapes import Shape, beside, stacked

__all__ = ["coverage"]

_HEADLINE = "Coverage: how many taps reach each output"


def coverage(scene: Scene) -> Picture:
    """A heat map with counts, and the counts along each axis, whose product it is."""
    g = scene.geometry
    lines = [np.array(axis.coverage()) for axis in scene.axes]
    counts = np.multiply.outer(np.multiply.outer(lines[0], lines[1]), lines[2])
    most = int(counts.max())
    planes = len(lines[0])
    cell = cell_size(counts.shape[2] * (planes if planes < 3 else 3), 640)
    grid = Grid.sized(f"output {sizes(g.output)}", counts.shape, cell)
    body = grid.block(*_cells(grid, counts, most))
    if g.axes == 2:
        rows = Grid("rows", (range(1), range(len(lines[1])), range(1)), cell, UNNUMBERED)
        columns = Grid.sized("columns", (1, 1, len(lines[2])), cell, UNNUMBERED)
        side = rows.block(*_cells(rows, lines[1].reshape(1, -1, 1), int(lines[1].max())))
        top = columns.block(*_cells(columns, lines[2].reshape(1, 1, -1), int(lines[2].max())))
        body = stacked(top.indented(side.width + 16 + grid.left), beside(side, body, gap=16))
    if cell < LETTERS:
        ticks = [(count, str(count)) for count in sorted({0, most, *np.unique(counts).tolist()})]
        body = beside(body, scale(lambda count: heat(count / max(most, 1)), 0, max(most, 1), ticks[-5:]))
    return framed(g, _HEADLINE, body, _notes(scene, counts))


def _cells(grid: Grid, counts: np.ndarray, most: int) -> list[Shape]:
    shapes: list[Shape] = []
    for index in grid:
        count = int(counts[tuple(c - along.start for c, along in zip(index, grid.spans, strict=True))])
        colour = heat(count / max(most, 1))
        shapes += grid.fill(index, colour, str(count), f"on.{colour}")
    return shapes


def _notes(scene: Scene, counts: np.ndarray) -> list[str]:
    """The evenness is that of the phases, since in any layer fewer taps reach the borders."""
    g = scene.geometry
    least, most = g.evenness
    if most == least:
        figure = f"every output is reached by {most} tap{'s' * (most != 1)}: even."
    elif least == 0:
        figure = f"outputs are reached by 0 to {most} taps: some hold the bias alone."
    else:
        figure = f"{least} to {most} taps reach outputs, most / fewest = {most / least:.3g}: a checkerboard."
    axes = [axis for axis in map(g.axis, range(g.axes)) if axis.input > 1]
    kinds = sorted({(axis.kernel, axis.stride, len(set(axis.evenness)) == 1) for axis in axes})
    spread = ", ".join(
        f"kernel {k} spreads {'' if even else 'un'}evenly over stride {s}" for k, s, even in kinds
    )
    spread = spread or "a single input overlaps with no other"
    return [
        f"Away from the borders {figure}",
        f"{spread[0].upper()}{spread[1:]}. All counts add up to {int(counts.sum())} products.",
    ]
