"""Planning of `phases` with channels as lanes: with their phases, or, for channels last, phase by phase."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd, lcm

from tconv._core import PhasesLanes, PhasesPlan
from tconv.planning.cost import MIN_TASKS, Machine, split
from tconv.planning.lattice import Box, Lattice
from tconv.planning.plans import Candidate
from tconv.planning.weighing import boxes, weighed

__all__ = ["by_phase", "with_phases"]


def with_phases(lattice: Lattice, groups: int, size: int, machine: Machine) -> Iterator[Candidate]:
    """Columns are channels with their phases, which share their taps."""
    own, caches = machine.record.phases, machine.record.caches
    taps, run = lattice.taps // lattice.phases, lattice.axes[2].phases
    seen = set()
    for vectors, most_rows in enumerate(machine.rows, 1):
        lanes = vectors * machine.lanes
        unit = lanes // gcd(lanes, lattice.phases)  # channels whose phases fill whole tiles
        columns = -(-lattice.target * lattice.phases // lanes)
        most = min(max(most_rows, caches.sums // (min(unit, lattice.target) * lattice.phases * size)), 1024)
        for box in boxes(lattice, most, groups, unit, caches.panels):
            if (vectors, box) in seen:
                continue
            seen.add((vectors, box))
            positions, _ = lattice.extent(box)
            rows = split(positions, most_rows)
            step = machine.tiles_cycles(positions, rows, columns * vectors, vectors)
            block = lanes * taps * lattice.depth * size  # of weights, as in planning/phases.py
            passes = -(-positions // rows) if block > caches.panels[1] else 1
            channels, cost = weighed(
                machine,
                lattice,
                box,
                groups,
                own.fed_by_weights * step * taps * lattice.depth,
                positions * lattice.target * lattice.phases * (own.store_run_begin / run + own.store_run),
                columns * -(-positions // rows) * own.call,
                columns * lanes * taps * lattice.depth * size * passes,
                unit,
            )
            fits = caches.sums // (positions * lattice.phases * size) // unit * unit
            channels = max(unit, min(channels, fits))
            work = positions * columns * lanes * taps * lattice.depth * lattice.boxes(box) * groups
            part = _columns(PhasesLanes.channels, rows, vectors, box, channels=channels)
            yield Candidate(part, work, cost)


def by_phase(lattice: Lattice, stacked: int, groups: int, size: int, machine: Machine) -> Iterator[Candidate]:
    """Channels last: columns are [phase][channel], so that sums are stored in their order.

    Tiles cover all columns where all phases share their taps (`stacked`: how many), else those of one phase.
    """
    own, caches = machine.record.phases, machine.record.caches
    seen = set()
    for vectors, most_rows in enumerate(machine.rows, 1):
        lanes = vectors * machine.lanes
        tiles = -(-lattice.target * stacked // lanes) * (lattice.phases // stacked)
        narrow = -(-lattice.target * stacked // machine.lanes) * (lattice.phases // stacked)  # vectors
        most = min(max(most_rows, caches.sums // (min(tiles * lanes, 4 * lanes) * size)), 1024)
        for panel in caches.panels:
            box = lattice.box(most, panel)
            if (vectors, box) in seen:
                continue
            seen.add((vectors, box))
            positions, panel_bytes = lattice.extent(box)
            read = panel_bytes / size * own.read_last / lattice.depth
            rows = split(positions, most_rows)
            taps = lattice.taps / lattice.phases  # of a tile, on average
            _, cost = weighed(
                machine,
                lattice,
                box,
                groups,
                own.fed * machine.tiles_cycles(positions, rows, narrow, vectors) * taps * lattice.depth,
                positions * lattice.target * lattice.phases * (own.lay + own.lay_begin / lattice.target)
                + read,
                tiles * -(-positions // rows) * own.call,
                tiles * lanes * taps * lattice.depth * size,
                1,
            )
            # A task takes whole tiles, and whole phases where they end with a tile.
            pieces = max(1, min(tiles, MIN_TASKS // (lattice.boxes(box) * groups)))
            whole = lcm(lattice.target, lanes) // lanes if stacked > 1 else tiles // lattice.phases
            fits = min(caches.sums // (positions * size) // lanes, -(-tiles // pieces))
            chunk = max(1, fits // whole * whole or fits)
            work = positions * narrow * machine.lanes * taps * lattice.depth * lattice.boxes(box) * groups
            part = _columns(PhasesLanes.by_phase, rows, vectors, box, columns=chunk * lanes)
            yield Candidate(part, int(work), cost)


def _columns(
    lanes: PhasesLanes, rows: int, vectors: int, box: Box, channels: int = 0, columns: int = 0
) -> PhasesPlan:
    return PhasesPlan(
        lanes=lanes,
        rows=rows,
        vectors=vectors,
        parts=0,
        im2col=False,
        box=box,
        channels=channels,
        columns=columns,
        groups=1,
        pack_by_task=False,
        steps=0,
        prefetch=0,
    )
