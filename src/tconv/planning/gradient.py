"""Planning of `phases` for the weight gradient: matrix products over all positions, cut into ordered sums."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd, prod
from typing import Any

from tconv.planning.cost import BYTES, MIN_TASKS, PANELS, TASK_CYCLES, Machine, split
from tconv.planning.phases import tiles_cycles
from tconv.planning.plans import MapName, Problem

__all__ = ["candidates", "choose"]

Box = tuple[int, int, int, int]

#: Cycles to enter a register tile and to write its sums.
_CALL = 60.0

#: Bytes of partial gradients, all segments together.
_MOST_PARTIAL = 16 << 20


def choose(problem: Problem, map: MapName, dtype: str, machine: Machine) -> dict[str, Any]:
    """The cheapest register tile, box, chunk and number of segments, as fields of a Plan."""
    return min(candidates(problem, map, dtype, machine), key=lambda fields: fields["cost"])


def candidates(problem: Problem, map: MapName, dtype: str, machine: Machine) -> Iterator[dict[str, Any]]:
    """All plans that are weighed."""
    yield from _over_channels(problem, dtype, machine)
    if problem.dilation[2] == 1:
        yield from _over_kernel(problem, dtype, machine)


def _fields(
    problem: Problem, box: Box, cycles: float, partial: int, split_channels: int, unit: int
) -> dict[str, Any]:
    """Segments and chunks for enough tasks; `partial`: bytes of one segment's gradient."""
    boxes = _boxes(problem, box)
    wanted = max(1, min(MIN_TASKS, int(cycles / TASK_CYCLES)))
    segments = max(1, min(boxes, -(-wanted // problem.groups), _MOST_PARTIAL // max(1, partial)))
    units = -(-split_channels // unit)
    pieces = max(1, min(units, -(-wanted // (problem.groups * segments))))
    return {"box": box, "segments": segments, "chunk": -(-units // pieces) * unit, "cost": cycles}


def _boxes(problem: Problem, box: Box) -> int:
    return prod(-(-e // b) for e, b in zip((problem.batch, *problem.input), box, strict=True))


def _over_channels(problem: Problem, dtype: str, machine: Machine) -> Iterator[dict[str, Any]]:
    x_channels, y_channels = problem.in_channels, problem.out_channels
    taps = prod(problem.kernel)
    cells = prod(problem.input) * problem.batch
    box = _box(problem, dtype, machine)
    for lanes_over in ("channels", "positions"):  # y's channels, x's channels
        y_lanes = lanes_over == "channels"
        height, width = (x_channels, y_channels) if y_lanes else (y_channels, x_channels)
        for vectors, most_rows in enumerate(machine.rows, 1):
            rows = split(height, most_rows)
            columns = -(-width // machine.lanes)
            padded = height * columns * machine.lanes
            calls = -(-height // rows) * -(-columns // vectors) * taps * _boxes(problem, box)
            # Sums are then turned into the weights' own layout, with a stride.
            moved = taps * padded * 4.0
            cycles = tiles_cycles(height, rows, columns, vectors) * taps * cells + calls * _CALL + moved
            cycles *= problem.groups
            yield {
                "rows": rows,
                "vectors": vectors,
                "lanes": lanes_over,
                "computed_macs": cells * taps * padded * problem.groups,
                **_fields(
                    problem,
                    box,
                    cycles,
                    problem.groups * taps * padded * BYTES[dtype],
                    x_channels,
                    rows if y_lanes else vectors * machine.lanes,
                ),
            }


def _over_kernel(problem: Problem, dtype: str, machine: Machine) -> Iterator[dict[str, Any]]:
    cells = prod(problem.input) * problem.batch
    kernel_rows = problem.kernel[0] * problem.kernel[1]
    columns = -(-problem.kernel[2] // machine.lanes)
    padded = problem.in_channels * problem.out_channels * kernel_rows * columns * machine.lanes
    box = _wide_box(problem, dtype)
    for vectors, most_rows in enumerate(machine.rows, 1):
        rows = split(problem.in_channels, most_rows)
        step = tiles_cycles(problem.in_channels, rows, columns, vectors) * problem.out_channels * kernel_rows
        calls = -(-problem.in_channels // rows) * -(-columns // vectors) * problem.out_channels * kernel_rows
        moved = padded * 1.5 + prod(problem.output) * problem.out_channels * problem.batch * 0.3
        cycles = (step * cells + calls * _boxes(problem, box) * _CALL + moved) * problem.groups
        yield {
            "rows": rows,
            "vectors": vectors,
            "lanes": "kernel",
            "computed_macs": cells * padded * problem.groups,
            **_fields(problem, box, cycles, problem.groups * padded * BYTES[dtype], problem.out_channels, 1),
        }


def _wide_box(problem: Problem, dtype: str) -> Box:
    """Cells whose x, all channels, and y, one channel, stay in the cache."""
    most = PANELS[1] // BYTES[dtype]
    sizes = [1, 1, 1, 1]

    def numbers() -> int:
        x = prod(sizes) * problem.in_channels
        y = prod(
            (b - 1) * s + d * (k - 1) + 1
            for b, s, d, k in zip(sizes[1:], problem.stride, problem.dilation, problem.kernel, strict=True)
        )
        return x + y * sizes[0]

    extents = (problem.batch, *problem.input)
    for axis in (3, 2, 1, 0):
        low, high = 1, extents[axis]
        while low < high:  # the largest that fits
            sizes[axis] = (low + high + 1) // 2
            low, high = (sizes[axis], high) if numbers() <= most else (low, sizes[axis] - 1)
        sizes[axis] = split(extents[axis], low)
        if sizes[axis] < extents[axis]:
            break
    return sizes[0], sizes[1], sizes[2], sizes[3]


def _box(problem: Problem, dtype: str, machine: Machine) -> Box:
    """Rows of cells of one or more batch items whose two transposed panels stay in the cache."""
    phases = prod(
        min(k, s // gcd(s, d))
        for k, s, d in zip(problem.kernel, problem.stride, problem.dilation, strict=True)
    )
    lanes = machine.lanes
    pitch = problem.in_channels + lanes + (problem.out_channels + lanes) * phases
    most = max(1, PANELS[1] // (pitch * BYTES[dtype]))  # cells
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
    return sizes[0], sizes[1], sizes[2], sizes[3]
