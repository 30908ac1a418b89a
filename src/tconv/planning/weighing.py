"""The box and channels of a task of `phases`, and their cost, for all kinds of tile."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from tconv.planning.cost import MIN_TASKS, Machine
from tconv.planning.lattice import Box, Lattice

__all__ = ["boxes", "weighed"]


def boxes(lattice: Lattice, most: int, groups: int, unit: int, panels: tuple[int, int, int]) -> Iterator[Box]:
    """Boxes of at most `most` positions; also smaller ones where channels alone give too few tasks."""
    for panel in panels:
        yield lattice.box(most, panel)
    by_channels = groups * -(-lattice.target // unit)
    for tasks in (4, MIN_TASKS):
        if by_channels < tasks:
            positions = lattice.extent(lattice.extents)[0] // -(-tasks // by_channels)
            yield lattice.box(max(16, min(most, positions)), panels[1])


def weighed(
    machine: Machine,
    lattice: Lattice,
    box: Box,
    groups: int,
    sums: float,
    store: float,
    calls: float,
    packed: float,
    unit: int,
) -> tuple[int, float]:
    """Channels of a task, and cycles, for all kinds of tile; `sums`: cycles of the tiles of a box."""
    count, own, middle = lattice.boxes(box), machine.record.phases, machine.record.caches.panels[1]
    panel = lattice.extent(box)[1]
    past = min(1.0, max(0.0, (panel - own.crowd * middle) / middle))  # a panel too large for the cache
    crowded = own.crowded_matrix if lattice.parts else own.crowded
    busy = sums * (1.0 + crowded * past) + store + calls
    z, y, _ = lattice.axes
    lines = prod(box[:3])
    busy += lines * z.phases * y.phases * lattice.target * own.row
    # A number is copied, and split into its parts.
    cut = 2 * machine.record.matrix.cut / lattice.parts if lattice.parts else own.pack
    packing = panel / lattice.size * cut
    packing += lines * lattice.depth * own.line
    busy += packing * (own.lone if count * groups == 1 else 1.0)  # a lone box is packed by several threads
    cycles = busy * count * groups + machine.stream_cycles(packed, count) * groups
    units = -(-lattice.target // unit)
    pieces = max(1, min(units, -(-machine.wanted(cycles) // (count * groups))))
    idle = machine.uneven(cycles, count * groups * pieces)
    return -(-units // pieces) * unit, cycles * idle
