"""Planning of `phases` for the weight gradient: matrix products over all positions, cut into ordered sums."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd, prod
from typing import Any

from tconv.planning.cost import BYTES, MIN_TASKS, PANELS, TASK_CYCLES, Machine, split, tile_cycles
from tconv.planning.plans import MapName, Problem

__all__ = ["candidates", "choose"]

#: Bytes of partial gradients, all segments together.
_MOST_PARTIAL = 16 << 20


def choose(problem: Problem, map: MapName, dtype: str, machine: Machine) -> dict[str, Any]:
    """The cheapest register tile, box, chunk and number of segments, as fields of a Plan."""
    return min(candidates(problem, map, dtype, machine), key=lambda fields: fields["cost"])


def candidates(problem: Problem, map: MapName, dtype: str, machine: Machine) -> Iterator[dict[str, Any]]:
    x_channels, y_channels = problem.in_channels, problem.out_channels
    taps = prod(problem.kernel)
    cells = prod(problem.input) * max(1, problem.batch)
    for lanes_over in ("channels", "positions"):  # y's channels, x's channels
        y_lanes = lanes_over == "channels"
        height, width = (x_channels, y_channels) if y_lanes else (y_channels, x_channels)
        for vectors, most_rows in enumerate(machine.rows, 1):
            lanes = vectors * machine.lanes
            rows = split(height, most_rows)
            columns, rest = divmod(-(-width // machine.lanes), vectors)
            step = -(-height // rows) * (
                columns * tile_cycles(rows, vectors) + (tile_cycles(rows, rest) if rest else 0.0)
            )
            cycles = step * taps * cells * problem.groups
            box = _box(problem, dtype, machine)
            extents = (problem.batch, *problem.input)
            boxes = prod(-(-extent // size) for extent, size in zip(extents, box, strict=True))
            padded = height * -(-width // machine.lanes) * machine.lanes
            partial = problem.groups * taps * padded * BYTES[dtype]
            wanted = max(1, min(MIN_TASKS, int(cycles / TASK_CYCLES)))
            segments = max(1, min(boxes, -(-wanted // problem.groups), _MOST_PARTIAL // max(1, partial)))
            unit = rows if y_lanes else lanes
            units = -(-x_channels // unit)
            pieces = max(1, min(units, -(-wanted // (problem.groups * segments))))
            chunk = -(-units // pieces) * unit
            yield {
                "rows": rows,
                "vectors": vectors,
                "lanes": lanes_over,
                "box": box,
                "chunk": chunk,
                "segments": segments,
                "computed_macs": cells * taps * padded * problem.groups,
                "cost": cycles,
            }


def _box(problem: Problem, dtype: str, machine: Machine) -> tuple[int, int, int, int]:
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
