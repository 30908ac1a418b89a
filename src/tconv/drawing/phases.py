"""The phases: the output as interleaved parts, each computed from the input by its own sub-filter."""

from __future__ import annotations

from itertools import compress, product
from math import gcd

import numpy as np

from tconv.drawing.grid import Grid, cell_size
from tconv.drawing.palette import hue
from tconv.drawing.picture import Picture, each, framed, sizes
from tconv.drawing.scene import Cells, Scene, cells
from tconv.drawing.shapes import Block, Shape, arrow, beside, label, stacked
from tconv.errors import TconvError
from tconv.geometry import Phase

__all__ = ["phases"]

_HEADLINE = "The output is interleaved phases; each correlates the input with its own sub-filter"
_SHARED, _SHORT = "stride and dilation share a factor", "the kernel is shorter than the stride"
_MOST = 36
_APART = 6  # this many hues are distinguishable in any order
_ROW = 9  # sub-filters in a row


def phases(scene: Scene) -> Picture:
    """The kernel and the output coloured by phase, and the sub-filter of each phase."""
    g = scene.geometry
    parts = list(product(*(axis.phases() for axis in scene.axes)))
    if len(parts) > _MOST:
        raise TconvError(
            f"{g}: stride {sizes(g.stride)} has {len(parts)} phases; at most {_MOST} can be distinguished; "
            f"a stride of {int(_MOST ** (1 / g.axes) + 1e-9)} along each axis would fit"
        )
    full = [part for part in parts if _taps(part)]
    # Many hues are close together, so neighbouring phases get distant ones.
    steps = range(round(0.4 * len(full)) if len(full) > _APART else 1, len(full) + 1)
    step = next(n for n in steps if gcd(n, len(full)) == 1)
    colours = {part: hue(n * step % len(full), len(full)) for n, part in enumerate(full)}
    names = {part: _name(tuple(phase.residue for phase in part), g.axes) for part in parts}
    columns = scene.lifted.kernel[2] + len(scene.spans[2])
    cell = cell_size(columns if g.axes < 3 else 2 * columns, 600)

    kernel = Grid.sized(f"kernel {sizes(g.kernel)}", scene.lifted.kernel, cell)
    output = Grid(f"output {sizes(g.output)}, by phase", scene.spans, cell)
    taps = {tap: part for part in full for tap in _taps(part)}
    shapes = [s for tap in kernel for s in kernel.fill(tap, colours[taps[tap]], names[taps[tap]])]
    by_residue = {tuple(phase.residue for phase in part): part for part in parts}
    drawn: list[Shape] = []
    for u in output:
        part = by_residue[tuple(c % a.stride for c, a in zip(u, scene.axes, strict=True))]
        kept = scene.kept(u)
        drawn += output.fill(u, colours.get(part, "blank"), names[part], "ink" if kept else "muted")
        if not kept:
            drawn += output.hatch(u)
    drawn += output.window(scene.low, scene.high, "ink", 2)
    above = [kernel.block(*shapes), output.block(*drawn)]
    body = stacked(*above, gap=20) if g.axes == 1 else beside(above[0], arrow(), above[1])
    filters = [_sub_filter(scene, part, colours[part], names[part]) for part in full]
    rows = [beside(*filters[n : n + _ROW], gap=30) for n in range(0, len(filters), _ROW)]
    title = label("Sub-filters: the taps of each phase, over neighbouring inputs in this order", 12)
    body = stacked(body, stacked(title, *rows, gap=12), gap=26)
    return framed(g, _HEADLINE, body, _notes(scene, len(parts), len(full)))


def _notes(scene: Scene, count: int, full: int) -> list[str]:
    g = scene.geometry
    phrase = "1 phase, a" if count == 1 else f"{count} phases, each a"
    notes = [f"Stride {each(g.stride)}: {phrase} stride-1 correlation of the input itself."]
    if full < count:
        why = (_SHARED if gcd(s, d) > 1 else _SHORT for s, d in zip(g.stride, g.dilation, strict=True))
        bare = (not all(phase.taps for phase in g.phases(a)) for a in range(g.axes))
        reason = " and ".join(dict.fromkeys(compress(why, bare)))
        notes.append(f"{count - full} have no tap, since {reason}: their outputs hold the bias alone.")
    elif any(len({len(phase.taps) for phase in g.phases(a)}) > 1 for a in range(g.axes)):
        notes.append("Phases differ in their number of taps: the coverage is uneven.")
    return notes


def _taps(part: tuple[Phase, ...]) -> list[Cells]:
    return [cells(taps) for taps in product(*([tap for tap, _ in phase.taps] for phase in part))]


def _name(index: tuple[int, ...], axes: int) -> str:
    return ",".join(map(str, index[3 - axes :]))


def _sub_filter(scene: Scene, part: tuple[Phase, ...], colour: str, name: str) -> Block:
    """The taps of a phase; by rising input, that is by falling tap."""
    lines = [[tap for tap, _ in reversed(phase.taps)] for phase in part]
    shape = tuple(map(len, lines))
    axes = scene.geometry.axes
    cell = min(34.0, max(8.0, 300 // max(shape)))
    grid = Grid.sized(f"phase {name}", shape, cell)
    shapes: list[Shape] = []
    for index in np.ndindex(*shape):
        tap = tuple(line[c] for line, c in zip(lines, index, strict=True))
        shapes += grid.fill(cells(index), colour, f"w{_name(tap, axes)}")
    return grid.block(*shapes)
