"""Planning of `phases` for the weight gradient in matrix registers, whose sums run over positions."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd, prod

from tconv._core import GradientLanes, GradientPlan, Problem
from tconv.planning.cost import BYTES, MIN_TASKS, MOST_PARTIAL, MOST_WORKSPACE, Machine
from tconv.planning.lattice import Box, Lattice
from tconv.planning.phases import PARTS
from tconv.planning.plans import Candidate

__all__ = ["candidates"]

#: Numbers of positions of a box that are tried.
_POSITIONS = (128, 256, 512, 1024, 2048)


class _Sizes:
    """The sizes of a box, as core/gradient_matrix.cpp computes them, in numbers."""

    def __init__(
        self,
        problem: Problem,
        lattice: Lattice,
        distances: list[int],
        box: Box,
        lanes: GradientLanes,
        parts: int,
    ) -> None:
        """`distances`: how many distinct ones each axis has, from a cell to those that the kernel reads."""
        self.parts, self.lanes = parts, lanes
        stacked = lanes == GradientLanes.y_phases
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
        """Registers across `chunk` channels of y, in one tile of phases."""
        return -(-chunk * self.each // 16)

    def workspace(self, chunk: int, rows: int, height: int, whole: bool) -> int:
        """Bytes; `chunk`: channels of y, `rows`: of x, in registers."""
        of_one = self.row * 16 * self.parts * 2 * (2 if self.odd else 1)
        y = self.columns(-(-chunk // self.together) * self.together) * self.phases // self.each * of_one
        x = rows * 16 * self.positions * self.parts * 2
        sums = chunk * self.kernel * ((height if whole else rows) + 1) * 64
        return x + y + sums + max(16 * self.positions, max(16, self.together) * self.row * self.phases) * 4


def candidates(problem: Problem, dtype: str, machine: Machine) -> Iterator[Candidate]:
    """The best box and split into tasks for each tile."""
    if not machine.matrices or dtype not in PARTS:
        return
    lattice = Lattice(problem, "weight_gradient", False, BYTES[dtype])
    boxes = {lattice.box(most, 1 << 62) for most in _POSITIONS}
    axes = zip(problem.kernel, problem.stride, problem.dilation, strict=True)
    distances = [len({j * d // s for j in range(k)}) for k, s, d in axes]
    for lanes in (GradientLanes.y_channels, GradientLanes.y_phases):
        sizes = [
            (box, _Sizes(problem, lattice, distances, box, lanes, PARTS[dtype])) for box in sorted(boxes)
        ]
        if lanes == GradientLanes.y_phases and sizes[0][1].phases == 1:
            continue
        for height, width in machine.matrices:
            cuts = (cut for box, size in sizes for cut in _cuts(problem, size, box, height, width, machine))
            best = min(cuts, key=lambda cut: cut.cost, default=None)
            if best:
                yield best


def _cuts(
    problem: Problem, size: _Sizes, box: Box, height: int, width: int, machine: Machine
) -> Iterator[Candidate]:
    """Segments and chunks that give enough tasks."""
    rows, boxes, own = -(-problem.in_channels // 16), size.boxes, machine.record.correlate
    weights = problem.in_channels * problem.out_channels * size.kernel
    partial = problem.groups * weights * 4
    if rows < height:
        return
    x = problem.in_channels * size.positions * own.x
    y = size.row * (own.y + own.wide * (problem.stride[2] > 2)) + prod(box[:3]) * own.line
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
                    one = machine.matrix_cycles(h, w, size.parts) * size.positions / 32 + own.lay * h * w
                    tiles += one * h_count * w_count
            past = max(0.0, memory / machine.record.caches.matrix - 1.0)
            busy = tiles * size.shifts * chunks * (1.0 + own.crowded * min(2.0, past)) + y
            busy += x * (min(chunks, 2) if whole else chunks)
            cycles = (busy * boxes + weights * own.out + (segments - 1) * weights * own.add) * problem.groups
            cycles *= machine.uneven(cycles, problem.groups * segments * chunks)
            part = GradientPlan(
                lanes=size.lanes,
                rows=16 * height,
                vectors=width,
                parts=size.parts,
                box=box,
                x_channels=0,
                y_channels=chunk,
                stretches=0,
            )
            yield Candidate(part, size.positions * boxes * weights * problem.groups, cycles, segments)


def _pieces(extent: int, most: int) -> tuple[tuple[int, int], ...]:
    """Sizes of pieces that are not 0, and the number of each."""
    return tuple(
        (size, count) for size, count in ((most, extent // most), (extent % most, 1)) if size and count
    )
