"""Planning of `phases`: an implicit matrix product per phase, over boxes of cells with their margins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import gcd, prod
from typing import Any

from tconv.planning.cost import (
    BYTES,
    L2_SUMS,
    MIN_TASKS,
    PANELS,
    TASK_CYCLES,
    Machine,
    matrix_cycles,
    split,
    stream_cycles,
    tile_cycles,
    uneven,
)
from tconv.planning.plans import MapName, Problem

__all__ = ["candidates", "choose", "tiles_cycles"]

Box = tuple[int, int, int, int]

#: Parts of a float32 in matrix registers: three times the 8 bits of a bfloat16.
PARTS = 3


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the target's lattice, as core/lattice.cpp builds it."""

    cells: int
    phases: int  #: of the target
    margin: int  #: cells read past a box, both sides together
    gap: int  #: cells between rows where a box spans the axis
    source_phases: int
    taps: int  #: of all phases together


def _axis(problem: Problem, map: MapName, aligned: bool, a: int) -> Axis:
    i, o, k = problem.input[a], problem.output[a], problem.kernel[a]
    s, d, lo = problem.stride[a], problem.dilation[a], problem.lo[a]
    reach = d * (k - 1)
    if map != "conv_transpose":
        far = reach // s
        return Axis(i, 1, far, far, min(k, s // gcd(s, d)), k)
    if aligned:  # distances count from the cell that holds the first output
        near, far, cells = lo // s - reach // s, lo // s, -(-(o + lo % s) // s)
    else:  # ... and from each phase's own first output
        near, far, cells = -((reach - lo) // s), (s - 1 + lo) // s, -(-o // s)
    near, far = min(near, 0), max(far, 0)
    return Axis(cells, s, far - near, far - near if i > cells else max(far, -near), 1, k)


class Lattice:
    """The axes of a map, and how boxes of their cells lie in memory (core/layout.cpp)."""

    def __init__(self, problem: Problem, map: MapName, aligned: bool, size: int, parts: int = 0) -> None:
        """`size`: bytes of a number; `parts` of it in matrix registers."""
        self.axes = [_axis(problem, map, aligned, a) for a in range(3)]
        self.extents = (problem.batch, *(axis.cells for axis in self.axes))
        pair = problem.in_channels, problem.out_channels
        self.depth, self.target = pair if map == "conv_transpose" else pair[::-1]
        self.phases = prod(axis.phases for axis in self.axes)
        self.taps = prod(axis.taps for axis in self.axes)
        self.size, self.parts = size, parts
        self.blocks = -(-self.depth // 32)  # of channels, for matrix registers
        self.rows = parts * self.blocks * 16 if parts else self.depth  # of a panel
        self._bytes = self.rows * prod(axis.source_phases for axis in self.axes) * size

    def extent(self, box: Box) -> tuple[int, int]:
        """Positions from a box's first cell to its last, and bytes of its panel."""
        z, y, x = self.axes
        row = box[3] + (x.gap if box[3] >= x.cells else x.margin)
        plane = row * (box[2] + (y.gap if box[2] >= y.cells else y.margin))
        volume = plane * (box[1] + (z.gap if box[1] >= z.cells else z.margin))
        positions = (box[0] - 1) * volume + (box[1] - 1) * plane + (box[2] - 1) * row + box[3]
        return positions, (positions + z.margin * plane + y.margin * row + x.margin + 16) * self._bytes

    def box(self, most_positions: int, most_bytes: int) -> Box:
        """Whole rows, as many as fit; part of one row where even that is too much."""
        sizes = [1, 1, 1, 1]
        for axis in (3, 2, 1, 0):
            low, high = 1, self.extents[axis]
            while low < high:  # the largest that fits
                sizes[axis] = (low + high + 1) // 2
                positions, panel = self.extent((sizes[0], sizes[1], sizes[2], sizes[3]))
                if positions <= most_positions and panel <= most_bytes:
                    low = sizes[axis]
                else:
                    high = sizes[axis] - 1
            # Rows shorter than a few vectors are mostly margin: better a larger panel than a narrow box.
            sizes[axis] = split(self.extents[axis], max(low, 64) if axis == 3 else low)
            if sizes[axis] < self.extents[axis]:
                break
        return sizes[0], sizes[1], sizes[2], sizes[3]

    def boxes(self, box: Box) -> int:
        """How many boxes there are."""
        return prod(-(-extent // size) for extent, size in zip(self.extents, box, strict=True))


def choose(problem: Problem, map: MapName, dtype: str, machine: Machine) -> dict[str, Any]:
    """The cheapest register tile, box and chunk, as fields of a Plan."""
    return min(candidates(problem, map, dtype, machine), key=lambda fields: fields["cost"])


def candidates(problem: Problem, map: MapName, dtype: str, machine: Machine) -> Iterator[dict[str, Any]]:
    """All plans that are weighed."""
    size = BYTES[dtype]
    modes = (0, PARTS) if machine.matrices and dtype == "f32" else (0,)
    for parts in modes:
        lattice = Lattice(problem, map, False, size, parts)
        yield from _lanes_of_positions(lattice, "positions", problem.groups, machine)
    axes = zip(problem.kernel, problem.stride, problem.dilation, strict=True)
    # Phases can share a tile where each has the same taps.
    if (
        map == "conv_transpose"
        and prod(problem.stride) > 1
        and all(d == 1 and k % s == 0 for k, s, d in axes)
    ):
        for parts in modes:
            aligned = Lattice(problem, map, True, size, parts)
            yield from _lanes_of_positions(aligned, "stacked", problem.groups, machine)
        yield from _lanes_of_channels(Lattice(problem, map, True, size), problem.groups, size, machine)


def tiles_cycles(rows: int, most_rows: int, columns: int, most_vectors: int) -> float:
    """Cycles of one step over `rows` x `columns` vectors, the last tiles cut."""
    total = 0.0
    for r, r_count in ((most_rows, rows // most_rows), (rows % most_rows, 1)):
        for v, v_count in ((most_vectors, columns // most_vectors), (columns % most_vectors, 1)):
            if r and v:
                total += tile_cycles(r, v) * r_count * v_count
    return total


def _matrix_cycles(rows: int, height: int, columns: int, width: int) -> float:
    """Cycles of one block of channels over `rows` x `columns` matrix registers, the last tiles cut."""
    total = 0.0
    for h, h_count in ((height, rows // height), (rows % height, 1)):
        for w, w_count in ((width, columns // width), (columns % width, 1)):
            if h and w:
                total += matrix_cycles(h, w) * h_count * w_count
    return total


def _tiles(lattice: Lattice, rows: int, machine: Machine) -> Iterator[tuple[int, int, Callable[[int], float]]]:
    """(rows, vectors, cycles of all source channels and one tap over so many columns) of each tile."""
    if lattice.parts:
        for height, width in machine.matrices:
            registers = -(-rows // 16)
            if height <= registers:
                yield (
                    height * 16,
                    width,
                    lambda columns, h=height, w=width: lattice.blocks * _matrix_cycles(registers, h, columns, w),
                )
        return
    for vectors, most_rows in enumerate(machine.rows, 1):
        height = split(rows, most_rows)
        yield (
            height,
            vectors,
            lambda columns, h=height, v=vectors: lattice.depth * tiles_cycles(rows, h, columns, v),
        )


def _boxes(lattice: Lattice, most: int, groups: int, unit: int) -> Iterator[Box]:
    """Boxes of at most `most` positions; smaller ones too where channels alone make too few tasks."""
    for panel in PANELS:
        yield lattice.box(most, panel)
    pieces = -(-MIN_TASKS // (groups * -(-lattice.target // unit)))
    if pieces > 1:
        yield lattice.box(max(16, min(most, lattice.extent(lattice.extents)[0] // pieces)), PANELS[1])


def _fields(
    lattice: Lattice, box: Box, groups: int, sums: float, store: float, calls: float, packed: float, unit: int
) -> dict[str, Any]:
    """The fields that all kinds of tile share; `sums`: cycles of the tiles of a box."""
    boxes = lattice.boxes(box)
    panel = lattice.extent(box)[1]
    busy = sums * (1.0 if panel <= PANELS[1] else 1.1) + store + calls
    if lattice.parts:
        busy += panel / lattice.parts / lattice.size * 2 * 0.5  # a number is cut in its parts
    cycles = (busy + panel * 0.04) * boxes * groups + stream_cycles(packed, boxes) * groups
    wanted = min(MIN_TASKS, int(cycles / TASK_CYCLES))
    units = -(-lattice.target // unit)
    pieces = max(1, min(units, -(-wanted // (boxes * groups))))
    idle = uneven(cycles, boxes * groups * pieces)
    return {"box": box, "chunk": -(-units // pieces) * unit, "cost": cycles * idle}


def _lanes_of_positions(
    lattice: Lattice, lanes: str, groups: int, machine: Machine
) -> Iterator[dict[str, Any]]:
    size = lattice.size
    stacked = lattice.phases if lanes == "stacked" else 1
    total_rows, taps = lattice.target * stacked, lattice.taps // stacked
    store = 0.2 if lattice.axes[2].phases in (1, 2, 4) else 1.0
    seen = set()
    for rows, vectors, cycles in _tiles(lattice, total_rows, machine):
        # Stacked rows are whole channels, stored together once a task has summed them.
        unit = rows // gcd(rows, stacked)
        kept = max(rows, min(unit, lattice.target) * stacked) if stacked > 1 else rows * lattice.phases
        most = min(max(64, L2_SUMS // (kept * size)), 4096)
        for box in _boxes(lattice, most, groups, unit):
            if (rows, vectors, box) in seen:
                continue
            seen.add((rows, vectors, box))
            positions, _ = lattice.extent(box)
            columns = -(-positions // machine.lanes)
            calls = -(-total_rows // rows) * -(-columns // vectors) * (lattice.phases // stacked) * 12.0
            fields = _fields(
                lattice,
                box,
                groups,
                cycles(columns) * taps,
                positions * lattice.phases * lattice.target * store,
                calls,
                total_rows * taps * lattice.rows * size,
                unit,
            )
            if stacked > 1:
                fits = L2_SUMS // (positions * stacked * size) // unit * unit
                fields["chunk"] = max(unit, min(fields["chunk"], fits))
            work = positions * total_rows * taps * lattice.depth * lattice.boxes(box) * groups
            tile = {"rows": rows, "vectors": vectors, "lanes": lanes, "parts": lattice.parts}
            yield {**tile, "computed_macs": work, **fields}


def _lanes_of_channels(
    lattice: Lattice, groups: int, size: int, machine: Machine
) -> Iterator[dict[str, Any]]:
    taps, run = lattice.taps // lattice.phases, lattice.axes[2].phases
    seen = set()
    for vectors, most_rows in enumerate(machine.rows, 1):
        lanes = vectors * machine.lanes
        unit = lanes // gcd(lanes, lattice.phases)  # channels whose phases fill whole tiles
        columns = -(-lattice.target * lattice.phases // lanes)
        most = min(max(most_rows, L2_SUMS // (min(unit, lattice.target) * lattice.phases * size)), 1024)
        for box in _boxes(lattice, most, groups, unit):
            if (vectors, box) in seen:
                continue
            seen.add((vectors, box))
            positions, _ = lattice.extent(box)
            rows = split(positions, most_rows)
            sums = tiles_cycles(positions, rows, columns * vectors, vectors) * taps * lattice.depth
            fields = _fields(
                lattice,
                box,
                groups,
                sums,
                positions * lattice.target * lattice.phases * (1.5 / run + 0.15),
                columns * -(-positions // rows) * 12.0,
                columns * lanes * taps * lattice.depth * size,
                unit,
            )
            fits = L2_SUMS // (positions * lattice.phases * size) // unit * unit
            fields["chunk"] = max(unit, min(fields["chunk"], fits))
            work = positions * columns * lanes * taps * lattice.depth * lattice.boxes(box) * groups
            yield {"rows": rows, "vectors": vectors, "lanes": "channels", "computed_macs": work, **fields}
