"""Planning of `dots`: tiles of dot products, both of whose operands are read along the reduction.

The weight gradient of few channels reduces over positions, the convolution with wide kernels over their
elements, the convolution of small maps over all channels and elements, which are gathered for each position.
None transposes its operands, and the convolutions read weights unpacked.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from tconv._core import DotsPlan, Problem
from tconv.planning.cost import BYTES, MOST_PARTIAL, MOST_WORKSPACE, Machine, split
from tconv.planning.lattice import Box, Lattice
from tconv.planning.plans import Candidate
from tconv.planning.problem import MapName

__all__ = ["applies", "candidates"]

#: Bytes of the widest vector register.
_VECTOR = 64


def applies(problem: Problem, map: MapName, dtype: str) -> bool:
    """The weight gradient, or a convolution whose kernels' rows, or rows of weights, are whole vectors."""
    if dtype not in BYTES or problem.batch == 0:
        return False
    # The convolution reads weights in place; the weight gradient takes halves, too.
    whole = _wide(problem, BYTES[dtype]) or _vectors(problem, BYTES[dtype])
    return map == "weight_gradient" or (map == "conv" and dtype in ("f32", "f64") and whole)


def _wide(problem: Problem, size: int) -> bool:
    """Whether a kernel's row is whole vectors, adjacent in y."""
    return problem.kernel[2] * size % _VECTOR == 0 and problem.dilation[2] == 1


def _vectors(problem: Problem, size: int) -> bool:
    """Whether the weights of a channel of x are whole vectors."""
    return problem.out_channels * prod(problem.kernel) * size % _VECTOR == 0


def candidates(problem: Problem, map: MapName, dtype: str, machine: Machine) -> Iterator[Candidate]:
    """All candidates."""
    size = BYTES[dtype]
    if map == "weight_gradient":
        yield from _gradient(problem, size, machine)
        return
    if _wide(problem, size):
        yield from _conv(problem, size, machine)
    if _vectors(problem, size):
        yield from _gathered(problem, size, machine)


def _tiles(machine: Machine) -> Iterator[tuple[int, int]]:
    """The tiles with the most columns, for each number of rows."""
    for rows in sorted({rows for rows, _ in machine.dots}):
        yield rows, max(columns for r, columns in machine.dots if r == rows)


