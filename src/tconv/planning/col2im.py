"""Planning of `col2im`: a product that reads each number of the source once, and sums that are added in place.

It has no gaps, and multiplies nothing but what exists. Each product costs an addition in the cache, so that it
pays where a product has many terms, and where outputs are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from tconv._core import Col2imLanes, Col2imPlan, Problem
from tconv.planning.cost import BYTES, MIN_TASKS, MOST_WORKSPACE, Machine, split
from tconv.planning.lattice import Box
from tconv.planning.plans import Candidate
from tconv.planning.problem import MapName

__all__ = ["applies", "candidates"]


def applies(problem: Problem, map: MapName, dtype: str) -> bool:
    """The transposed layer of several channels."""
    return map == "conv_transpose" and dtype in BYTES and problem.batch > 0 and problem.in_channels > 1


def candidates(
    problem: Problem, map: MapName, dtype: str, machine: Machine, last: bool = False
) -> Iterator[Candidate]:
    """All candidates."""
    staged = dtype in ("f16", "bf16") or (last and problem.groups * problem.in_channels > 1)
    shape = _Shape(problem, BYTES[dtype], machine, staged)
    seen = set()
    for channels in sorted({split(problem.out_channels, most) for most in (1, 2, 4, 16, 64, 1 << 20)}):
        rows = channels * shape.kernel
        for vectors, most_rows in enumerate(machine.rows, 1):
            for tasks in (1, 4, MIN_TASKS):
                for lanes in (Col2imLanes.positions, Col2imLanes.taps):
                    weigh = shape.by_positions if lanes == Col2imLanes.positions else shape.by_taps
                    made = weigh(channels, rows, vectors, most_rows, tasks)
                    if made and (made.part.box, channels, vectors, lanes) not in seen:
                        seen.add((made.part.box, channels, vectors, lanes))
                        yield made


class _Shape:
    """A problem, and the candidates of one tile for it."""

    def __init__(self, problem: Problem, size: int, machine: Machine, staged: bool) -> None:
        self.problem, self.size, self.machine, self.staged = problem, size, machine, staged
        self.kernel = prod(problem.kernel)
        self.rows = problem.input[0] * problem.input[1]
        self.cells = -(-problem.output[2] // problem.stride[2])
        axes = zip(problem.kernel, problem.stride, problem.dilation, strict=True)
        #: Rows, or cells, of the target that an axis' kernel reaches past the next position.
        self.past = [max(0, d * (k - 1) + 1 - s) for k, s, d in axes]

    def box(self, channels: int, tasks: int) -> Box:
        """A division of the source into about as many tasks as there should be, or more where sums are many."""
        p = self.problem
        chunks = p.groups * -(-p.out_channels // channels)
        batch = split(p.batch, max(1, p.batch * chunks // tasks))
        parts = max(1, -(-tasks // (chunks * -(-p.batch // batch))))
        row = channels * self.cells * p.stride[2] * self.size
        most = self.machine.record.caches.sums
        z, y = split(p.input[0], -(-p.input[0] // parts)), p.input[1]
        parts = -(-parts // -(-p.input[0] // z))
        y = split(y, -(-y // parts))
        while self.sums((1, z, y, self.cells)) * row > most and z > 1:
            z = -(-z // 2)
        while self.sums((1, z, y, self.cells)) * row > most and y > 1:
            y = -(-y // 2)
        x = self.cells
        if self.rows == 1:
            x = split(x, -(-x // parts))
        while self.sums((1, z, y, x)) * channels * x * p.stride[2] * self.size > most and x > 256:
            x = -(-x // 2)
        return batch, z, y, x

    def sums(self, box: Box) -> int:
        """Rows of the target that a box reaches."""
        z, y, _ = zip(box[1:], self.problem.stride, self.past, strict=True)
        return prod(min(n * s + past, o) for (n, s, past), o in zip((z, y), self.problem.output, strict=False))

    def boxes(self, box: Box) -> int:
        p = self.problem
        extents = (p.batch, p.input[0], p.input[1], self.cells)
        return prod(-(-e // b) for e, b in zip(extents, box, strict=True))

    def width(self, box: Box) -> int:
        """Positions along x that a box multiplies."""
        p = self.problem
        return min(p.input[2], box[3] + -(-self.past[2] // p.stride[2]))

    def outputs(self, box: Box, channels: int) -> float:
        """Cycles to store the outputs of a box, and to share some with other boxes."""
        p, own = self.problem, self.machine.record.phases
        row = box[3] * p.stride[2]
        rows = self.sums(box) * box[0]
        store = own.store if p.stride[2] in (1, 2, 4) else own.store_long
        cycles = rows * channels * (own.row + row * store)
        within = box[1] * p.stride[0] * box[2] * p.stride[1] * box[0]
        if rows > within:
            cycles += (rows - within) * channels * row * self.machine.record.col2im.share
        return cycles

    def made(
        self, lanes: Col2imLanes, busy: float, macs: int, channels: int, part: Col2imPlan
    ) -> Candidate | None:
        p, size = self.problem, self.size
        boxes, groups = self.boxes(part.box), p.groups * -(-p.out_channels // channels)
        sums = self.sums(part.box) * part.box[0] * channels * part.box[3] * p.stride[2] * size
        shares = any(n > b for n, b, past in zip(p.input[:2], part.box[1:], self.past, strict=False) if past)
        if sums > MOST_WORKSPACE // 2 or (shares and sums * boxes * groups > 2 * MOST_WORKSPACE):
            return None
        cycles = busy * boxes * groups
        cost = cycles * self.machine.uneven(cycles, boxes * groups)
        return Candidate(part, macs * boxes * groups, cost)

    def by_positions(
        self, channels: int, rows: int, vectors: int, most_rows: int, tasks: int
    ) -> Candidate | None:
        p, machine, size = self.problem, self.machine, self.size
        own, lanes, depth = machine.record.col2im, machine.lanes, p.in_channels
        height, tile = split(rows, most_rows), vectors * lanes
        box = self.box(channels, tasks)
        width = self.width(box)
        most = max(tile, min(own.block // (rows * size) // tile * tile, 4096))
        if width <= most:
            together = most // width
            lines = box[1] * box[2] if box[2] == p.input[1] else box[2]
            together = split(lines, together)
            positions, pieces = together * width, box[1] * box[2] / together
        else:
            positions = split(-(-width // tile), most // tile) * tile
            pieces = box[1] * box[2] * -(-width // positions)
        step = min(depth, max(16, own.step // (tile * size)))
        count = -(-positions // lanes)  # vectors
        passes = -(-depth // step)
        busy = own.fed * depth * machine.tiles_cycles(rows, height, count, vectors)
        busy += rows * count * passes * own.sum
        busy += -(-rows // height) * -(-count // vectors) * passes * machine.record.phases.call
        busy = max(busy, depth * positions * size * own.read)
        if self.staged:
            busy += depth * positions * machine.record.phases.pack
        line = min(width, positions)
        busy += rows * positions / line * (own.add_begin + line / lanes * own.add)
        busy = busy * pieces * box[0] + self.outputs(box, channels)
        part = Col2imPlan(
            lanes=Col2imLanes.positions,
            rows=height,
            vectors=vectors,
            box=box,
            channels=channels,
            positions=positions,
            depth=step,
        )
        return self.made(part.lanes, busy, int(box[0] * pieces * positions) * rows * depth, channels, part)

    def by_taps(
        self, channels: int, rows: int, vectors: int, most_rows: int, tasks: int
    ) -> Candidate | None:
        p, machine, size = self.problem, self.machine, self.size
        own, lanes, depth = machine.record.col2im, machine.lanes, p.in_channels
        columns = -(-rows // lanes)
        if columns < vectors:
            return None
        box = self.box(channels, tasks)
        width = self.width(box)
        most = max(most_rows, own.block_taps // (columns * lanes * size * box[0]))
        if width <= most:
            lines = box[1] * box[2] if box[2] == p.input[1] else box[2]
            together = split(lines, most // width)
            positions, pieces = together * width, box[1] * box[2] / together
        else:
            positions = split(width, most)
            pieces = box[1] * box[2] * -(-width // positions)
        height = split(positions, most_rows)
        busy = own.fed_by_weights * depth * machine.tiles_cycles(positions, height, columns, vectors)
        busy += -(-positions // height) * -(-columns // vectors) * machine.record.phases.call
        runs = positions * p.kernel[0] * p.kernel[1]
        run = p.kernel[2] * channels
        if p.dilation[2] > 1:
            runs, run = runs * p.kernel[2], channels
        busy += runs * (own.run_begin + -(-run // lanes) * own.add)
        if self.staged:
            busy += depth * positions * machine.record.phases.pack
        busy *= pieces * box[0]
        busy += self.outputs(box, channels)
        busy += machine.stream_cycles(columns * lanes * depth * size, pieces)
        part = Col2imPlan(
            lanes=Col2imLanes.taps,
            rows=height,
            vectors=vectors,
            box=box,
            channels=channels,
            positions=positions,
            depth=depth,
        )
        macs = int(box[0] * pieces * positions) * columns * lanes * depth
        return self.made(part.lanes, busy, macs, channels, part)
