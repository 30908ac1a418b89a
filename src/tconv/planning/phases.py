"""Planning of `phases`: an implicit matrix product per phase, over boxes of cells packed with their margins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd, prod
from typing import Any

from tconv.planning.cost import (
    BYTES,
    L2_PANEL,
    L2_SUMS,
    MIN_TASKS,
    TASK_CYCLES,
    Machine,
    split,
    tile_cycles,
)
from tconv.planning.plans import MapName, Problem

__all__ = ["choose"]

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the target's lattice, as core/lattice.cpp builds it."""

    cells: int
    phases: int  #: of the target
    margin: int  #: cells read past the box, both sides together
    gap: int  #: cells between rows where the box spans the axis
    source_phases: int
    taps: int  #: of all phases together


def _axis(problem: Problem, map: MapName, lanes: str, a: int) -> Axis:
    i, o, k = problem.input[a], problem.output[a], problem.kernel[a]
    s, d, lo = problem.stride[a], problem.dilation[a], problem.lo[a]
    if map == "conv_transpose":
        skip = lo % s if lanes == "channels" else 0
        # Distances run from that of the last tap in the first phase to that of the first tap in the last one.
        far = (s - 1 + lo) // s if lanes == "positions" else lo // s
        near = -((d * (k - 1) - lo) // s) if lanes == "positions" else lo // s - d * (k - 1) // s
        near, far = min(near, 0), max(far, 0)
        cells = -(-(o + skip) // s)
        gap = far - near if i > cells else max(far, -near)
        return Axis(cells, s, far - near, gap, 1, k)
    far = d * (k - 1) // s
    return Axis(i, 1, far, far, min(k, s // gcd(s, d)), k)


def _applies_to_channels(problem: Problem) -> bool:
    return all(d == 1 and k % s == 0 for k, s, d in zip(problem.kernel, problem.stride, problem.dilation, strict=True))


def choose(problem: Problem, map: MapName, dtype: str, machine: Machine) -> dict[str, Any]:
    """The cheapest register tile, box and chunk, as fields of a Plan."""
    return min(_candidates(problem, map, dtype, machine), key=lambda fields: fields["cost"])


def _candidates(problem: Problem, map: MapName, dtype: str, machine: Machine) -> Iterator[dict[str, Any]]:
    yield from _over_positions(problem, map, dtype, machine)
    if map == "conv_transpose" and prod(problem.stride) > 1 and _applies_to_channels(problem):
        yield from _over_channels(problem, map, dtype, machine)


def _channels(problem: Problem, map: MapName) -> tuple[int, int]:
    pair = problem.in_channels, problem.out_channels
    return pair if map == "conv_transpose" else (pair[1], pair[0])


def _positions(axes: list[Axis], box: Box) -> int:
    """Positions of a panel: cells and the gaps between rows."""
    pitch = 1
    for axis, cells in zip(reversed(axes), reversed(box[1:]), strict=True):
        pitch *= cells + (axis.gap if cells >= axis.cells else axis.margin)
    return pitch * box[0]


def _panel_bytes(axes: list[Axis], box: Box, depth: int, dtype: str) -> int:
    phases = prod(axis.source_phases for axis in axes)
    margin = sum(axis.margin for axis in axes)
    return (_positions(axes, box) + margin * (box[3] + 1) + 32) * depth * phases * BYTES[dtype]


def _box(problem: Problem, axes: list[Axis], depth: int, dtype: str, most_positions: int) -> Box:
    """Whole rows, as many as fit; part of one row where even that is too much."""
    extents = (problem.batch, *(axis.cells for axis in axes))
    sizes = [1, 1, 1, 1]

    def fits(box: list[int]) -> bool:
        b = (box[0], box[1], box[2], box[3])
        return _positions(axes, b) <= most_positions and _panel_bytes(axes, b, depth, dtype) <= L2_PANEL

    for axis in (3, 2, 1, 0):
        low, high = 1, extents[axis]
        while low < high:  # the largest that fits
            middle = (low + high + 1) // 2
            sizes[axis] = middle
            low, high = (middle, high) if fits(sizes) else (low, middle - 1)
        # Rows shorter than a few vectors are mostly margin: better a larger panel than a narrow box.
        sizes[axis] = split(extents[axis], max(low, 64) if axis == 3 else low)
        if sizes[axis] < extents[axis]:
            break
    return sizes[0], sizes[1], sizes[2], sizes[3]


def _boxes(problem: Problem, axes: list[Axis], box: Box) -> int:
    extents = (problem.batch, *(axis.cells for axis in axes))
    return prod(-(-extent // size) for extent, size in zip(extents, box, strict=True))


def _chunk(target: int, unit: int, tasks: int, cycles: float) -> int:
    """Channels of one task, in whole units, so that there are tasks enough for the work there is."""
    wanted = min(MIN_TASKS, int(cycles / TASK_CYCLES))
    units = -(-target // unit)
    pieces = max(1, min(units, -(-wanted // tasks)))
    return -(-units // pieces) * unit


def _over_positions(problem: Problem, map: MapName, dtype: str, machine: Machine) -> Iterator[dict[str, Any]]:
    axes = [_axis(problem, map, "positions", a) for a in range(3)]
    depth, target = _channels(problem, map)
    phases, taps = prod(a.phases for a in axes), prod(a.taps for a in axes)
    for vectors, most_rows in enumerate(machine.rows, 1):
        rows = split(target, most_rows)
        lanes = vectors * machine.lanes
        most = max(lanes, L2_SUMS // (phases * rows * BYTES[dtype]) // lanes * lanes)
        box = _box(problem, axes, depth, dtype, min(most, 2048))
        boxes = _boxes(problem, axes, box)
        positions = _positions(axes, box)
        tiles, rest = divmod(-(-positions // machine.lanes), vectors)
        full, last = divmod(target, rows)
        step = full * (tiles * tile_cycles(rows, vectors) + (tile_cycles(rows, rest) if rest else 0.0))
        if last:
            step += tiles * tile_cycles(last, vectors) + (tile_cycles(last, rest) if rest else 0.0)
        compute = step * taps * depth
        store = positions * phases * target * (0.2 if axes[2].phases in (1, 2, 4) else 1.0)
        pack = _panel_bytes(axes, box, depth, dtype) / BYTES[dtype] * 0.15
        calls = phases * full * (tiles + 1) * 12.0
        cycles = (compute + store + calls) * boxes * problem.groups
        chunk = _chunk(target, rows, boxes * problem.groups, cycles)
        yield {
            "rows": rows,
            "vectors": vectors,
            "lanes": "positions",
            "box": box,
            "chunk": chunk,
            "computed_macs": boxes * problem.groups * positions * target * taps * depth,
            "cost": cycles + pack * boxes * problem.groups,
        }


def _over_channels(problem: Problem, map: MapName, dtype: str, machine: Machine) -> Iterator[dict[str, Any]]:
    axes = [_axis(problem, map, "channels", a) for a in range(3)]
    depth, target = _channels(problem, map)
    phases = prod(a.phases for a in axes)
    taps = prod(a.taps for a in axes) // phases
    for vectors, most_rows in enumerate(machine.rows, 1):
        lanes = vectors * machine.lanes
        unit = lanes // gcd(lanes, phases)  # channels whose phases fill whole tiles
        columns = -(-target * phases // lanes)
        most = max(most_rows, L2_SUMS // (min(unit, target) * phases * BYTES[dtype]))
        box = _box(problem, axes, depth, dtype, min(most, 1024))
        boxes = _boxes(problem, axes, box)
        positions = _positions(axes, box)
        rows = split(positions, most_rows)
        full, last = divmod(positions, rows)
        step = columns * (full * tile_cycles(rows, vectors) + (tile_cycles(last, vectors) if last else 0.0))
        compute = step * taps * depth
        run = axes[2].phases
        store = positions * target * phases * (1.5 / run + 0.15)
        pack = _panel_bytes(axes, box, depth, dtype) / BYTES[dtype] * 0.15
        calls = columns * (full + 1) * 12.0
        cycles = (compute + store + calls) * boxes * problem.groups
        most_channels = max(1, L2_SUMS // (positions * phases * BYTES[dtype]) // unit) * unit
        chunk = min(most_channels, _chunk(target, unit, boxes * problem.groups, cycles))
        yield {
            "rows": rows,
            "vectors": vectors,
            "lanes": "channels",
            "box": box,
            "chunk": chunk,
            "computed_macs": boxes * problem.groups * positions * columns * lanes * taps * depth,
            "cost": cycles + pack * boxes * problem.groups,
        }
