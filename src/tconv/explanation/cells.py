"""Which inputs and taps contribute to an output, which outputs an input reaches, and the phases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import gcd, prod

from tconv.documents import Cell, Item, Line, Matrix, Section, Strip, Table
from tconv.explanation.request import TAPS, Request, alike, at, lettered, listed, tap_name
from tconv.geometry import Geometry, Phase

__all__ = ["cells", "kernel_letters", "phases", "slices"]

PHASES = 9  # largest number of sub-filters that are listed


def kernel_letters(g: Geometry) -> Strip:
    """The kernel with a name for every tap."""
    return Strip(
        tuple(
            slices("kernel", "the kernel's taps", g.kernel, lambda tap: tap_name(g, tap), most=(TAPS, TAPS))
        )
    )


def slices(
    name: str,
    caption: str,
    shape: Sequence[int],
    value: Callable[[tuple[int, ...]], Cell],
    *,
    names: Sequence[Sequence[object]] | None = None,
    most: tuple[int, int] = (24, 24),
) -> Iterator[Matrix]:
    """Cells of one axis as a row, of two as a matrix, of three as one matrix per index of the first axis."""
    lead = shape[0] if len(shape) == 3 else 1
    tall, wide = (1, *shape)[-2:]
    down, across = ((), *names)[-2:] if names else ((), ())
    for z in range(min(lead, 6)):
        front = (z,) if len(shape) == 3 else ()
        label = f"{caption}, [{names[0][z] if names else z}]" if front else caption
        yield Matrix.of(
            name,
            label if z < 5 or lead <= 6 else f"{label} ({lead} in all)",
            (tall, wide),
            lambda r, c, front=front: value((*front, r, c)[-len(shape) :]),  # type: ignore[misc]
            names=(down, across) if names else None,
            most=most,
        )


def cells(request: Request) -> Section:
    """One output cell as a sum of products, and one input cell as a stamp."""
    return Section("cells", "Cells and taps", (*_output(request), *_input(request)))


def _channels(g: Geometry) -> str:
    each = g.in_channels // g.groups
    return "" if each == 1 else f", summed over the {each:,} input channels of its group"


def _output(request: Request) -> Iterator[Item]:
    g, cell = request.geometry, request.output
    if lettered(g):
        yield kernel_letters(g)
    rows = []
    for a, o in enumerate(cell):
        pairs = g.taps_of_output(a, o)
        u = o + g.padding[a][0]
        told = listed((f"{i} <- {tap}" for i, tap in pairs), len(pairs))
        rows.append((a, o, u, u % g.stride[a], told or "none"))
    yield Line(
        f"Output {at(cell)}: along an axis, output o is o + lo of the uncropped output, and "
        "takes input i through tap t where o + lo = i * stride + t * dilation."
    )
    yield Table("output cell", ("axis", "output", "uncropped", "phase", "input <- tap"), tuple(rows))
    axes = [g.taps_of_output(a, o) for a, o in enumerate(cell)]
    count = prod(map(len, axes))
    terms = (
        f"x[{at([i for i, _ in pairs])}]*{tap_name(g, [tap for _, tap in pairs])}" for pairs in product(*axes)
    )
    total = listed(terms, count, most=9, joint=" + ") or "0: no tap reaches it, it is only the bias"
    yield Line(f"y[{at(cell)}] = {total}")
    if count:
        yield Line(f"That is {count:,} of the {prod(g.kernel):,} taps{_channels(g)}; the bias is added once.")


def _input(request: Request) -> Iterator[Item]:
    g, cell = request.geometry, request.input
    yield Line(
        f"Input {at(cell)}: it stamps x[{at(cell)}] times the kernel on the output, along an axis tap t on "
        "output i * stride + t * dilation - lo. Where stamps overlap they add."
    )
    axes = [g.outputs_of_input(a, i) for a, i in enumerate(cell)]
    rows = []
    for a, pairs in enumerate(axes):
        told = listed((f"{o} <- {tap}" for o, tap in pairs), len(pairs))
        rows.append((a, cell[a], g.kernel[a] - len(pairs), told or "none"))
    yield Table("input cell", ("axis", "input", "taps cropped", "output <- tap"), tuple(rows))
    if not all(axes):
        yield Line("Its whole stamp is cropped.")
        return
    sizes = tuple(map(len, axes))
    yield Strip(
        tuple(
            slices(
                "stamp",
                f"x[{at(cell)}] times, at these outputs",
                sizes,
                lambda place: tap_name(g, [pairs[p][1] for pairs, p in zip(axes, place, strict=True)]),
                names=[[o for o, _ in pairs] for pairs in axes],
                most=(10, 10),
            )
        )
    )


def phases(request: Request) -> Section:
    """The polyphase decomposition: which taps belong to which of the interleaved outputs."""
    g = request.geometry
    count = prod(g.stride)
    split = "one phase with all taps"
    if count > 1:
        split = f"{count:,} interleaved phases, each a stride-1 convolution of the input with its own taps"
    items: list[Item] = [
        Line(
            f"The uncropped output is {split}: no zero is inserted. "
            "Tap t reads input q - distance, with t * dilation = distance * stride + phase."
        )
    ]
    rows = []
    for a in range(g.axes):
        for phase in g.phases(a)[:8]:
            first = (phase.residue - g.padding[a][0]) % g.stride[a]
            outputs = range(first, g.output[a], g.stride[a])
            rows.append(
                (
                    a,
                    phase.residue,
                    listed(outputs, len(outputs), most=3) or "none",
                    listed((f"{tap} at {far}" for tap, far in phase.taps), len(phase.taps), most=4) or "none",
                )
            )
    columns = ("axis", "phase", "outputs", "tap at distance")
    items.append(Table("phases", columns, tuple(rows), sum(g.stride)))
    for name, axis in alike(g):
        k, s, d = axis.kernel, axis.stride, axis.dilation
        if axis.input > 1 and any(not phase.taps for phase in axis.phases()):
            why = f"the kernel {k} is shorter than the stride {s}"
            if k >= s:
                why = f"stride {s} and dilation {d} have the divisor {gcd(s, d)}"
            items.append(
                Line(f"On {name} some phases have no tap, since {why}: their outputs are only the bias.")
            )
    items.extend(_sub_filters(g))
    return Section("phases", "Phases and their sub-filters", tuple(items))


def _sub_filters(g: Geometry) -> Iterator[Item]:
    """The taps of each combination of phases, where they are few enough to be read."""
    if prod(g.stride) == 1:
        return
    if prod(g.stride) > PHASES or not lettered(g):
        yield Line(
            f"The {prod(g.stride):,} sub-filters, one for each combination of the axes' phases, are not "
            f"listed: up to {PHASES} of kernels of up to {TAPS} taps are."
        )
        return
    parts = product(*(g.phases(a) for a in range(g.axes)))
    yield Strip(tuple(matrix for phase in parts for matrix in _sub_filter(g, phase)))


def _sub_filter(g: Geometry, parts: Sequence[Phase]) -> Iterator[Matrix]:
    """The taps of one combination of phases."""
    name = f"phase {at([part.residue for part in parts])}"
    taps = [[tap for tap, _ in part.taps] for part in parts]
    if not all(taps):
        yield Matrix(name, f"{name}: no tap", (0, 0), (), (), ())
        return
    sizes = tuple(map(len, taps))
    yield from slices(
        name,
        name,
        sizes,
        lambda place: tap_name(g, [of[p] for of, p in zip(taps, place, strict=True)]),
        most=(TAPS, TAPS),
    )