def _cycles(
    machine: Machine, steps: int, rows: int, most_rows: int, columns: int, most_columns: int
) -> float:
    """Cycles of all tiles of `rows` x `columns` dot products of `steps` vectors, the last tiles smaller."""
    total, own = 0.0, machine.record.dots
    for r, r_count in ((most_rows, rows // most_rows), (rows % most_rows, 1)):
        for c, c_count in ((most_columns, columns // most_columns), (columns % most_columns, 1)):
            if r and c:
                step = machine.tile_cycles(r, c)
                total += (steps * step + own.call + own.add * r * c) * r_count * c_count
    return total


def _gradient(problem: Problem, size: int, machine: Machine) -> Iterator[Candidate]:
    x_channels, y_channels, groups = problem.in_channels, problem.out_channels, problem.groups
    lattice, kernel = Lattice(problem, "weight_gradient", False, size), prod(problem.kernel)
    own = machine.record.dots
    weights = x_channels * y_channels * kernel * groups * size
    move = own.move if lattice.axes[2].source_phases <= 2 else own.move_wide
    source_phases = prod(axis.source_phases for axis in lattice.axes)
    boxes = [lattice.box(min(most, (1 << 20) // (x_channels * size)), 1 << 62) for most in (512, 1024, 2048)]
    for box in sorted({*boxes, (1, 1, 1, 1)}):
        positions, panel = lattice.extent(box)
        y_bytes = panel // y_channels + 3 * machine.lanes * source_phases * size  # of one channel
        x_bytes = (positions + 2 * machine.lanes) * x_channels * size
        if x_bytes + y_bytes > MOST_WORKSPACE:
            continue
        count, steps, lines = lattice.boxes(box), -(-positions // machine.lanes), prod(box[:3])
        for most_rows, most_columns in _tiles(machine):
            rows, columns = split(x_channels, most_rows), split(y_channels * kernel, most_columns)
            chunk = max(1, min(y_channels, machine.record.caches.plane // y_bytes))
            busy = _cycles(machine, steps, x_channels, rows, y_channels * kernel, columns)
            busy += y_channels * (y_bytes / size * move + lines * source_phases * own.line)
            busy += (x_bytes / size * own.x + own.x_pass) * -(
                -y_channels // chunk
            ) + x_channels * lines * own.x_line
            cycles = busy * count * groups
            wanted = max(1, machine.wanted(cycles))
            segments = max(1, min(count, -(-wanted // groups), 1 + MOST_PARTIAL // weights))
            pieces = max(1, min(y_channels, -(-wanted // (groups * segments))))
            # A single task leaves other cores idle.
            alone = own.alone if wanted > 1 and groups * segments * pieces == 1 else 1.0
            most = (MOST_WORKSPACE - x_bytes) // y_bytes
            channels = min(-(-y_channels // pieces), chunk, most)
            cost = (cycles * alone + (segments - 1) * weights / size * own.segment) * own.measured
            macs = count * steps * machine.lanes * x_channels * y_channels * kernel * groups
            part = DotsPlan(
                rows=rows, columns=columns, box=box, x_channels=0, y_channels=channels, gathered=False
            )
            yield Candidate(part, macs, cost, segments)


def _conv(problem: Problem, size: int, machine: Machine) -> Iterator[Candidate]:
    x_channels, y_channels, groups = problem.in_channels, problem.out_channels, problem.groups
    kernel_bytes = prod(problem.kernel) * size
    kernel_rows = problem.kernel[0] * problem.kernel[1]
    own, near = machine.record.dots, machine.record.caches.kernels
    some = max(1, min(y_channels, near // kernel_bytes))  # channels of y in one sum
    extents = (problem.batch, *problem.input)
    seen = set()
    for most in (48, 128, 512):
        box = _rows(extents, most)
        panel = box[0] * size
        for b, s, d, k in zip(box[1:], problem.stride, problem.dilation, problem.kernel, strict=True):
            panel *= (b - 1) * s + d * (k - 1) + 1
        if box in seen or panel * some > MOST_WORKSPACE:
            continue
        seen.add(box)
        boxes = prod(-(-e // b) for e, b in zip(extents, box, strict=True))
        pieces_of_one = min(-(-kernel_bytes // near), kernel_rows) if some == 1 else 1
        sums = -(-y_channels // some) * pieces_of_one
        steps = -(-y_channels * kernel_bytes // (size * machine.lanes * sums))
        for most_rows, most_columns in _tiles(machine):
            rows, columns = split(x_channels, most_rows), split(prod(box), most_columns)
            busy = _cycles(machine, steps, x_channels, rows, prod(box), columns) * sums
            # Weights come from beyond the second-level cache for every box.
            weights = x_channels * y_channels * kernel_bytes * own.weight
            busy += panel / size * y_channels * own.copy + weights + own.box
            cycles = busy * boxes * groups
            wanted = max(1, machine.wanted(cycles))
            units = -(-x_channels // rows)
            pieces = max(1, min(units, -(-wanted // (groups * boxes))))
            macs = prod(extents) * x_channels * y_channels * kernel_bytes // size * groups
            cost = cycles + (pieces - 1) * boxes * groups * panel / size * y_channels * own.copy
            channels = -(-units // pieces) * rows
            part = DotsPlan(
                rows=rows, columns=columns, box=box, x_channels=channels, y_channels=0, gathered=False
            )
            yield Candidate(part, macs, cost, sums)


def _gathered(problem: Problem, size: int, machine: Machine) -> Iterator[Candidate]:
    """The convolution with y copied for each position of x, in the order of the weights."""
    x_channels, groups, own = problem.in_channels, problem.groups, machine.record.dots
    kernel, extents = prod(problem.kernel), (problem.batch, *problem.input)
    length = problem.out_channels * kernel  # of a sum
    weights = x_channels * length * size
    # Pieces of a sum whose rows of weights stay in the first-level cache.
    sums = -(-length * size // machine.record.caches.kernels)
    steps = -(-length // (machine.lanes * sums))
    copied = length * own.copy + length / problem.kernel[2] * own.run  # of a position
    seen = set()
    for most in (12, 24, 48, 96):
        box = _rows(extents, most)
        if box in seen or prod(box) * (length + machine.lanes) * size > MOST_WORKSPACE:
            continue
        seen.add(box)
        boxes = prod(-(-e // b) for e, b in zip(extents, box, strict=True))
        for most_rows, most_columns in _tiles(machine):
            rows, columns = split(x_channels, most_rows), split(prod(box), most_columns)
            busy = _cycles(machine, steps, x_channels, rows, prod(box), columns) * sums
            busy += prod(box) * copied + weights * own.weight + own.box
            cycles = busy * boxes * groups
            wanted = max(1, machine.wanted(cycles))
            units = -(-x_channels // rows)
            pieces = max(1, min(units, -(-wanted // (groups * boxes))))
            # Each task of a box may have to copy y again.
            cost = (cycles + (pieces - 1) * boxes * groups * prod(box) * copied * own.again) * own.gathered
            part = DotsPlan(
                rows=rows,
                columns=columns,
                box=box,
                x_channels=-(-units // pieces) * rows,
                y_channels=0,
                gathered=True,
            )
            macs = prod(extents) * x_channels * length * groups
            yield Candidate(part, macs, cost, sums)


def _rows(extents: tuple[int, ...], most: int) -> Box:
    """Whole rows of cells, as many as fit, or a piece of one."""
    sizes = [1, 1, 1, 1]
    for axis in (3, 2, 1, 0):
        sizes[axis] = split(extents[axis], max(1, most))
        if sizes[axis] < extents[axis]:
            break
        most //= sizes[axis]
    return sizes[0], sizes[1], sizes[2], sizes[3]
