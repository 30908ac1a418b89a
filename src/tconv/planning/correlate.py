"""Planning of `phases` for the weight gradient in matrix registers, whose sums run over positions."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd, prod
from typing import Any

from tconv.planning.cost import (
    BYTES,
    MIN_TASKS,
    MOST_PARTIAL,
    MOST_WORKSPACE,
    Machine,
    matrix_cycles,
    uneven,
)
from tconv.planning.lattice import Box, Lattice
from tconv.planning.phases import PARTS
from tconv.planning.plans import Problem

__all__ = ["candidates"]

#: Positions of a box that are tried.
_POSITIONS = (128, 256, 512, 1024, 2048)

#: Bytes of workspace that stay in the second-level cache.
_NEAR = 2 << 20

#: Cycles to lay one register of sums where they belong.
_LAY = 20.0

#: Cycles to bring a number of x and of y into its panel, in parts, and to begin a line of y; for y more where
#: a stride is wide; to bring a number of the gradient to its place, and to add one of a further segment.
_X, _Y, _WIDE, _LINE, _OUT, _ADD = 1.3, 2.7, 1.0, 5.0, 2.0, 0.7


class _Sizes:
    """What core/gradient_matrix.cpp makes of a box, in numbers."""

    def __init__(
        self,
        problem: Problem,
        lattice: Lattice,
        distances: list[int],
        box: Box,
        stacked: bool,
        parts: int,
    ) -> None:
        """`distances`: how many each axis has from a cell to those that elements of the kernel read."""
        self.parts = parts
        positions, panel = lattice.extent(box)
        self.positions = -(-positions // 32) * 32
        self.phases = prod(axis.source_phases for axis in lattice.axes)
        self.each = self.phases if stacked else 1  # columns of a channel of y in a tile
        self.together = 16 // gcd(16, self.each)
        self.kernel = prod(problem.kernel)
        self.shifts = prod(distances) if stacked else self.kernel
        self.row = panel // lattice.depth // lattice.size // self.phases + 80  # of one phase of y
        self.odd = max(distances) > 1
        self.boxes = lattice.boxes(box)

    def columns(self, chunk: int) -> int:
        """Registers across so many channels of y, in one tile of phases."""
        return -(-chunk * self.each // 16)

    def workspace(self, chunk: int, rows: int, height: int, whole: bool) -> int:
        """Bytes; `chunk`: channels of y, `rows`: of x, in registers."""
        of_one = self.row * 16 * self.parts * 2 * (2 if self.odd else 1)
        y = self.columns(-(-chunk // self.together) * self.together) * self.phases // self.each * of_one
        x = rows * 16 * self.positions * self.parts * 2
        sums = chunk * self.kernel * ((height if whole else rows) + 1) * 64
        return x + y + sums + max(16 * self.positions, max(16, self.together) * self.row * self.phases) * 4


def candidates(problem: Problem, dtype: str, machine: Machine) -> Iterator[dict[str, Any]]:
    """The best box and cut for each tile."""
    if not machine.matrices or dtype not in PARTS:
        return
    lattice = Lattice(problem, "weight_gradient", False, BYTES[dtype])
    boxes = {lattice.box(most, 1 << 62) for most in _POSITIONS}
    axes = zip(problem.kernel, problem.stride, problem.dilation, strict=True)
    distances = [len({j * d // s for j in range(k)}) for k, s, d in axes]
    for stacked in (False, True):
        sizes = [
            (box, _Sizes(problem, lattice, distances, box, stacked, PARTS[dtype])) for box in sorted(boxes)
        ]
        if stacked and sizes[0][1].phases == 1:
            continue
        for height, width in machine.matrices:
            found = [fields for box, size in sizes for fields in _cuts(problem, size, box, height, width)]
            if found:
                best = min(found, key=lambda fields: float(fields["cost"]))
                yield {"lanes": "stacked" if stacked else "positions", **best}


def _cuts(problem: Problem, size: _Sizes, box: Box, height: int, width: int) -> Iterator[dict[str, Any]]:
    """Segments and chunks for enough tasks."""
    rows, boxes = -(-problem.in_channels // 16), size.boxes
    weights = problem.in_channels * problem.out_channels * size.kernel
    partial = problem.groups * weights * 4
    if rows < height:
        return
    x = problem.in_channels * size.positions * _X
    y = size.row * (_Y + _WIDE * (problem.stride[2] > 2)) + prod(box[:3]) * _LINE
    y *= problem.out_channels * size.phases
    seen = set[tuple[int, int]]()
    for wanted in (1, 2, 4, 8, MIN_TASKS):
        segments = max(1, min(boxes, -(-wanted // problem.groups), 1 + MOST_PARTIAL // partial))
        whole = segments == boxes
        for tasks in (1, 2, 4, 8, MIN_TASKS):
            chunk = -(-problem.out_channels // max(1, tasks // (segments * problem.groups)))
            chunk = min(chunk, problem.out_channels)
            while chunk > 1 and size.workspace(chunk, rows, height, whole) > MOST_WORKSPACE:
                chunk = -(-chunk // 2)
            unit = max(1, 16 * width // size.each)  # whole tiles
            if chunk > unit:
                chunk = chunk // unit * unit
            memory = size.workspace(chunk, rows, height, whole)
            if (segments, chunk) in seen or memory > MOST_WORKSPACE:
                continue
            seen.add((segments, chunk))
            chunks = -(-problem.out_channels // chunk)
            tiles = 0.0
            for h, h_count in _pieces(rows, height):
                for w, w_count in _pieces(size.columns(chunk), width):
                    one = matrix_cycles(h, w, size.parts) * size.positions / 32 + _LAY * h * w
                    tiles += one * h_count * w_count
            past = max(0.0, memory / _NEAR - 1.0)
            busy = tiles * size.shifts * chunks * (1.0 + 0.2 * min(2.0, past)) + y
            busy += x * (min(chunks, 2) if whole else chunks)
            cycles = (busy * boxes + weights * _OUT + (segments - 1) * weights * _ADD) * problem.groups
            cycles *= uneven(cycles, problem.groups * segments * chunks)
            yield {
                "rows": 16 * height,
                "vectors": width,
                "parts": size.parts,
                "box": box,
                "segments": segments,
                "chunk": chunk,
                "computed_macs": size.positions * boxes * weights * problem.groups,
                "cost": cycles,
            }


def _pieces(extent: int, most: int) -> tuple[tuple[int, int], ...]:
    """Sizes of pieces that are not 0, and how many of each."""
    return tuple(
        (size, count) for size, count in ((most, extent // most), (extent % most, 1)) if size and count
    )
