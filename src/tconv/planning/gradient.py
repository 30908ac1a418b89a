"""Planning of `phases` for the weight gradient: matrix products over positions, as ordered partial sums."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd, prod

from tconv._core import GradientLanes, GradientPlan, Problem
from tconv.planning import correlate
from tconv.planning.cost import BYTES, MOST_PARTIAL, MOST_WORKSPACE, Machine, split
from tconv.planning.lattice import Box, Lattice
from tconv.planning.plans import Candidate
from tconv.planning.problem import MapName

__all__ = ["candidates"]


def candidates(problem: Problem, map: MapName, dtype: str, machine: Machine) -> Iterator[Candidate]:
    """All candidates."""
    yield from _over_channels(problem, dtype, machine)
    yield from correlate.candidates(problem, dtype, machine)
    if problem.dilation[2] == 1 and problem.kernel[2] % machine.lanes == 0:
        yield from _over_kernel(problem, dtype, machine)


def _cut(
    machine: Machine,
    problem: Problem,
    box: Box,
    cycles: float,
    partial: int,
    split_channels: int,
    unit: int,
    most: int,
) -> tuple[int, int, float]:
    """Segments, units of a task times `unit`, and the cost; `partial`: bytes of the gradient.

    `split_channels` are divided into units, of which a task takes at most `most`.
    """
    boxes, own = _boxes(problem, box), machine.record.gradient
    wanted = max(1, machine.wanted(cycles))
    segments = max(1, min(boxes, -(-wanted // problem.groups), 1 + MOST_PARTIAL // partial))
    units = -(-split_channels // unit)
    pieces = max(1, min(units, -(-wanted // (problem.groups * segments))))
    cycles += (segments - 1) * partial * own.segment
    return segments, min(-(-units // pieces), most) * unit, cycles * own.measured


def _boxes(problem: Problem, box: Box) -> int:
    return prod(-(-e // b) for e, b in zip((problem.batch, *problem.input), box, strict=True))


def _over_channels(problem: Problem, dtype: str, machine: Machine) -> Iterator[Candidate]:
    x_channels, y_channels = problem.in_channels, problem.out_channels
    taps, size, lanes = prod(problem.kernel), BYTES[dtype], machine.lanes
    cells, own = prod(problem.input) * problem.batch, machine.record.gradient
    box = _box(problem, dtype, machine)
    lattice = Lattice(problem, "weight_gradient", False, size)
    y_panel = lattice.extent(box)[1] // size // y_channels + 3 * lanes * _phases(problem)  # of one channel
    # Both sides are transposed, element by element, and so are the sums.
    turned = cells * x_channels * own.turn_x + y_panel * y_channels * own.turn_y * _boxes(problem, box)
    for over in (GradientLanes.y_channels, GradientLanes.x_channels):
        y_lanes = over == GradientLanes.y_channels
        height, width = (x_channels, y_channels) if y_lanes else (y_channels, x_channels)
        y_pitch = -(-y_channels // lanes) * lanes if y_lanes else y_channels
        for vectors, most_rows in enumerate(machine.rows, 1):
            rows = split(height, most_rows)
            columns = -(-width // lanes)
            padded = height * columns * lanes
            calls = -(-height // rows) * -(-columns // vectors) * taps * _boxes(problem, box)
            cycles = machine.tiles_cycles(height, rows, columns, vectors) * taps * cells * own.fed
            cycles += calls * own.call
            cycles = (cycles + turned + taps * padded * own.turn_sum) * problem.groups
            unit = rows if y_lanes else vectors * lanes  # channels of x
            unit_bytes = unit * (taps * y_pitch + prod(box)) * size
            room = MOST_WORKSPACE - y_panel * y_pitch * size
            if unit_bytes > room:
                continue
            most = max(1, min(machine.record.caches.task_sums, room) // unit_bytes)
            weights = problem.groups * taps * x_channels * y_channels * size
            segments, channels, cost = _cut(machine, problem, box, cycles, weights, x_channels, unit, most)
            part = GradientPlan(
                lanes=over,
                rows=rows,
                vectors=vectors,
                parts=0,
                box=box,
                x_channels=channels,
                y_channels=0,
                stretches=0,
            )
            yield Candidate(part, cells * taps * padded * problem.groups, cost, segments)


def _over_kernel(problem: Problem, dtype: str, machine: Machine) -> Iterator[Candidate]:
    cells, size, own = prod(problem.input) * problem.batch, BYTES[dtype], machine.record.gradient
    kernel_rows = problem.kernel[0] * problem.kernel[1]
    columns = problem.kernel[2] // machine.lanes
    weights = problem.in_channels * problem.out_channels * kernel_rows * problem.kernel[2]
    box = _wide_box(problem, dtype, machine)
    if _wide_numbers(problem, box) * size > MOST_WORKSPACE:
        return
    for vectors, most_rows in enumerate(machine.rows, 1):
        rows = split(problem.in_channels, most_rows)
        step = machine.tiles_cycles(problem.in_channels, rows, columns, vectors) * problem.out_channels
        step *= kernel_rows
        calls = -(-problem.in_channels // rows) * -(-columns // vectors) * problem.out_channels * kernel_rows
        stretches = problem.out_channels * kernel_rows * -(-columns // vectors)
        # Sums larger than the second-level cache are read and written for every box.
        near = weights * size <= machine.record.caches.task_sums
        far = own.wide_sum if near else own.wide_sum * _boxes(problem, box)
        moved = weights * far + prod(problem.output) * problem.out_channels * problem.batch * own.wide_copy
        cycles = step * cells * own.fed + calls * _boxes(problem, box) * own.call + moved
        cycles *= problem.groups
        segments, taken, cost = _cut(
            machine, problem, box, cycles, problem.groups * weights * size, stretches, 1, stretches
        )
        part = GradientPlan(
            lanes=GradientLanes.kernel,
            rows=rows,
            vectors=vectors,
            parts=0,
            box=box,
            x_channels=0,
            y_channels=0,
            stretches=taken,
        )
        yield Candidate(part, cells * weights * problem.groups, cost, segments)


def _wide_numbers(problem: Problem, box: Box) -> int:
    """How many numbers of x, all channels, and of y, one channel, a box of cells reads."""
    y = prod(
        (b - 1) * s + d * (k - 1) + 1
        for b, s, d, k in zip(box[1:], problem.stride, problem.dilation, problem.kernel, strict=True)
    )
    return prod(box) * problem.in_channels + y * box[0]


def _phases(problem: Problem) -> int:
    """Phases of y that some tap reads."""
    axes = zip(problem.kernel, problem.stride, problem.dilation, strict=True)
    return prod(min(k, s // gcd(s, d)) for k, s, d in axes)


def _wide_box(problem: Problem, dtype: str, machine: Machine) -> Box:
    """Cells whose x, all channels, and y, one channel, stay in the cache."""
    most = machine.record.caches.panels[2] // BYTES[dtype]
    sizes = [1, 1, 1, 1]

    extents = (problem.batch, *problem.input)
    for axis in (3, 2, 1, 0):
        low, high = 1, extents[axis]
        while low < high:  # the largest that fits
            sizes[axis] = (low + high + 1) // 2
            low, high = (
                (sizes[axis], high)
                if _wide_numbers(problem, _four(sizes)) <= most
                else (low, sizes[axis] - 1)
            )
        sizes[axis] = split(extents[axis], low)
        if sizes[axis] < extents[axis]:
            break
    return _four(sizes)


def _four(sizes: list[int]) -> Box:
    return sizes[0], sizes[1], sizes[2], sizes[3]


def _box(problem: Problem, dtype: str, machine: Machine) -> Box:
    """Rows of cells of one or more batch items whose two transposed panels stay in the cache."""
    lanes, phases = machine.lanes, _phases(problem)
    pitch = problem.in_channels + lanes + (problem.out_channels + lanes) * phases
    most = max(1, machine.record.caches.panels[1] // (pitch * BYTES[dtype]))  # cells
    sizes = [1, 1, 1, 1]
    margins = [
        d * (k - 1) // s for k, s, d in zip(problem.kernel, problem.stride, problem.dilation, strict=True)
    ]
    extents = (problem.batch, *problem.input)
    for axis in (3, 2, 1, 0):
        margin = margins[axis - 1] if axis else 0
        fit = max(1, most - margin)
        sizes[axis] = split(extents[axis], max(fit, 16) if axis == 3 else fit)
        if sizes[axis] < extents[axis]:
            break
        most //= sizes[axis] + margin
    return _four(sizes)
