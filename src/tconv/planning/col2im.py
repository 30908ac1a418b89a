"""Planning of `col2im`: a product that reads each number of the source once, whose sums are added in place.

It has no gaps, and multiplies nothing but what exists. Each product costs an addition in the cache, so it
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

#: Positions that are multiplied at a time.
_MOST_POSITIONS = 4096

#: Vectors of sums collect their terms up to so many vectors of a row of the source, and terms of a channel.
_SHORT, _MOST_TERMS = 4, 1 << 15

#: Cycles of a block of products, how many blocks a box has, computed products of a box, and the plan.
_Weighed = tuple[float, float, int, Col2imPlan]


def applies(problem: Problem, map: MapName, dtype: str) -> bool:
    """The transposed layer of several channels: products of one term would only be added."""
    return map == "conv_transpose" and dtype in BYTES and problem.batch > 0 and problem.in_channels > 1


def candidates(
    problem: Problem, map: MapName, dtype: str, machine: Machine, last: bool = False
) -> Iterator[Candidate]:
    """All candidates; their order depends on no cost."""
    staged = dtype in ("f16", "bf16") or (last and problem.groups * problem.in_channels > 1)
    size = BYTES[dtype]
    # Channels a multiple of 4 KiB apart would conflict in the same few cache lines of L1.
    staged = staged or prod(problem.input) * size % 4096 == 0
    layer = _Layer(problem, size, machine, staged)
    for channels in sorted({split(problem.out_channels, most) for most in (1, 4, 16, 1 << 20)}):
        for box in dict.fromkeys(layer.box(channels, tasks) for tasks in (1, 4, MIN_TASKS)):
            if layer.fits(box, channels):
                for tile in (*layer.by_positions(box, channels), *layer.by_taps(box, channels)):
                    yield layer.candidate(box, channels, *tile)


class _Layer:
    """A problem, and how long the parts of `col2im` take for it."""

    def __init__(self, problem: Problem, size: int, machine: Machine, staged: bool) -> None:
        """`size`: bytes of a number; `staged`: whether the source is copied before it is multiplied."""
        self.problem, self.size, self.machine, self.staged = problem, size, machine, staged
        self.kernel = prod(problem.kernel)
        own, caches = machine.record.col2im, machine.record.caches
        read = problem.batch * problem.groups * problem.in_channels * prod(problem.input) * size
        self.held = prod((problem.groups, problem.in_channels, problem.out_channels, self.kernel, size))
        self.read = own.read if read <= caches.far else own.read_far  # cycles per byte
        self.cells = -(-problem.output[2] // problem.stride[2])
        axes = zip(problem.kernel, problem.stride, problem.dilation, strict=True)
        #: How far an axis' kernel reaches past the first output of the next position.
        self.past = [max(0, d * (k - 1) + 1 - s) for k, s, d in axes]

    def box(self, channels: int, tasks: int) -> Box:
        """A division into about as many tasks as there should be, or more where sums are many.

        Batch items are divided first, which costs nothing, then rows, then a lone row.
        """
        p, most = self.problem, self.machine.record.caches.sums
        chunks = p.groups * -(-p.out_channels // channels)
        n = split(p.batch, p.batch * chunks // tasks)
        left = -(-tasks // (chunks * -(-p.batch // n)))
        z = split(p.input[0], -(-p.input[0] // left))
        left = -(-left // -(-p.input[0] // z))
        y, x = split(p.input[1], -(-p.input[1] // left)), self.cells
        if p.input[0] == p.input[1] == 1:
            x = split(x, -(-x // left))
        while self.sums((n, z, y, x), channels) > most and n * z * y > 1:
            if n > 1:
                n = -(-n // 2)
            elif z > 1:
                z = -(-z // 2)
            else:
                y = -(-y // 2)
        while self.sums((n, z, y, x), channels) > most and x > 256:
            x = -(-x // 2)
        return n, z, y, x

    def rows(self, box: Box) -> int:
        """Rows of the target that a box reaches, of one channel and batch item."""
        axes = zip(box[1:3], self.problem.stride, self.past, self.problem.output, strict=False)
        return prod(min(n * s + past, o) for n, s, past, o in axes)

    def sums(self, box: Box, channels: int) -> int:
        """Bytes."""
        row = -(-box[3] // self.machine.lanes) * self.machine.lanes if self.short(box) else box[3]
        return box[0] * self.rows(box) * channels * row * self.problem.stride[2] * self.size

    def shares(self, box: Box) -> bool:
        """Whether rows of the target are reached by several boxes."""
        axes = zip(self.problem.input, box[1:], self.past, strict=False)
        return any(i > n and past for (i, n, past), _ in zip(axes, "zy", strict=False))

    def tasks(self, box: Box, channels: int) -> int:
        p = self.problem
        extents = (p.batch, p.input[0], p.input[1], self.cells)
        boxes = prod(-(-e // b) for e, b in zip(extents, box, strict=True))
        return boxes * p.groups * -(-p.out_channels // channels)

    def fits(self, box: Box, channels: int) -> bool:
        """Whether the sums of a task, and of all tasks where they are shared, are few enough."""
        sums = self.sums(box, channels)
        shared = sums * self.tasks(box, channels) if self.shares(box) else 0
        return sums <= MOST_WORKSPACE // 2 and shared <= 2 * MOST_WORKSPACE

    def pieces(self, box: Box, most: int, unit: int) -> tuple[int, int, float]:
        """Positions of a row and of a block of at most `most`, and how many blocks a box has of each item."""
        p = self.problem
        width = min(p.input[2], box[3] + -(-self.past[2] // p.stride[2]))
        if width > most:
            count = -(-width // most)
            width = -(-width // count)
            return width, min(most, -(-width // unit) * unit), box[1] * box[2] * count
        lines = box[2] * (box[1] if box[2] == p.input[1] else 1)
        together = split(lines, most // width)
        return width, width * together, box[1] * box[2] / together

    def by_positions(self, box: Box, channels: int) -> list[_Weighed]:
        """All tiles whose lanes are positions."""
        machine, own, depth = self.machine, self.machine.record.col2im, self.problem.in_channels
        rows, lanes, made = channels * self.kernel, machine.lanes, []
        for vectors, most_rows in enumerate(machine.rows, 1):
            height, tile = split(rows, most_rows), vectors * lanes
            most = min(max(tile, own.block // (rows * self.size) // tile * tile), _MOST_POSITIONS)
            width, positions, pieces = self.pieces(box, most, tile)
            step = min(depth, max(1, own.step // (tile * self.size)))
            count, passes = -(-positions // lanes), -(-depth // step)
            busy = own.fed * depth * machine.tiles_cycles(rows, height, count, vectors)
            busy += rows * count * passes * own.sum
            busy += -(-rows // height) * -(-count // vectors) * passes * machine.record.phases.call
            busy += depth * positions * self.size * self.read
            busy += rows * positions / width * self.added(box, channels, width, positions)
            part = self.part(Col2imLanes.positions, height, vectors, box, channels, positions, step)
            made.append((busy, pieces, rows * (positions // width) * width, part))
        return made

    def short(self, box: Box) -> bool:
        """Whether vectors of sums collect their terms, where positions are whole rows.

        As core/col2im_collect.cpp decides.
        """
        p, lanes = self.problem, self.machine.lanes
        terms = p.input[0] * p.input[1] * self.kernel * (-(-p.input[2] // lanes) + 1)
        return box[3] == self.cells and p.input[2] <= _SHORT * lanes and terms <= _MOST_TERMS

    def added(self, box: Box, channels: int, width: int, positions: int) -> float:
        """Cycles to add a row of products at its place."""
        own, lanes = self.machine.record.col2im, self.machine.lanes
        if width > positions or not self.short(box):
            return own.add_begin + -(-width // lanes) * own.add
        reached = min(-(-self.cells // lanes), 1 + (width - 1) / lanes)  # on average
        return reached * (own.collect + own.term * (channels // 4 + channels % 4) / channels)

    def by_taps(self, box: Box, channels: int) -> list[_Weighed]:
        """All tiles whose lanes are kernel elements with their channels."""
        p, machine, own = self.problem, self.machine, self.machine.record.col2im
        lanes, depth, made = machine.lanes, p.in_channels, list[_Weighed]()
        columns = -(-channels * self.kernel // lanes)
        run, runs = p.kernel[2] * channels, p.kernel[0] * p.kernel[1]
        if p.dilation[2] > 1:
            run, runs = channels, runs * p.kernel[2]
        for vectors, most_rows in enumerate(machine.rows, 1):
            if vectors > columns:
                break
            most = max(most_rows, own.block_taps // (columns * lanes * self.size * box[0]))
            _, positions, pieces = self.pieces(box, most, 1)
            height = split(positions, most_rows)
            busy = own.fed_by_weights * depth * machine.tiles_cycles(positions, height, columns, vectors)
            busy += -(-positions // height) * -(-columns // vectors) * machine.record.phases.call
            busy += positions * runs * (own.run_begin + -(-run // lanes) * own.add)
            part = self.part(Col2imLanes.taps, height, vectors, box, channels, positions, depth)
            made.append((busy, pieces, positions * columns * lanes, part))
        return made

    def part(
        self,
        lanes: Col2imLanes,
        rows: int,
        vectors: int,
        box: Box,
        channels: int,
        positions: int,
        depth: int,
    ) -> Col2imPlan:
        caches = self.machine.record.caches
        return Col2imPlan(
            lanes=lanes,
            rows=rows,
            vectors=vectors,
            box=box,
            channels=channels,
            positions=positions,
            depth=depth,
            staged=self.staged,
            prefetch=caches.ahead if lanes == Col2imLanes.positions and self.held > caches.near else 0,
        )

    def candidate(
        self, box: Box, channels: int, busy: float, pieces: float, products: int, part: Col2imPlan
    ) -> Candidate:
        """The plan of a tile."""
        p, tasks = self.problem, self.tasks(box, channels)
        own, phases = self.machine.record.col2im, self.machine.record.phases
        if self.staged:
            busy += p.in_channels * part.positions * own.copy
        row, rows = box[3] * p.stride[2], box[0] * self.rows(box)
        store = phases.store if p.stride[2] in (1, 2, 4) else phases.store_long
        if part.lanes == Col2imLanes.taps and channels > 1:  # rows of channels are transposed
            store = phases.store + phases.turn
        # A task reads its weights once from where all are, then from where its own are.
        packed, passes = channels * self.kernel * p.in_channels * self.size, pieces
        if part.lanes == Col2imLanes.positions:
            passes *= box[0]
        cycles = self.machine.stream_cycles(self.held, 1) * packed / self.held
        if part.lanes == Col2imLanes.taps and self.held > self.machine.record.caches.far:
            cycles *= own.far
        cycles += self.machine.stream_cycles(packed, max(0, passes - 1))
        cycles += busy * pieces * box[0] + rows * channels * (phases.row + row * store)
        if self.shares(box):
            beyond = rows - box[0] * box[1] * p.stride[0] * box[2] * p.stride[1]
            cycles += max(0, beyond) * channels * row * own.share
        cycles *= tasks * own.measured
        macs = int(pieces * box[0] * products) * p.in_channels * tasks
        return Candidate(part, macs, cycles * self.machine.uneven(cycles, tasks))
