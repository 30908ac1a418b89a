"""Planning of `phases`: an implicit matrix product per phase, over boxes of cells with their margins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import gcd, lcm, prod
from typing import Any, TypeAlias

from tconv.planning.cost import (
    BYTES,
    FAR,
    FED,
    FED_BY_WEIGHTS,
    L2_SUMS,
    LINE,
    MIN_TASKS,
    MOST_WORKSPACE,
    PANELS,
    ROW,
    TASK_CYCLES,
    Machine,
    matrix_cycles,
    split,
    stream_cycles,
    tile_cycles,
    uneven,
)
from tconv.planning.lattice import Box, Lattice
from tconv.planning.plans import MapName, Problem

__all__ = ["candidates", "tiles_cycles"]

#: Parts of a number in matrix registers: the 24 bits of a float32 are three times the 8 of a bfloat16, the 11
#: of a float16 are in two.
PARTS = {"f32": 3, "f16": 2, "bf16": 1}
#: Channels last: numbers of a run that are worth reading or writing by themselves.
_RUN = 32
#: Positions of a map whose gaps are a good part of it, so that im2col can pay.
_SMALL_MAP = 1024


def candidates(
    problem: Problem, map: MapName, dtype: str, machine: Machine, last: bool = False
) -> Iterator[dict[str, Any]]:
    """All plans that are weighed."""
    size = BYTES[dtype]
    channels = problem.out_channels if map == "conv_transpose" else problem.in_channels
    last = last and problem.groups * channels > 1  # a single channel lies the same way in both layouts
    # Channels last: groups of few channels are packed and stored together, a run of memory at a time.
    together = min(problem.groups, -(-_RUN // channels)) if last else 1
    kinds: list[dict[str, Any]] = [{"together": together}]
    if problem.batch * prod(problem.input if map == "conv_transpose" else problem.output) <= _SMALL_MAP:
        kinds.append({"together": together, "im2col": True})
    if machine.matrices and dtype in PARTS:
        kinds.append({"parts": PARTS[dtype]})
    for kind in kinds:
        apart = Lattice(problem, map, False, size, **kind)
        yield from _lanes_of_positions(apart, "positions", problem.groups, machine, last)
    axes = zip(problem.kernel, problem.stride, problem.dilation, strict=True)
    # Phases can share a tile where each has the same taps.
    if (
        map == "conv_transpose"
        and prod(problem.stride) > 1
        and all(d == 1 and k % s == 0 for k, s, d in axes)
    ):
        for kind in kinds:
            aligned = Lattice(problem, map, True, size, **kind)
            yield from _lanes_of_positions(aligned, "stacked", problem.groups, machine, last)
        shared = Lattice(problem, map, True, size)
        if last:
            yield from _columns_by_phase(shared, shared.phases, problem.groups, size, machine)
        else:
            yield from _lanes_of_channels(shared, problem.groups, size, machine)
    elif last:
        yield from _columns_by_phase(Lattice(problem, map, False, size), 1, problem.groups, size, machine)


def tiles_cycles(rows: int, most_rows: int, columns: int, most_vectors: int) -> float:
    """Cycles of one step over `rows` x `columns` vectors, the last tiles cut."""
    total = 0.0
    for r, r_count in ((most_rows, rows // most_rows), (rows % most_rows, 1)):
        for v, v_count in ((most_vectors, columns // most_vectors), (columns % most_vectors, 1)):
            if r and v:
                total += tile_cycles(r, v) * r_count * v_count
    return total


def _vector_cycles(depth: int, rows: int, height: int, vectors: int, columns: int) -> float:
    return FED * depth * tiles_cycles(rows, height, columns, vectors)


def _matrix_cycles(lattice: Lattice, rows: int, height: int, width: int, columns: int) -> float:
    """Cycles of blocks of channels over `rows` x `columns` matrix registers, the last tiles cut."""
    total = 0.0
    for h, h_count in ((height, rows // height), (rows % height, 1)):
        for w, w_count in ((width, columns // width), (columns % width, 1)):
            if h and w:
                total += matrix_cycles(h, w, lattice.parts) * h_count * w_count
    return total * lattice.blocks


#: Rows and vectors of a register tile, and its cycles of one tap and all channels over so many columns.
_Tile: TypeAlias = tuple[int, int, Callable[[int], float]]


def _tiles(lattice: Lattice, rows: int, machine: Machine) -> Iterator[_Tile]:
    """What sums may be made in."""
    if lattice.parts:
        registers = -(-rows // 16)
        for height, width in machine.matrices:
            if height <= registers:
                cycles = partial(_matrix_cycles, lattice, registers, height, width)
                yield height * 16, width, cycles
        return
    for vectors, most_rows in enumerate(machine.rows, 1):
        height = split(rows, most_rows)
        yield height, vectors, partial(_vector_cycles, lattice.depth, rows, height, vectors)


def _boxes(lattice: Lattice, most: int, groups: int, unit: int) -> Iterator[Box]:
    """Boxes of at most `most` positions; smaller ones too where channels alone make too few tasks."""
    for panel in PANELS:
        yield lattice.box(most, panel)
    by_channels = groups * -(-lattice.target // unit)
    for tasks in (4, MIN_TASKS):
        if by_channels < tasks:
            positions = lattice.extent(lattice.extents)[0] // -(-tasks // by_channels)
            yield lattice.box(max(16, min(most, positions)), PANELS[1])


def _fields(
    lattice: Lattice, box: Box, groups: int, sums: float, store: float, calls: float, packed: float, unit: int
) -> dict[str, Any]:
    """The fields that all kinds of tile share; `sums`: cycles of the tiles of a box."""
    boxes = lattice.boxes(box)
    panel = lattice.extent(box)[1]
    past = min(1.0, max(0.0, (panel - 1.4 * PANELS[1]) / PANELS[1]))  # a panel that crowds the cache
    busy = sums * (1.0 + (0.5 if lattice.parts else 0.25) * past) + store + calls
    z, y, _ = lattice.axes
    lines = prod(box[:3])
    busy += lines * z.phases * y.phases * lattice.target * ROW
    # A number is copied, and cut in its parts.
    packing = panel / lattice.size * (2 * 0.8 / lattice.parts if lattice.parts else 0.7)
    packing += lines * lattice.depth * LINE
    busy += packing * (1.5 if boxes * groups == 1 else 1.0)  # a lone box is packed by several threads
    cycles = busy * boxes * groups + stream_cycles(packed, boxes) * groups
    wanted = min(MIN_TASKS, int(cycles / TASK_CYCLES))
    units = -(-lattice.target // unit)
    pieces = max(1, min(units, -(-wanted // (boxes * groups))))
    idle = uneven(cycles, boxes * groups * pieces)
    return {"box": box, "chunk": -(-units // pieces) * unit, "cost": cycles * idle}


def _lanes_of_positions(
    lattice: Lattice, lanes: str, groups: int, machine: Machine, last: bool
) -> Iterator[dict[str, Any]]:
    size = lattice.size
    stacked = lattice.phases if lanes == "stacked" else 1
    total_rows, taps = lattice.target * stacked, lattice.taps // stacked
    x = lattice.axes[2]
    store = 0.75 if x.phases in (1, 2, 4) else 1.5 if x.cells >= machine.lanes // 2 else 3.0
    if last:  # sums are turned, then laid in runs of channels
        store = 0.5
    seen = set()
    for rows, vectors, cycles in _tiles(lattice, total_rows, machine):
        # Stacked rows are whole channels, stored together once a task has summed them.
        unit = rows // gcd(rows, stacked)
        kept = max(rows, min(unit, lattice.target) * stacked) if stacked > 1 else rows * lattice.phases
        if last:
            kept = max(kept, min(_RUN, lattice.target * lattice.together) * stacked)
        few = 64 if 64 * kept * size <= MOST_WORKSPACE // 4 else 1
        most = min(max(few, L2_SUMS // (kept * size)), 4096)
        for box in _boxes(lattice, most, groups, unit):
            if (rows, vectors, box) in seen:
                continue
            seen.add((rows, vectors, box))
            positions, panel_bytes = lattice.extent(box)
            read = panel_bytes / size * 4.0 / lattice.rows / lattice.together**2 if last else 0.0
            columns = -(-positions // machine.lanes)
            calls = -(-total_rows // rows) * -(-columns // vectors) * (lattice.phases // stacked) * 12.0
            # A block of weights that crowds the cache comes anew for every column of tiles.
            block = rows * taps // (lattice.phases // stacked) * lattice.rows * size
            passes = float(-(-columns // vectors) if block > PANELS[1] else 1)
            packed = float(total_rows * taps * lattice.rows * size)
            if lattice.parts and packed < FAR:  # much of it while products are made
                passes *= 0.4
            fields = _fields(
                lattice,
                box,
                groups,
                cycles(columns) * taps,
                positions * lattice.phases * lattice.target * store + read,
                calls,
                packed * passes,
                unit,
            )
            if stacked > 1 or last:
                fits = L2_SUMS // (positions * stacked * size) // unit * unit
                fields["chunk"] = max(unit, min(fields["chunk"], fits))
            if last:
                if lattice.together > 1:
                    fields["chunk"] = lattice.target * lattice.together
                runs = positions * lattice.phases * lattice.boxes(box) * groups * lattice.target
                fields["cost"] += runs * 8.0 / min(_RUN, fields["chunk"], lattice.target * lattice.together)
            work = positions * total_rows * taps * lattice.depth * lattice.boxes(box) * groups
            yield {
                "rows": rows,
                "vectors": vectors,
                "lanes": lanes,
                "parts": lattice.parts,
                "im2col": lattice.copies > 0,
                "computed_macs": work,
                **fields,
            }


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
            step = tiles_cycles(positions, rows, columns * vectors, vectors)
            block = lanes * taps * lattice.depth * size  # of weights, as in _lanes_of_positions
            passes = -(-positions // rows) if block > PANELS[1] else 1
            fields = _fields(
                lattice,
                box,
                groups,
                FED_BY_WEIGHTS * step * taps * lattice.depth,
                positions * lattice.target * lattice.phases * (1.5 / run + 0.6),
                columns * -(-positions // rows) * 12.0,
                columns * lanes * taps * lattice.depth * size * passes,
                unit,
            )
            fits = L2_SUMS // (positions * lattice.phases * size) // unit * unit
            fields["chunk"] = max(unit, min(fields["chunk"], fits))
            work = positions * columns * lanes * taps * lattice.depth * lattice.boxes(box) * groups
            yield {"rows": rows, "vectors": vectors, "lanes": "channels", "computed_macs": work, **fields}


def _columns_by_phase(
    lattice: Lattice, stacked: int, groups: int, size: int, machine: Machine
) -> Iterator[dict[str, Any]]:
    """Channels last: columns are [phase][channel], so that sums are stored as they lie.

    Tiles cover all columns where all phases share their taps (`stacked`: how many), else those of one phase.
    """
    seen = set()
    for vectors, most_rows in enumerate(machine.rows, 1):
        lanes = vectors * machine.lanes
        tiles = -(-lattice.target * stacked // lanes) * (lattice.phases // stacked)
        narrow = -(-lattice.target * stacked // machine.lanes) * (lattice.phases // stacked)  # vectors
        most = min(max(most_rows, L2_SUMS // (min(tiles * lanes, 4 * lanes) * size)), 1024)
        for panel in PANELS:
            box = lattice.box(most, panel)
            if (vectors, box) in seen:
                continue
            seen.add((vectors, box))
            positions, panel_bytes = lattice.extent(box)
            read = panel_bytes / size * 4.0 / lattice.depth
            rows = split(positions, most_rows)
            taps = lattice.taps / lattice.phases  # of a tile, on the mean
            fields = _fields(
                lattice,
                box,
                groups,
                FED * tiles_cycles(positions, rows, narrow, vectors) * taps * lattice.depth,
                positions * lattice.target * lattice.phases * (0.15 + 6.0 / lattice.target) + read,
                tiles * -(-positions // rows) * 12.0,
                tiles * lanes * taps * lattice.depth * size,
                1,
            )
            # A task takes whole tiles, and whole phases where they end with one.
            pieces = max(1, min(tiles, MIN_TASKS // (lattice.boxes(box) * groups)))
            whole = lcm(lattice.target, lanes) // lanes if stacked > 1 else tiles // lattice.phases
            fits = min(L2_SUMS // (positions * size) // lanes, -(-tiles // pieces))
            chunk = max(1, fits // whole * whole or fits)
            fields["chunk"] = chunk * lanes
            work = positions * narrow * machine.lanes * taps * lattice.depth * lattice.boxes(box) * groups
            fields["computed_macs"] = int(work)
            yield {"rows": rows, "vectors": vectors, "lanes": "channels", **fields}
