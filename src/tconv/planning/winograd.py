"""Planning of `winograd`: phases of one or two taps by F(3, 2), all from one transformed window."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from tconv._core import Problem, WinogradPlan
from tconv.planning.cost import BYTES, Machine, split
from tconv.planning.plans import Candidate
from tconv.planning.problem import MapName

__all__ = ["applies", "candidates"]

_TILE = 3  # cells of a tile along an axis that is transformed

_MOST_STRIDE = 8  # beyond it a tile's sums and transformed weights crowd the caches


def applies(problem: Problem, map: MapName, dtype: str) -> bool:
    """Phases of one or two taps, some of two, only along x or along y and x."""
    z, y, x = zip(problem.kernel, problem.stride, problem.dilation, strict=True)
    return (
        map == "conv_transpose"
        and dtype in BYTES
        and problem.batch > 0
        and (problem.input[0], problem.output[0], z) == (1, 1, (1, 1, 1))
        and _taken(*x)
        and (_taken(*y) or y == (1, 1, 1))
    )


def _taken(kernel: int, stride: int, dilation: int) -> bool:
    return dilation == 1 and 2 <= stride <= _MOST_STRIDE and stride < kernel <= 2 * stride


def _products(problem: Problem) -> int:
    """Products of a tile, all phases together: along an axis 3 for a phase of one tap, 4 of two."""
    axes = zip(problem.kernel, problem.stride, strict=True)
    return prod(4 * (k - s) + 3 * (2 * s - k) if k > 1 else 1 for k, s in axes)


def candidates(
    problem: Problem, map: MapName, dtype: str, machine: Machine, last: bool = False
) -> Iterator[Candidate]:
    """All candidates."""
    size, record = BYTES[dtype], machine.record
    own, panels, sums = record.winograd, record.caches.panels, record.caches.sums
    fed = own.fed * record.phases.fed
    tall = problem.kernel[1] > 1
    cells = [
        -(-(o + lo % s) // s) for o, lo, s in zip(problem.output, problem.lo, problem.stride, strict=True)
    ]
    tiles = (problem.batch, -(-cells[1] // _TILE) if tall else cells[1], -(-cells[2] // _TILE))
    frequencies = 16 if tall else 4
    products = _products(problem)
    depth, target = problem.in_channels, problem.out_channels
    packed = products * depth * target * size
    # Cycles of one number in a transform.
    move_in, move_out = own.move_in + own.move_in_vector / machine.lanes, own.move_out
    if last:  # transposed in squares of channels and positions, badly filled if a group has few channels
        move_in += own.turn_in * machine.lanes / min(machine.lanes, depth)
        move_out += own.turn_out * machine.lanes / min(machine.lanes, target)
    seen = set()
    for vectors, most_rows in enumerate(machine.rows, 1):
        for panel in panels:
            most = max(machine.lanes, panel // (frequencies * depth * size))
            box = _box(tiles, most)
            if (vectors, box) in seen:
                continue
            seen.add((vectors, box))
            boxes = prod(-(-t // b) for t, b in zip(tiles, box, strict=True))
            columns = -(-prod(box) // machine.lanes)
            fits = max(1, sums // (products * columns * machine.lanes * size))
            work = products * depth * target * prod(tiles) * problem.groups / machine.lanes / 2
            wanted = machine.wanted(work) or 1
            chunk = split(target, min(fits, -(-target // -(-wanted // (boxes * problem.groups)))))
            if last and chunk < target:  # channels are stored a vector at a time
                chunk = -(-chunk // machine.lanes) * machine.lanes
            per_frequency = products // frequencies
            rows = split(chunk * per_frequency, most_rows)
            step = (
                machine.tiles_cycles(chunk * per_frequency, rows, columns, vectors)
                * frequencies
                * -(-target // chunk)
            )
            held = frequencies * depth * prod(box) * size
            busy = fed * step * depth
            busy *= 1.0 + own.crowded * min(1.0, max(0.0, held / panels[1] - 0.5))
            # Each row of the source is distributed to the rows of tiles that read it.
            line = own.line * record.phases.line + own.deal * box[2]
            busy += box[0] * box[1] * (4 if tall else 1) * depth * line
            busy += depth * prod(box) * frequencies * move_in
            busy += target * prod(box) * products * move_out
            busy += products * target / rows * -(-columns // vectors) * own.call
            # Each phase of a channel is transformed back, and each row of the target stored.
            high = (_TILE if tall else 1) * problem.stride[1]
            rows_out = box[0] * box[1] * high * own.row * record.phases.row
            busy += target * (prod(problem.stride) * own.phase + rows_out)
            cycles = (busy * boxes + own.stream * machine.stream_cycles(packed, boxes)) * problem.groups
            macs = products * depth * target * prod(tiles) * problem.groups
            part = WinogradPlan(rows=rows, vectors=vectors, tiles=box, channels=chunk)
            yield Candidate(part, macs, cycles)


def _box(tiles: tuple[int, int, int], most: int) -> tuple[int, int, int]:
    """As many whole rows of tiles as fit."""
    sizes = [1, 1, 1]
    for axis in (2, 1, 0):
        sizes[axis] = split(tiles[axis], max(1, most))
        if sizes[axis] < tiles[axis]:
            break
        most //= sizes[axis]
    return sizes[0], sizes[1], sizes[2]
