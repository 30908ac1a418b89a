"""Where an axis is cut: which part of the source each part of the result reads, and the padding in between.

Indices are those of `Axis`: input i reaches the output i*stride + t*dilation - lo.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from tconv.geometry import Axis
from tconv.geometry.axis import reach
from tconv.planning import MapName

__all__ = ["Cut", "Piece", "cuts", "pieces"]


class Cut(NamedTuple):
    """`result` of a map is what it makes of `source` alone, with `padding` in place of the whole's."""

    result: range
    source: range
    padding: tuple[int, int]


class Piece(NamedTuple):
    """A part of a source, which is `part` of the chunk number `chunk`; None: all of it."""

    chunk: int
    part: slice | None


def cuts(axis: Axis, map: MapName, chunks: Sequence[int]) -> list[Cut]:
    """One cut for each part of the result that stands over a chunk of the source, in rising order.

    The source of a cut holds everything that reaches its result, and nothing before or after it. Where
    nothing does, it is a single index, which the padding crops.

    >>> for cut in cuts(Axis(6, 4, 2, 1, 1, 0, 1), "conv_transpose", (2, 4)):
    ...     print(cut)
    Cut(result=range(0, 4), source=range(0, 3), padding=(1, 3))
    Cut(result=range(4, 12), source=range(1, 6), padding=(3, 1))
    """
    forward = map == "conv_transpose"
    size = axis.output if forward else axis.input
    ends = [0, *accumulate(chunks)]
    inner = (_over(axis, forward, end) for end in ends[1:-1])
    bounds = sorted({0, size, *(min(max(bound, 0), size) for bound in inner)})
    make = _of_outputs if forward else _of_inputs
    return [make(axis, range(start, stop)) for start, stop in pairwise(bounds)]


def _over(axis: Axis, forward: bool, end: int) -> int:
    """Where the result is cut for a source that is cut at `end`: so that both sides read as far."""
    overlap = reach(axis.kernel, axis.dilation) - (axis.stride if forward else 1)
    if forward:
        shift = overlap // 2 - axis.lo
        # Chunks of equal size stay equal where the padding is about half of the overlap.
        return end * axis.stride + (0 if abs(shift) < axis.stride else shift)
    return -((overlap // 2 - axis.lo - end) // axis.stride)


def _of_outputs(axis: Axis, outputs: range) -> Cut:
    """The inputs that reach `outputs`, and the transposed convolution that makes these of those."""
    span = reach(axis.kernel, axis.dilation)
    first = -((span - 1 - outputs.start - axis.lo) // axis.stride)
    inputs = _within(first, (outputs.stop - 1 + axis.lo) // axis.stride + 1, axis.input)
    lo = outputs.start + axis.lo - inputs.start * axis.stride
    hi = (len(inputs) - 1) * axis.stride + span - lo - len(outputs)
    return Cut(outputs, inputs, (lo, hi))


def _of_inputs(axis: Axis, inputs: range) -> Cut:
    """The outputs that reach `inputs`, and the convolution that makes these of those."""
    span = reach(axis.kernel, axis.dilation)
    first = inputs.start * axis.stride - axis.lo
    outputs = _within(first, (inputs.stop - 1) * axis.stride - axis.lo + span, axis.output)
    lo = outputs.start - first
    hi = (len(inputs) - 1) * axis.stride + span - len(outputs) - lo
    return Cut(inputs, outputs, (lo, hi))


def _within(start: int, stop: int, size: int) -> range:
    """The indices from `start` to `stop` that exist; the nearest one if none does."""
    start, stop = max(start, 0), min(stop, size)
    if start < stop:
        return range(start, stop)
    nearest = min(max(start, 0), size - 1)
    return range(nearest, nearest + 1)


def pieces(wanted: range, chunks: Iterable[int]) -> Iterator[Piece]:
    """The pieces of the chunks that a range consists of.

    >>> list(pieces(range(1, 4), (2, 2, 2)))
    [Piece(chunk=0, part=slice(1, 2, None)), Piece(chunk=1, part=None)]
    """
    for number, (start, stop) in enumerate(pairwise([0, *accumulate(chunks)])):
        first, last = max(wanted.start, start), min(wanted.stop, stop)
        if first < last:
            whole = (first, last) == (start, stop)
            yield Piece(number, None if whole else slice(first - start, last - start))
