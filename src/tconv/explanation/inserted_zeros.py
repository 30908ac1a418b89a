"""The second view with real numbers: zeros are inserted, and the turned kernel slides over them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from tconv.documents import Line, Matrix, Section
from tconv.documents.cells import shown
from tconv.explanation.numbers import Array, Exact
from tconv.explanation.request import at, listed
from tconv.explanation.trace import Trace, values
from tconv.geometry.axis import reach

__all__ = ["zeros"]


def zeros(f: Trace) -> Section:
    """The input with zeros, the turned kernel, and its sliding over the input."""
    g = f.geometry
    images = [_stretched(f, c) for c in range(g.in_channels)]
    kernels = [_turned(f, c) for c in range(g.in_channels)]
    made = np.zeros(g.output, object)
    for (image, _), (kernel, there) in zip(images, kernels, strict=True):
        for place in zip(*np.nonzero(there), strict=True):
            under = (slice(start, start + size) for start, size in zip(place, g.output, strict=True))
            made += kernel[place] * image[tuple(under)]

    def pair(c: int) -> Iterator[Matrix]:
        image, kernel = images[c], kernels[c]
        yield from values("stretched", f"input with zeros{f.suffix(c)}", image[0], f.x.over, image[1])
        yield from values("turned", f"turned kernel{f.suffix(c)}", kernel[0], f.weight.over, kernel[1])

    window = tuple(slice(o, o + reach(k, d)) for o, k, d in zip(f.cell, g.kernel, g.dilation, strict=True))
    terms = [
        (int(image[window][place]), int(kernel[place]))
        for (image, real), (kernel, there) in zip(images, kernels, strict=True)
        for place in np.ndindex(*kernel.shape)
        if there[place] and real[window][place]
    ]
    return Section(
        "values-zeros",
        "2. Inserted zeros",
        (
            Line("A dot is an inserted zero. The turned kernel slides over it by one cell at a time."),
            *f.channels(pair),
            Line(_sum_at(f, terms, made)),
            f.ended("zeros", made),
        ),
    )


def _sum_at(f: Trace, terms: list[tuple[int, int]], made: Array) -> str:
    """The products that add up to the followed output."""
    if not terms:
        return f"At output {at(f.cell)} the kernel meets only inserted zeros: 0."
    products = (f"{shown(Fraction(x, f.x.over))}*{shown(Fraction(w, f.weight.over))}" for x, w in terms)
    total = shown(Exact(made, f.over)[f.cell])
    return f"At output {at(f.cell)}: {listed(products, len(terms), 9, ' + ')} = {total}"


def _stretched(f: Trace, c: int) -> tuple[Array, Array]:
    """The input with zeros between and around, and where it is not an inserted zero."""
    g = f.geometry
    sources = []
    for a in range(g.axes):
        axis = g.axis(a)
        before, _ = axis.zeros_around()
        found = [
            divmod(j - before, axis.stride)
            for j in range(axis.output + reach(axis.kernel, axis.dilation) - 1)
        ]
        sources.append([i if not rest and 0 <= i < axis.input else -1 for i, rest in found])
    index = np.ix_(*sources)
    there = np.logical_and.reduce(np.broadcast_arrays(*(part >= 0 for part in index)))
    return np.where(there, f.x.whole[c][index], 0), there


def _turned(f: Trace, c: int) -> tuple[Array, Array]:
    """The kernel turned by 180 degrees and dilated, and where it has taps."""
    g = f.geometry
    turned = np.zeros([reach(k, d) for k, d in zip(g.kernel, g.dilation, strict=True)], object)
    there = np.zeros(turned.shape, bool)
    for tap in np.ndindex(*g.kernel):
        place = tuple(d * (k - 1 - t) for t, k, d in zip(tap, g.kernel, g.dilation, strict=True))
        turned[place], there[place] = f.weight.whole[(c, *tap)], True
    return turned, there
