"""How many taps reach each output, how many multiplications it takes, and the matrix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from math import gcd, inf, prod
from typing import NamedTuple

from tconv.documents import Cell, Item, Line, Matrix, Section, Strip, Table
from tconv.explanation.cells import kernel_letters, slices
from tconv.explanation.request import TAPS, Request, alike, lettered, listed, tap_name
from tconv.geometry import Axis, Geometry

__all__ = ["coverage", "matrix", "work"]


class Range(NamedTuple):
    """The fewest and the most taps over a set of outputs, and the number of outputs."""

    cells: int
    least: int
    most: int

    @property
    def ratio(self) -> Fraction | float:
        """most / least: 1 is even; where some output has no tap it is infinite."""
        if not self.most:
            return Fraction(1)
        return Fraction(self.most, self.least) if self.least else inf


class Along(NamedTuple):
    """The coverage along one axis; the inside is the outputs none of whose taps falls beyond the input."""

    taps: tuple[int, ...]
    inside: tuple[bool, ...]

    @classmethod
    def of(cls, axis: Axis) -> Along:
        """Count them."""
        taps, phases = axis.coverage(), axis.phases()
        uncropped = axis.smallest_output + axis.lo + axis.hi
        inside = (
            0 <= o + axis.lo < uncropped and count == len(phases[(o + axis.lo) % axis.stride].taps)
            for o, count in enumerate(taps)
        )
        return cls(taps, tuple(inside))

    def where(self, inside: bool) -> list[int]:
        """The counts of the inside, or of the border."""
        return [count for count, within in zip(self.taps, self.inside, strict=True) if within is inside]

    def parts(self, stride: int) -> tuple[str, str, str]:
        """The counts before the longest run of the inside, one period of it, and the counts after it."""
        stretches, start = [], 0
        for within, run in groupby(self.inside):
            length = sum(1 for _ in run)
            if within:
                stretches.append((length, start))
            start += length
        length, start = max(stretches, default=(0, len(self.taps)), key=lambda stretch: stretch[0])
        middle = self.taps[start : start + min(length, stride)]
        return _runs(self.taps[:start]), _runs(middle), _runs(self.taps[start + length :])


def ranges(axes: Sequence[Along]) -> dict[str, Range]:
    """The coverage inside, at the border and of all outputs; a position's is the product of its axes'."""
    whole = [(min(a.taps), max(a.taps)) for a in axes]
    cells = prod(len(a.taps) for a in axes)
    everywhere = Range(cells, prod(least for least, _ in whole), prod(most for _, most in whole))
    found = {}
    inside = [a.where(True) for a in axes]
    if all(inside):
        found["inside"] = Range(prod(map(len, inside)), prod(map(min, inside)), prod(map(max, inside)))
    # The border: not inside along at least one axis, anywhere along the others.
    sides = []
    for a, along in enumerate(axes):
        if border := along.where(False):
            rest = [pair for b, pair in enumerate(whole) if b != a]
            sides.append(
                (
                    min(border) * prod(least for least, _ in rest),
                    max(border) * prod(most for _, most in rest),
                )
            )
    if sides:
        within = found["inside"].cells if "inside" in found else 0
        found["border"] = Range(
            cells - within, min(least for least, _ in sides), max(most for _, most in sides)
        )
    return {**found, "all": everywhere}


def _runs(counts: Sequence[int]) -> str:
    """`1, 2 x 3` of 1, 2, 2, 2."""
    runs = [(count, sum(1 for _ in run)) for count, run in groupby(counts)]
    return listed((f"{count} x {n}" if n > 1 else str(count) for count, n in runs), len(runs), 6) or "none"


def coverage(request: Request) -> Section:
    """The coverage map and its checkerboard figure (Odena, Dumoulin, Olah 2016)."""
    g = request.geometry
    axes = [Along.of(g.axis(a)) for a in range(g.axes)]
    found = ranges(axes)
    items: list[Item] = [
        Line(
            "The taps that reach an output, axis by axis; a cell's coverage is the product. "
            "Inside are the outputs whose taps all meet an input; the others are the border. "
            "Most / fewest is the checkerboard figure: 1 is even."
        ),
        Table(
            "along each axis",
            ("axis", "outputs", "at the start", "inside, one stride", "at the end"),
            tuple((a, len(along.taps), *along.parts(g.stride[a])) for a, along in enumerate(axes)),
        ),
    ]
    if len(g.output) < 3 or prod(g.output) <= 600:

        def taps(place: tuple[int, ...]) -> int:
            return prod(along.taps[o] for along, o in zip(axes, place, strict=True))

        names = [range(size) for size in g.output]
        items.append(Strip(tuple(slices("coverage", "coverage", g.output, taps, names=names, most=(12, 16)))))
    items.append(
        Table(
            "evenness",
            ("outputs", "cells", "fewest taps", "most taps", "most / fewest"),
            tuple((name, r.cells, r.least, r.most, r.ratio) for name, r in found.items()),
        )
    )
    return Section("coverage", "Coverage", (*items, *_verdict(g, found)))


def _verdict(g: Geometry, found: dict[str, Range]) -> Iterator[Line]:
    if "inside" not in found:
        yield Line("No output is inside: for each, a tap falls beyond the input.")
        return
    least, most = g.evenness
    inside = found["inside"]._replace(least=least, most=most)
    if inside != found["inside"]:
        yield Line("With so few inputs some phases have no output inside; a larger map has them all:")
    if inside.ratio == 1:
        yield Line(
            f"Even: inside, every output is reached by {inside.most:,} tap{'s' * (inside.most != 1)}. "
            "The geometry causes no checkerboard; weights that differ from phase to phase still can."
        )
        return
    times = (
        "some outputs get no tap at all"
        if inside.ratio == inf
        else (f"some outputs get {float(inside.ratio):g} times as many taps as others")
    )
    yield Line(f"Uneven: inside, {times}, in a pattern that repeats every stride: a checkerboard.")
    for name, axis in alike(g):
        k, s, d = axis.kernel, axis.stride, axis.dilation
        common = gcd(s, d)
        if axis.input == 1:
            continue
        if common > 1:
            yield Line(
                f"On {name} stride {s} and dilation {d} have the divisor {common}, so no kernel is even."
            )
        elif k % s:
            low, high = k // s * s, (k // s + 1) * s
            fit = f"{low} or {high}" if low else str(high)
            yield Line(f"On {name} the kernel {k} is not a multiple of the stride {s}; {fit} would be even.")


def work(request: Request) -> Section:
    """The multiplications, counted in three ways."""
    g = request.geometry
    pairs = g.batch * g.in_channels * g.weight_shape[1]
    zeros = pairs * prod(g.output) * prod(g.kernel)
    exact = g.macs_exact
    ways = (
        ("exact: products that land in the output", exact),
        ("nominal: every input times every tap, cropped ones too", g.macs),
        ("inserting zeros: every output times every tap", zeros),
    )
    rows: Iterable[tuple[Cell, ...]] = (
        (name, count, Fraction(count, exact) if exact else None) for name, count in ways
    )
    counters = "A counter that multiplies the output's size by the kernel's reports the last line"
    strides = prod(g.stride)
    if strides > 1:
        counters += f": about {strides:,} times too much, the product of the strides"
    return Section(
        "work",
        "Multiplications",
        (
            Table("multiplications", ("way", "multiplications", "/ exact"), tuple(rows)),
            Line(f"{counters}."),
        ),
    )


#: The largest matrix that is printed: its rows and columns.
READABLE = (48, 24)


def readable(g: Geometry) -> bool:
    """Whether C^T is small enough to be read."""
    return lettered(g) and prod(g.output) <= READABLE[0] and prod(g.input) <= READABLE[1]


def matrix(request: Request) -> Section:
    """The matrix C of the convolution, and its transpose."""
    g = request.geometry
    tall, wide = prod(g.output), prod(g.input)
    filled = prod(g.axis(a).products() for a in range(g.axes))
    items: list[Item] = [
        Line(
            f"For one pair of channels, with cells numbered row by row: the convolution that this layer "
            f"transposes is a matrix C of {wide:,} x {tall:,}, from {tall:,} values to {wide:,}; this layer "
            f"is C^T, {tall:,} x {wide:,}, with {filled:,} non-zeros. It keeps C's connections, not its "
            "values: C^T is not C's inverse."
        )
    ]
    if not readable(g):
        items.append(
            Line(
                f"It is too large to be read, so it is not printed; with at most {READABLE[0]} outputs, "
                f"{READABLE[1]} inputs and {TAPS} taps it is."
            )
        )
        return Section("matrix", "The matrix", tuple(items))
    dense = transposed(g)

    def value(o: int, i: int) -> Cell:
        tap = dense.get((o, i))
        return None if tap is None else tap_name(g, tap)

    c = Matrix.of("C", "C", (wide, tall), lambda i, o: value(o, i), most=READABLE[::-1])
    c_t = Matrix.of("C^T", "C^T", (tall, wide), value, most=READABLE)
    items.append(Strip((*kernel_letters(g).matrices, c, c_t)))
    return Section("matrix", "The matrix", tuple(items))


def transposed(g: Geometry) -> dict[tuple[int, int], tuple[int, ...]]:
    """The tap in each non-zero of C^T, by flat output and flat input."""
    found: dict[tuple[int, int], tuple[int, ...]] = {(0, 0): ()}
    for a in range(g.axes):
        pairs = [(o, i, tap) for o in range(g.output[a]) for i, tap in g.taps_of_output(a, o)]
        found = {
            (row * g.output[a] + o, column * g.input[a] + i): (*taps, tap)
            for (row, column), taps in found.items()
            for o, i, tap in pairs
        }
    return found
