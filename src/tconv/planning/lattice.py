"""The lattice of cells over which the phases of a map are correlated, and boxes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd, prod
from typing import TypeAlias

from tconv._core import Problem
from tconv.planning.cost import MOST_WORKSPACE, split
from tconv.planning.problem import MapName

__all__ = ["Box", "Lattice"]

#: Cells along batch, z, y, x.
Box: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the target's lattice, as core/lattice.cpp builds it."""

    cells: int
    phases: int  #: of the target
    margin: int  #: cells read past a box, on both sides together
    gap: int  #: cells between rows where a box spans the axis
    source_phases: int
    taps: int  #: of all phases together, those that a phase lacks counted where phases share them
    distances: int  #: that some tap reads, times source phases
    #: Where phases share their taps: how many taps are those of the phases from one to before another.
    shares: tuple[tuple[int, int, int], ...] = ()


def _shared(i: int, o: int, k: int, s: int, d: int, lo: int) -> Axis:
    """Distances count from the cell that holds the first output; only where `d` or `s` is 1."""
    taps, zeros = (-(-k // s), -k % s) if d == 1 else (k, 0)
    # Some of the zeros that complete the kernel are before it, where that saves a cell.
    before = min(range(zeros + 1), key=lambda n: -(-(o + (lo + n) % s) // s))
    behind, lo = zeros - before, lo + before
    far, cells = lo // s, -(-(o + lo % s) // s)
    near, far = min(far - (taps - 1) * d, 0), max(far, 0)
    if taps == 1:
        shares = [(1, before, s - behind)]
    else:
        ends = (before > 0) + (behind > 0)
        shares = [(taps - ends, 0, s), (before > 0, before, s), (behind > 0, 0, s - behind)]
    gap = far - near if i > cells else max(far, -near)
    return Axis(cells, s, far - near, gap, 1, taps * s, taps, tuple(share for share in shares if share[0]))


def _axis(problem: Problem, map: MapName, shared: bool, a: int) -> Axis:
    i, o, k = problem.input[a], problem.output[a], problem.kernel[a]
    s, d, lo = problem.stride[a], problem.dilation[a], problem.lo[a]
    reach = d * (k - 1)
    if map != "conv_transpose":
        far = reach // s
        return Axis(i, 1, far, far, min(k, s // gcd(s, d)), k, k)
    if shared:
        return _shared(i, o, k, s, d, lo)
    # Distances count from each phase's own first output.
    near, far, cells = -((reach - lo) // s), (s - 1 + lo) // s, -(-o // s)
    distances = min(far - near + 1, k)
    near, far = min(near, 0), max(far, 0)
    return Axis(cells, s, far - near, far - near if i > cells else max(far, -near), 1, k, distances)


class Lattice:
    """The axes of a map, and the memory layout of boxes of their cells (core/layout.cpp)."""

    def __init__(
        self,
        problem: Problem,
        map: MapName,
        shared: bool,
        size: int,
        *,
        parts: int = 0,
        together: int = 1,
        im2col: bool = False,
    ) -> None:
        """`shared`: phases have the same taps, some of them zeros; `size`: bytes of a number.

        `parts`: of a number in matrix registers; `together`: groups in one panel.
        """
        self.axes = [_axis(problem, map, shared, a) for a in range(3)]
        z, y, x = self.axes
        self.extents: Box = problem.batch, z.cells, y.cells, x.cells
        pair = problem.in_channels, problem.out_channels
        self.depth, self.target = pair if map == "conv_transpose" else pair[::-1]
        self.phases = prod(axis.phases for axis in self.axes)
        self.taps = prod(axis.taps for axis in self.axes)
        #: Whether some phases lack taps of those with which they share a tile.
        self.uneven = shared and any(axis.shares != ((axis.distances, 0, axis.phases),) for axis in self.axes)
        #: The taps of all phases without those zeros.
        self.own_taps = prod(
            sum(taps * (end - begin) for taps, begin, end in axis.shares) for axis in self.axes
        )
        self.size, self.parts, self.together = size, parts, together
        #: How many copies of a box without gaps the panel holds; 0: one copy with gaps.
        self.copies = prod(axis.distances for axis in self.axes) if im2col else 0
        self.blocks = -(-self.depth // 32)  # of channels, for matrix registers
        self.rows = parts * self.blocks * 16 if parts else self.depth  # of a panel
        self._bytes = together * self.rows * prod(axis.source_phases for axis in self.axes) * size
        # The sizes that `extent`, which is called hundreds of times per plan, needs of the axes.
        each = [(axis.cells, axis.gap, axis.margin) for axis in self.axes]
        self._spans = (*each[0], *each[1], *each[2])

    def extent(self, box: Sequence[int]) -> tuple[int, int]:
        """Positions from a box's first cell to its last, and bytes of its panel."""
        if self.copies:
            positions = prod(box)
            return positions, -(-positions // 16) * 16 * self.copies * self.together * self.rows * self.size
        cells_z, gap_z, margin_z, cells_y, gap_y, margin_y, cells_x, gap_x, margin_x = self._spans
        n, z, y, x = box
        row = x + (gap_x if x >= cells_x else margin_x)
        plane = row * (y + (gap_y if y >= cells_y else margin_y))
        volume = plane * (z + (gap_z if z >= cells_z else margin_z))
        positions = (n - 1) * volume + (z - 1) * plane + (y - 1) * row + x
        return positions, (positions + margin_z * plane + margin_y * row + margin_x + 16) * self._bytes

    def box(self, most_positions: int, most_bytes: int) -> Box:
        """As many whole rows as fit, or part of one row."""
        sizes, extent = [1, 1, 1, 1], self.extent
        for axis in (3, 2, 1, 0):
            low, high = 1, self.extents[axis]
            while low < high:  # the largest that fits
                sizes[axis] = (low + high + 1) // 2
                positions, panel = extent(sizes)
                if positions <= most_positions and panel <= most_bytes:
                    low = sizes[axis]
                else:
                    high = sizes[axis] - 1
            # Rows shorter than a few vectors are mostly margin; a larger panel is better than a narrow box.
            if axis == 3 and low < 64 and self.extent((1, 1, 1, 64))[1] <= MOST_WORKSPACE // 2:
                low = 64
            sizes[axis] = split(self.extents[axis], low)
            if sizes[axis] < self.extents[axis]:
                break
        return sizes[0], sizes[1], sizes[2], sizes[3]

    def strips(self, height: int) -> list[tuple[int, int]]:
        """Rows and taps of each strip of the blocks of `height` rows, as strips_of in core/layout.cpp."""
        count, rows = self.target, self.target * self.phases
        _, y, x = (axis.phases for axis in self.axes)
        kinds = [*product(*(axis.shares for axis in self.axes))]
        found = []
        for first in range(0, rows, height):
            past = min(first + height, rows)
            phases = range(first // count, (past - 1) // count + 1)
            for kind in kinds:
                in_z, in_y, in_x = (range(begin, end) for _, begin, end in kind)
                having = [r for r in phases if r // (y * x) in in_z and r // x % y in in_y and r % x in in_x]
                if having:
                    begin, end = max(first, having[0] * count), min(past, (having[-1] + 1) * count)
                    found.append((end - begin, prod(taps for taps, *_ in kind)))
        return found

    def boxes(self, box: Box) -> int:
        """How many boxes there are."""
        (a, b, c, d), (n, z, y, x) = self.extents, box
        return -(-a // n) * -(-b // z) * -(-c // y) * -(-d // x)
