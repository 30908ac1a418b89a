"""Planning of `phases`: an implicit matrix product per phase, over boxes of cells with their margins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import gcd, prod
from typing import Any, TypeAlias

from tconv._core import PhasesLanes, PhasesPlan, Problem
from tconv.planning import columns
from tconv.planning.cost import BYTES, MOST_WORKSPACE, Machine, split
from tconv.planning.lattice import Lattice
from tconv.planning.plans import Candidate
from tconv.planning.problem import MapName
from tconv.planning.weighing import boxes as boxes_of
from tconv.planning.weighing import weighed

__all__ = ["PARTS", "candidates"]

#: Parts of a number in matrix registers: the 24 bits of a float32 are three times the 8 of a bfloat16, the 11
#: of a float16 fit in two.
PARTS = {"f32": 3, "f16": 2, "bf16": 1}
#: Bytes of a packed weight that is not split into parts.
_STORED = {"f32": 4, "f64": 8, "f16": 2, "bf16": 2}
#: Positions of the largest map for which im2col is tried: in larger ones gaps are a small part.
_SMALL_MAP = 1024


def candidates(
    problem: Problem, map: MapName, dtype: str, machine: Machine, last: bool = False
) -> Iterator[Candidate]:
    """All candidates."""
    size = BYTES[dtype]
    stored = _STORED[dtype]
    channels = problem.out_channels if map == "conv_transpose" else problem.in_channels
    last = last and problem.groups * channels > 1  # with a single channel, both layouts are the same
    # Channels last: groups of few channels are packed and stored together, a run of memory at a time.
    together = min(problem.groups, -(-machine.record.phases.run // channels)) if last else 1
    kinds: list[dict[str, Any]] = [{"together": together}]
    if prod(problem.input if map == "conv_transpose" else problem.output) <= _SMALL_MAP:
        kinds.append({"together": together, "im2col": True})
    if machine.matrices and dtype in PARTS:
        kinds.append({"parts": PARTS[dtype]})
    for kind in kinds:
        apart = Lattice(problem, map, False, size, **kind)
        yield from _lanes_of_positions(apart, PhasesLanes.positions, problem.groups, stored, machine, last)
    axes = zip(problem.kernel, problem.stride, problem.dilation, strict=True)
    # Phases can share a tile if all have the same taps.
    if (
        map == "conv_transpose"
        and prod(problem.stride) > 1
        and all(d == 1 and k % s == 0 for k, s, d in axes)
    ):
        for kind in kinds:
            aligned = Lattice(problem, map, True, size, **kind)
            yield from _lanes_of_positions(
                aligned, PhasesLanes.stacked, problem.groups, stored, machine, last
            )
        shared = Lattice(problem, map, True, size)
        if last:
            yield from columns.by_phase(shared, shared.phases, problem.groups, size, machine)
        else:
            yield from columns.with_phases(shared, problem.groups, size, machine)
    elif last:
        yield from columns.by_phase(Lattice(problem, map, False, size), 1, problem.groups, size, machine)


def _vector_cycles(machine: Machine, depth: int, rows: int, height: int, vectors: int, columns: int) -> float:
    return machine.record.phases.fed * depth * machine.tiles_cycles(rows, height, columns, vectors)


def _matrix_cycles(
    machine: Machine, lattice: Lattice, rows: int, height: int, width: int, columns: int
) -> float:
    """Cycles of blocks of channels over `rows` x `columns` matrix registers, the last tiles smaller."""
    total = 0.0
    for h, h_count in ((height, rows // height), (rows % height, 1)):
        for w, w_count in ((width, columns // width), (columns % width, 1)):
            if h and w:
                total += machine.matrix_cycles(h, w, lattice.parts) * h_count * w_count
    return total * lattice.blocks


#: Rows and vectors of a register tile, and its cycles for one tap and all channels as a function of columns.
_Tile: TypeAlias = tuple[int, int, Callable[[int], float]]


def _tiles(lattice: Lattice, rows: int, machine: Machine) -> Iterator[_Tile]:
    """The tiles in which sums can be accumulated."""
    if lattice.parts:
        registers = -(-rows // 16)
        for height, width in machine.matrices:
            if height <= registers:
                cycles = partial(_matrix_cycles, machine, lattice, registers, height, width)
                yield height * 16, width, cycles
        return
    for vectors, most_rows in enumerate(machine.rows, 1):
        height = split(rows, most_rows)
        yield height, vectors, partial(_vector_cycles, machine, lattice.depth, rows, height, vectors)


def _lanes_of_positions(
    lattice: Lattice, lanes: PhasesLanes, groups: int, stored: int, machine: Machine, last: bool
) -> Iterator[Candidate]:
    """`stored`: bytes of a packed weight, unless it is split into parts."""
    size, own, caches = lattice.size, machine.record.phases, machine.record.caches
    stacked = lattice.phases if lanes == PhasesLanes.stacked else 1
    total_rows, taps = lattice.target * stacked, lattice.taps // stacked
    x = lattice.axes[2]
    long = own.store_long if x.cells >= machine.lanes // 2 else own.store_short
    store = own.store if x.phases in (1, 2, 4) else long
    if last:  # sums are transposed, then stored in runs of channels
        store = own.turn
    padded = -(-total_rows // 16) * 16 if lattice.parts else total_rows
    seen = set()
    for rows, vectors, cycles in _tiles(lattice, total_rows, machine):
        # Stacked rows are whole channels, stored together once a task has summed them.
        unit = rows // gcd(rows, stacked)
        kept = max(rows, min(unit, lattice.target) * stacked) if stacked > 1 else rows * lattice.phases
        if last:
            kept = max(kept, min(own.run, lattice.target * lattice.together) * stacked)
        few = 64 if 64 * kept * size <= MOST_WORKSPACE // 4 else 1
        most = min(max(few, caches.sums // (kept * size)), 4096)
        for box in boxes_of(lattice, most, groups, unit, caches.panels):
            if (rows, vectors, box) in seen:
                continue
            seen.add((rows, vectors, box))
            positions, panel_bytes = lattice.extent(box)
            read = panel_bytes / size * own.read_last / lattice.rows / lattice.together**2 if last else 0.0
            columns = -(-positions // machine.lanes)
            calls = -(-total_rows // rows) * -(-columns // vectors) * (lattice.phases // stacked) * own.call
            # A block of weights that does not fit into the cache is loaded again for every column of tiles.
            block = rows * taps // (lattice.phases // stacked) * lattice.rows * size
            passes = float(-(-columns // vectors) if block > caches.panels[1] else 1)
            packed = float(total_rows * taps * lattice.rows * size)
            if lattice.parts and packed < caches.far:  # mostly hidden by the products
                passes *= machine.record.matrix.overlap
            channels, cost = weighed(
                machine,
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
                fits = caches.sums // (positions * stacked * size) // unit * unit
                channels = max(unit, min(channels, fits))
            boxes, together = lattice.boxes(box), lattice.together
            if last:
                if together > 1:
                    channels = lattice.target
                runs = positions * lattice.phases * boxes * groups * lattice.target
                cost += runs * own.write_last / min(own.run, channels * together, lattice.target * together)
            held = groups * padded * taps * lattice.rows * (size if lattice.parts else stored)
            part = PhasesPlan(
                lanes=lanes,
                rows=rows,
                vectors=vectors,
                parts=lattice.parts,
                im2col=lattice.copies > 0,
                box=box,
                channels=channels,
                columns=0,
                groups=together,
                pack_by_task=lattice.parts > 0 and boxes == 1 and not last,
                prefetch=caches.ahead if held > caches.near else 0,
            )
            yield Candidate(part, positions * total_rows * taps * lattice.depth * boxes * groups, cost)
