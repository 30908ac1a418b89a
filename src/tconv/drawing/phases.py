"""The phases: the output as interleaved parts, each computed from the input by its own sub-filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress, product
from math import gcd, prod
from typing import NamedTuple, TypeAlias

import numpy as np

from tconv.drawing.grid import UNNUMBERED, Grid, cell_size, played
from tconv.drawing.palette import hue
from tconv.drawing.picture import Picture, each, framed, sizes
from tconv.drawing.scene import Cells, Scene, cells
from tconv.drawing.shapes import Block, Shape, arrow, beside, label, stacked
from tconv.errors import TconvError
from tconv.geometry import Geometry, Phase

__all__ = ["phases", "steps"]

Part: TypeAlias = tuple[Phase, ...]  # a phase along each axis

_HEADLINE = "The output is interleaved phases; each correlates the input with its own sub-filter"
_SHARED, _SHORT = "stride and dilation share a factor", "the kernel is shorter than the stride"
_MOST = 36
_APART = 6  # this many hues are distinguishable in any order
_ROW = 9  # sub-filters in a row


class _Ink(NamedTuple):
    """How a phase is written into its cells."""

    colour: str
    name: str

    def fill(self, grid: Grid, index: Cells, text: str, ink: str, *, newest: bool) -> list[Shape]:
        """A cell of the phase, strong while the phase is the newest one of an animation."""
        if newest:
            return grid.fill(index, f"{self.colour}.strong", text, "paper")
        return grid.fill(index, self.colour, text, ink)


def steps(geometry: Geometry) -> int:
    """The most phases that an animation fills in; those without taps come together, at the end."""
    return min(_MOST, prod(geometry.stride))


def phases(scene: Scene, animated: bool) -> Picture:
    """The kernel and output coloured by phase, and the sub-filter of each; animated, one after another."""
    g = scene.geometry
    if prod(g.stride) > _MOST:
        raise TconvError(
            f"{g}: stride {sizes(g.stride)} has {prod(g.stride)} phases; at most {_MOST} can be "
            f"distinguished; a stride of {int(_MOST ** (1 / g.axes) + 1e-9)} along each axis would fit"
        )
    parts = list(product(*(axis.phases() for axis in scene.axes)))
    full = [part for part in parts if _taps(part)]
    # Many hues are close together, so neighbouring phases get distant ones.
    steps = range(round(0.4 * len(full)) if len(full) > _APART else 1, len(full) + 1)
    step = next(n for n in steps if gcd(n, len(full)) == 1)
    colours = {part: hue(n * step % len(full), len(full)) for n, part in enumerate(full)}
    inks = {
        part: _Ink(colours.get(part, "blank"), _name(tuple(phase.residue for phase in part), g.axes))
        for part in parts
    }
    columns = scene.lifted.kernel[2] + len(scene.spans[2])
    cell = cell_size(columns if g.axes < 3 else 2 * columns, 600)

    kernel = Grid.sized(f"kernel {sizes(g.kernel)}", scene.lifted.kernel, cell)
    output = Grid(f"output {sizes(g.output)}, by phase", scene.spans, cell, scene.kept_spans)
    taps = {tap: part for part in full for tap in _taps(part)}
    # A frame per phase, the newest; and one without, the whole.
    frames = [*(full if animated else []), None]
    above = [
        played(kernel, [_kernel(kernel, taps, inks, newest) for newest in frames]),
        played(output, [_output(scene, output, parts, inks, newest) for newest in frames]),
    ]
    body = stacked(*above, gap=20) if g.axes == 1 else beside(above[0], arrow(), above[1])
    filters = [_sub_filter(scene, part, inks[part], [part == newest for newest in frames]) for part in full]
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


def _kernel(
    grid: Grid, taps: Mapping[Cells, Part], inks: Mapping[Part, _Ink], newest: Part | None
) -> list[Shape]:
    return [
        shape
        for tap in grid
        for shape in inks[taps[tap]].fill(grid, tap, inks[taps[tap]].name, "ink", newest=taps[tap] == newest)
    ]


def _output(
    scene: Scene, grid: Grid, parts: Sequence[Part], inks: Mapping[Part, _Ink], newest: Part | None
) -> list[Shape]:
    """The output up to the newest phase, or all of it."""
    filled = parts if newest is None else [part for part in parts[: parts.index(newest) + 1] if _taps(part)]
    by_residue = {tuple(phase.residue for phase in part): part for part in filled}
    shapes: list[Shape] = []
    for u in grid:
        part = by_residue.get(tuple(c % a.stride for c, a in zip(u, scene.axes, strict=True)))
        kept = scene.kept(u)
        if part is None:
            shapes += grid.fill(u, "blank")
        else:
            shapes += inks[part].fill(
                grid, u, inks[part].name, "ink" if kept else "muted", newest=part == newest
            )
        if not kept:
            shapes += grid.hatch(u)
    return [*shapes, *grid.window(scene.low, scene.high, "ink", 2)]


def _taps(part: Part) -> list[Cells]:
    return [cells(taps) for taps in product(*([tap for tap, _ in phase.taps] for phase in part))]


def _name(index: tuple[int, ...], axes: int) -> str:
    return ",".join(map(str, index[3 - axes :]))


def _sub_filter(scene: Scene, part: Part, ink: _Ink, newest: Sequence[bool]) -> Block:
    """The taps of a phase by rising input, that is by falling tap; strong in frames where it is newest."""
    lines = [[tap for tap, _ in reversed(phase.taps)] for phase in part]
    shape = tuple(map(len, lines))
    axes = scene.geometry.axes
    cell = min(34.0, max(8.0, 300 // max(shape)))
    grid = Grid.sized(f"phase {ink.name}", shape, cell, UNNUMBERED)
    frames: list[list[Shape]] = [[] for _ in newest]
    for index in np.ndindex(*shape):
        tap = tuple(line[c] for line, c in zip(lines, index, strict=True))
        for frame, strong in zip(frames, newest, strict=True):
            frame += ink.fill(grid, cells(index), f"w{_name(tap, axes)}", "ink", newest=strong)
    return played(grid, frames)
