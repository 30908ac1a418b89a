"""Planning of `phases`: an implicit matrix product per phase, over boxes of cells with their margins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import gcd, prod
from typing import Any, NamedTuple, TypeAlias

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
#: Channels of the target from which phases of different taps are not stacked: one phase then fills a tile of
#: vectors so that loads do not limit it, or of matrix registers.
_FEW, _FEW_IN_MATRICES = 4, 16

#: The largest stride of phases that differ in their taps and share a tile.
_MOST_UNEVEN = 64

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
    axes = [*zip(problem.kernel, problem.stride, problem.dilation, strict=True)]
    # Phases can share a tile if all have the same taps, or if zeros take the place of those that they lack.
    several = map == "conv_transpose" and prod(problem.stride) > 1
    even = several and all(d == 1 and k % s == 0 for k, s, d in axes)
    # The zeros are up to as many as the stride; those of a large one cost more than they save.
    uneven = several and not even and all(d == 1 or s == 1 for _, s, d in axes)
    uneven = uneven and max(problem.stride) <= _MOST_UNEVEN
    for kind in kinds:
        few = channels < (_FEW_IN_MATRICES if "parts" in kind else _FEW)
        if even or (uneven and few):
            sharing = Lattice(problem, map, True, size, **kind)
            yield from _lanes_of_positions(
                sharing, PhasesLanes.stacked, problem.groups, stored, machine, last
            )
    if even:
        shared = Lattice(problem, map, True, size)
        if last:
            yield from columns.by_phase(shared, shared.phases, problem.groups, size, machine)
        else:
            yield from columns.with_phases(shared, problem.groups, size, machine)
    elif last:
        yield from columns.by_phase(Lattice(problem, map, False, size), 1, problem.groups, size, machine)


#: Rows, the most rows of a tile, and how many taps.
_Strip: TypeAlias = tuple[int, int, int]


def _vector_cycles(
    machine: Machine, depth: int, strips: Sequence[_Strip], vectors: int, far: float, columns: int
) -> float:
    cycles = sum(
        taps * machine.tiles_cycles(rows, height, columns, vectors, far) for rows, height, taps in strips
    )
    return machine.record.phases.fed * depth * cycles


def _matrix_cycles(
    machine: Machine, lattice: Lattice, rows: int, height: int, width: int, taps: int, columns: int
) -> float:
    """Cycles of blocks of channels over `rows` x `columns` matrix registers, the last tiles smaller."""
    total = 0.0
    for h, h_count in ((height, rows // height), (rows % height, 1)):
        for w, w_count in ((width, columns // width), (columns % width, 1)):
            if h and w:
                total += machine.matrix_cycles(h, w, lattice.parts) * h_count * w_count
    return total * lattice.blocks * taps


class _Tile(NamedTuple):
    rows: int
    vectors: int
    cycles: Callable[[int], float]  #: for all taps and channels of a box, as a function of columns
    products: int  #: of a channel and a position
    calls: int  #: tiles, one after the other, that cover all rows of all phases
    again: int = 0  #: rows that a tile adds to sums of an earlier one
    checked: int = 0  #: rows whose sums may be NaN of an infinity times a zero
    steps: int = 0  #: channels at a time


def _tiles(lattice: Lattice, rows: int, stacked: int, machine: Machine) -> Iterator[_Tile]:
    """The tiles in which sums can be accumulated."""
    taps, apart = lattice.taps // stacked, lattice.phases // stacked
    if lattice.parts:
        registers = -(-rows // 16)
        for height, width in machine.matrices:
            if height <= registers:
                cycles = partial(_matrix_cycles, machine, lattice, registers, height, width, taps)
                calls = -(-rows // (height * 16)) * apart
                checked = rows if lattice.uneven else 0
                yield _Tile(height * 16, width, cycles, rows * taps, calls, checked=checked)
        return
    for vectors, most_rows in enumerate(machine.rows, 1):
        height = split(rows, most_rows)
        blocks = -(-rows // height) * apart
        strips, calls, again = [(rows, height, taps)], blocks, 0
        if lattice.uneven and lattice.together == 1:
            strips = [(some, some, count) for some, count in lattice.strips(height)]
            calls, again = len(strips), sum(some for some, *_ in strips) - rows
        depth, x = lattice.depth, lattice.axes[2]
        most = machine.near_steps(vectors)
        steps, lowest = depth, min(some for _, some, _ in strips)
        # Taps along x read the same lines, unless each has a copy.
        if depth > most and x.taps > x.phases and not lattice.copies and machine.waits(lowest, vectors):
            steps = split(depth, most // 2)
        far, passes = float(steps > most), -(-depth // steps)
        if passes > 1:
            far = x.phases / x.taps
        again = max(0, again) + (passes - 1) * sum(some for some, *_ in strips)
        cycles = partial(_vector_cycles, machine, depth, strips, vectors, far)
        products = sum(some * count for some, _, count in strips)
        checked = rows if lattice.uneven and products > lattice.target * lattice.own_taps else 0
        yield _Tile(height, vectors, cycles, products, calls * passes, again, checked, steps)


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
    for tile in _tiles(lattice, total_rows, stacked, machine):
        rows, vectors = tile.rows, tile.vectors
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
            calls = tile.calls * -(-columns // vectors) * own.call
            calls += columns * (tile.again * own.again + tile.checked * own.check)
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
                tile.cycles(columns),
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
                steps=tile.steps,
                prefetch=caches.ahead if held > caches.near else 0,
            )
            yield Candidate(part, positions * tile.products * lattice.depth * boxes * groups, cost)
