"""The five views with real numbers, step by step.

The steps are computed here from the geometry's integers; their result must equal the output of the same
view of `tconv.views`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from math import prod
from types import MappingProxyType

import numpy as np

from tconv.documents import Item, Line, Section, Strip, Table
from tconv.documents.cells import shown
from tconv.explanation.counts import READABLE, transposed
from tconv.explanation.inserted_zeros import zeros
from tconv.explanation.numbers import Exact
from tconv.explanation.request import alike, at
from tconv.explanation.trace import Trace, given, rounded, values
from tconv.geometry.axis import reach
from tconv.views import VIEWS, gather

__all__ = ["STEPS"]

STAMPS = 9  # largest number shown one by one, if the output is small
PHASES = 9


def stamp(f: Trace) -> Section:
    """Every input times the kernel, added where it lands; then the crop."""
    g = f.geometry
    full = f.uncropped()
    items: list[Item] = [
        Line("Each input times the kernel is added to the uncropped output, at input * stride.")
    ]
    most = STAMPS if full.size <= 100 else STAMPS // 3
    places = list(product(range(g.in_channels), np.ndindex(*g.input)))
    for n, (c, cell) in enumerate(places):
        stamped = f.weight.whole[c] * f.x.whole[(c, *cell)]
        window = (
            slice(i * s, i * s + reach(k, d), d)
            for i, k, s, d in zip(cell, g.kernel, g.stride, g.dilation, strict=True)
        )
        full[tuple(window)] += stamped
        if n < most:
            start = at([i * s for i, s in zip(cell, g.stride, strict=True)])
            caption = f"{f.name(c, cell)} = {shown(f.x[(c, *cell)])} times w, at {start}"
            so_far = values("sum", "the sum so far", full, f.over)
            items.append(Strip((*values("stamp", caption, stamped, f.over), *so_far)))
    if len(places) > most:
        items.append(Line(f"... and so on for {len(places) - most:,} more stamps, to the sum:"))
        items.append(Strip(tuple(values("sum", "all stamps", full, f.over))))
    crops = [
        f"{abs(cells)} {'off' if cells > 0 else 'more, zeros, at'} {end} of {name}"
        for name, axis in alike(g)
        for cells, end in ((axis.lo, "the start"), (axis.hi - axis.output_padding, "the end"))
        if cells
    ]
    items += [Line(f"The crop: {', '.join(crops) or 'nothing'}."), f.ended("scatter", f.cropped(full))]
    return Section("values-stamp", "1. The stamp", tuple(items))


def matrix(f: Trace) -> Section:
    """C^T times the input as a vector."""
    g = f.geometry
    tall, wide = prod(g.output), prod(g.input)
    taps = transposed(g)
    x = f.x.whole.reshape(-1)
    flat = np.zeros(tall, object)
    for c in range(g.in_channels):
        for (o, i), tap in taps.items():
            flat[o] += f.weight.whole[(c, *tap)] * x[c * wide + i]
    items: list[Item] = []
    blocks = f", one block for each of {g.in_channels:,} channels," if g.in_channels > 1 else ""
    if tall <= READABLE[0] and x.size <= READABLE[1]:
        filled = np.zeros((tall, x.size), object)
        there = np.zeros(filled.shape, bool)
        for c in range(g.in_channels):
            for (o, i), tap in taps.items():
                filled[o, c * wide + i], there[o, c * wide + i] = f.weight.whole[(c, *tap)], True
        row = np.ravel_multi_index(f.cell, g.output)
        one = (row_of.reshape(f.x.whole.shape)[0] for row_of in (filled[row], there[row]))
        items += [
            Line(f"C^T{blocks} times x as a column, row by row, is y as a column."),
            Strip(
                (
                    *values("C^T", "C^T", filled, f.weight.over, there, most=READABLE),
                    *values("x", "x", x[:, None], f.x.over, most=READABLE),
                    *values("y", "y = C^T x", flat[:, None], f.over, most=READABLE),
                )
            ),
            Line(
                f"The row of output {at(f.cell)}, laid out as the input; times the input and summed it is "
                "this output."
            ),
            Strip(
                (
                    *values("row", f"row {row}{f.suffix(0)}", next(one), f.weight.over, next(one)),
                    *values("x", f"x{f.suffix(0)}", f.x.whole[0], f.x.over),
                )
            ),
        ]
    else:
        items.append(
            Line(
                f"C^T{blocks} is {tall:,} x {x.size:,}, too large to be read. Its "
                f"{len(taps) * g.in_channels:,} non-zeros, each times its entry of x and added to its entry "
                "of y, give:"
            )
        )
    items.append(f.ended("matrix", flat.reshape(g.output)))
    return Section("values-matrix", "3. The matrix", tuple(items))


def gradient(f: Trace) -> Section:
    """Columns by one matrix product, then col2im; and the derivative at one output."""
    g = f.geometry
    weights = f.weight.whole.reshape(g.in_channels, -1)
    columns = weights.T.dot(f.x.whole.reshape(g.in_channels, -1))  # (taps, inputs)
    full = f.uncropped()
    for row, tap in zip(columns, np.ndindex(*g.kernel), strict=True):
        visited = (
            slice(t * d, t * d + (i - 1) * s + 1, s)
            for t, d, i, s in zip(tap, g.dilation, g.input, g.stride, strict=True)
        )
        full[tuple(visited)] += row.reshape(g.input)
    made = f.cropped(full)
    names = [[at(place) for place in np.ndindex(*shape)] for shape in (g.kernel, g.input)]
    # The convolution is linear: its derivative by one value is its output for a 1 there and 0 elsewhere.
    pulse = np.zeros(g.output_shape, np.int64)
    pulse[(0, 0, *f.cell)] = 1
    slope = gather(pulse, f.weight.whole[:, None], g)[0]
    met = gather(pulse, np.ones(g.weight_shape, np.int64), g)[0] > 0
    if (slope * f.x.whole).sum() != made[f.cell]:
        raise RuntimeError(f"{f.requested}: the derivative at {at(f.cell)} is not the output there")
    return Section(
        "values-gradient",
        "4. The gradient of a convolution",
        (
            Line(
                "With z = conv(y), this layer is the gradient of sum(x * z) with respect to y. As Caffe has "
                "it, first the kernel as a column times the input as a row: one line per tap."
            ),
            *values("columns", "tap by input", columns, f.over, most=(16, 12), names=names),
            Line(
                "Then col2im: a line, laid out as the input, is added to every stride-th uncropped output "
                "from tap * dilation on; and the padding is cropped."
            ),
            f.ended("col2im", made),
            Line(
                f"By definition, at output {at(f.cell)}: the convolution of an image that is 1 there and 0 "
                f"elsewhere is shown below; times x and summed it is {shown(Exact(made, f.over)[f.cell])}."
            ),
            *f.channels(
                lambda c: values(
                    "slope", f"dz / dy[{at(f.cell)}]{f.suffix(c)}", slope[c], f.weight.over, met[c]
                )
            ),
        ),
    )


def phases(f: Trace) -> Section:
    """Each phase with its own sub-filter, then all phases interleaved."""
    g = f.geometry
    made = np.zeros(g.output, object)
    items: list[Item] = [
        Line("Each phase has its own taps and reads the input as it is; its outputs are stride cells apart.")
    ]
    left_out = 0
    for parts in product(*(g.phases(a) for a in range(g.axes))):
        outputs = [
            range((part.residue - lo) % s, size, s)
            for part, (lo, _), s, size in zip(parts, g.padding, g.stride, g.output, strict=True)
        ]
        if not all(outputs):
            continue
        done = np.zeros([len(along) for along in outputs], object)
        for taps in product(*(part.taps for part in parts)):
            sources = [
                [(o + lo) // s - far for o in along]
                for along, (lo, _), s, (_, far) in zip(outputs, g.padding, g.stride, taps, strict=True)
            ]
            index = np.ix_(*sources)
            inside = ((part >= 0) & (part < size) for part, size in zip(index, g.input, strict=True))
            there = np.logical_and.reduce(np.broadcast_arrays(*inside))
            kept = np.ix_(
                *(np.clip(source, 0, size - 1) for source, size in zip(sources, g.input, strict=True))
            )
            for c in range(g.in_channels):
                done += (
                    np.where(there, f.x.whole[c][kept], 0) * f.weight.whole[(c, *(tap for tap, _ in taps))]
                )
        made[np.ix_(*outputs)] = done
        if len(items) > PHASES:
            left_out += 1
            continue
        name = at([part.residue for part in parts])
        taps_of = [[tap for tap, _ in part.taps] for part in parts]
        strip = [*values("phase outputs", f"phase {name}: its outputs", done, f.over, names=outputs)]
        if all(taps_of):
            kernel = f.weight.whole[0][np.ix_(*taps_of)]
            caption = f"phase {name}: its taps{f.suffix(0)}"
            strip = [*values("sub-filter", caption, kernel, f.weight.over, names=taps_of), *strip]
        items.append(Strip(tuple(strip)))
    if left_out:
        items.append(Line(f"... and so on for {left_out:,} more phases."))
    items += [Line("Interleaved:"), f.ended("phases", made)]
    return Section("values-phases", "5. The phases", tuple(items))


def answer(f: Trace) -> Section:
    """The same output, computed in five ways."""
    made = {name: f.numbers.through(view, f.requested) for name, view in VIEWS.items()}
    first = made["scatter"]
    for name, found in made.items():
        if not np.array_equal(found.whole, first.whole):
            raise RuntimeError(f"{f.requested}: the view {name} differs from the stamp")
    rows = tuple(
        (name, title, found.whole.size, found.total())
        for (name, found), title in zip(made.items(), TITLES, strict=True)
    )
    strips = [m for name, found in made.items() for m in values(name, name, found.whole[0, 0], found.over)]
    return Section(
        "values-answer",
        "Five times the same",
        (
            Table("views", ("view", "way", "outputs", "their sum"), rows),
            Strip(tuple(strips)),
            *rounded(first),
            Line(f"All {first.whole.size:,} outputs of the five are equal, without any rounding."),
        ),
    )


TITLES = ("stamp", "inserted zeros", "matrix", "gradient of a convolution", "phases")

#: Name -> the function that makes the section.
STEPS: Mapping[str, Callable[[Trace], Section]] = MappingProxyType(
    {
        "values": given,
        "values-stamp": stamp,
        "values-zeros": zeros,
        "values-matrix": matrix,
        "values-gradient": gradient,
        "values-phases": phases,
        "values-answer": answer,
    }
)
