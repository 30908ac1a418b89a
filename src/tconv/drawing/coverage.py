"""The coverage: how many taps reach each output, and how unevenly."""

from __future__ import annotations

from math import prod

import numpy as np

from tconv.drawing.grid import Grid, cell_size
from tconv.drawing.palette import heat
from tconv.drawing.picture import Picture, framed, sizes
from tconv.drawing.scene import Scene
from tconv.drawing.shapes import Shape, beside, stacked

__all__ = ["coverage"]

_HEADLINE = "Coverage: how many taps reach each output"
_DARK = 0.6  # from this part of the ramp on, letters are of the paper's colour


def coverage(scene: Scene) -> Picture:
    """A heat map with counts, and the counts along each axis, of which it is the product."""
    g = scene.geometry
    lines = [np.array(axis.coverage()) for axis in scene.axes]
    counts = np.multiply.outer(np.multiply.outer(lines[0], lines[1]), lines[2])
    most = int(counts.max())
    planes = len(lines[0])
    cell = cell_size(counts.shape[2] * (planes if planes < 3 else 3), 640)
    grid = Grid.sized(f"output {sizes(g.output)}", counts.shape, cell)
    body = grid.block(*_cells(grid, counts, most))
    if g.axes == 2:
        rows = Grid("rows", (range(1), range(len(lines[1])), range(1)), cell)
        columns = Grid.sized("columns", (1, 1, len(lines[2])), cell)
        side = rows.block(*_cells(rows, lines[1].reshape(1, -1, 1), int(lines[1].max())))
        top = columns.block(*_cells(columns, lines[2].reshape(1, 1, -1), int(lines[2].max())))
        body = stacked(top.indented(side.width + 16), beside(side, body, gap=16))
    return framed(g, _HEADLINE, body, _notes(scene, counts))


def _cells(grid: Grid, counts: np.ndarray, most: int) -> list[Shape]:
    shapes: list[Shape] = []
    for index in grid:
        count = int(counts[tuple(c - along.start for c, along in zip(index, grid.spans, strict=True))])
        part = count / max(most, 1)
        shapes += grid.fill(index, heat(part), str(count), "paper" if part >= _DARK else "ink")
    return shapes


def _notes(scene: Scene, counts: np.ndarray) -> list[str]:
    """The figure is that of the phases, since borders are uncovered in any layer."""
    g = scene.geometry
    taps = [[len(phase.taps) for phase in g.phases(a)] for a in range(g.axes)]
    most, least = prod(map(max, taps)), prod(map(min, taps))
    mean = prod(g.kernel) / prod(g.stride)
    seen = f"Away from the borders {least} to {most} taps reach an output, {mean:.3g} on average"
    seen = f"Away from the borders {most} taps reach every output" if most == least else seen
    verdict = f"Unevenness (most - least) / mean = {(most - least) / mean:.2f}: " + (
        "none, so no checkerboard from the sizes alone."
        if most == least
        else "some outputs have no tap."
        if least == 0
        else "a checkerboard, unless the weights make up for it."
    )
    kinds = sorted({(k, s, max(t) == min(t)) for k, s, t in zip(g.kernel, g.stride, taps, strict=True)})
    why = ", ".join(
        f"kernel {k} is {'' if even else 'not '}spread evenly over stride {s}" for k, s, even in kinds
    )
    return [
        f"{seen}.",
        verdict,
        f"{why[0].upper()}{why[1:]}. All counts add up to {int(counts.sum())} products.",
    ]
