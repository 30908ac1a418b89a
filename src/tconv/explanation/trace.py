"""One image and one output channel, followed through the views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from tconv.documents import Cell, Item, Line, Matrix, Section, Strip
from tconv.explanation.cells import slices
from tconv.explanation.numbers import Array, Exact, Numbers
from tconv.explanation.request import Request, at
from tconv.geometry import Geometry
from tconv.views import VIEWS

__all__ = ["Trace", "given", "rounded", "values"]

CHANNELS = 3  # largest number of input channels shown one by one


@dataclass(frozen=True, slots=True)
class Trace:
    """Image 0 and output channel 0 of the request: the inputs and weights of its group."""

    geometry: Geometry  # with batch 1, one group, one output channel
    cell: tuple[int, ...]
    x: Exact  # (c_in/g, *input)
    weight: Exact  # (c_in/g, *kernel)
    requested: Geometry
    numbers: Numbers

    @classmethod
    def of(cls, request: Request, numbers: Numbers) -> Trace:
        """Select them."""
        g = request.geometry
        each = g.in_channels // g.groups
        return cls(
            replace(g, batch=1, in_channels=each, out_channels=1, groups=1),
            request.output,
            Exact(numbers.x.whole[0, :each], numbers.x.over),
            Exact(numbers.weight.whole[:each, 0], numbers.weight.over),
            g,
            numbers,
        )

    @property
    def over(self) -> int:
        """The denominator of the products."""
        return self.x.over * self.weight.over

    def name(self, channel: int, cell: Sequence[int]) -> str:
        """`x[2,3]`, or `x[channel,2,3]` where there are several."""
        return f"x[{at((channel, *cell) if self.geometry.in_channels > 1 else cell)}]"

    def uncropped(self) -> Array:
        """A zero for every output before the crop."""
        sides = zip(self.geometry.output, self.geometry.padding, self.geometry.output_padding, strict=True)
        return np.zeros([o + lo + hi - extra for o, (lo, hi), extra in sides], object)

    def cropped(self, full: Array) -> Array:
        """The outputs among the uncropped ones; zeros where a negative padding extends them."""
        made = np.zeros(self.geometry.output, object)
        for o in np.ndindex(*self.geometry.output):
            u = tuple(index + lo for index, (lo, _) in zip(o, self.geometry.padding, strict=True))
            if all(0 <= index < size for index, size in zip(u, full.shape, strict=True)):
                made[o] = full[u]
        return made

    def ended(self, view: str, made: Array) -> Strip:
        """The output of the steps of `view`, which must equal the view's."""
        answer = VIEWS[view](self.x.whole[None], self.weight.whole[:, None], self.geometry)
        if not np.array_equal(made, answer[0, 0]):
            raise RuntimeError(f"{self.requested}: the steps of {view} do not add up to its output")
        return Strip(tuple(values("output", "the output", made, self.over)))

    def channels(self, make: Callable[[int], Iterator[Matrix]]) -> Iterator[Item]:
        """One strip for each of the first input channels."""
        count = self.geometry.in_channels
        yield from (Strip(tuple(make(c))) for c in range(min(count, CHANNELS)))
        if count > CHANNELS:
            yield Line(f"... and so on for {count - CHANNELS:,} more input channels.")

    def suffix(self, channel: int) -> str:
        """The suffix that names an input channel; empty if there is one."""
        return f", channel {channel}" if self.geometry.in_channels > 1 else ""


def values(
    name: str, caption: str, array: Array, over: int, there: Array | None = None, **options: Any
) -> Iterator[Matrix]:
    """Matrices of an array of numerators; where `there` is false the zero is structural."""

    def value(place: tuple[int, ...]) -> Cell:
        return None if there is not None and not there[place] else Fraction(int(array[place]), over)

    yield from slices(name, caption, array.shape, value, **{"most": (16, 16), **options})


def rounded(*arrays: Exact) -> Iterator[Line]:
    """A note that numbers are printed with fewer digits than they have, if so."""
    for array in arrays:
        if any(Fraction(f"{float(value):.6g}") != value for value in array.values()):
            yield Line("Numbers are printed with at most six digits and computed with all of them.")
            return


def given(f: Trace) -> Section:
    """The input and the weight."""
    g = f.requested
    items: list[Item] = []
    if g.batch * g.out_channels > 1:
        items.append(
            Line("The steps follow image 0 and output channel 0; the end compares all images and channels.")
        )

    def pair(c: int) -> Iterator[Matrix]:
        yield from values("x", f"input x{f.suffix(c)}", f.x.whole[c], f.x.over)
        yield from values("w", f"kernel w{f.suffix(c)}", f.weight.whole[c], f.weight.over)

    return Section("values", "The numbers", (*items, *f.channels(pair), *rounded(f.x, f.weight)))
