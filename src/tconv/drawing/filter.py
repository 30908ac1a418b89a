"""The filter: weights as heat maps, their frequency response, and the stride's spectral images."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, prod, sqrt

import numpy as np
import numpy.typing as npt

from tconv.algebra.images import image_share
from tconv.algebra.response import frequency_response, image_gains
from tconv.drawing.grid import UNNUMBERED, Grid, cell_size, number
from tconv.drawing.legend import legend, scale
from tconv.drawing.palette import heat, signed
from tconv.drawing.picture import Picture, framed, sizes
from tconv.drawing.shapes import Block, Polygon, Rect, Shape, Stroke, Text, beside, label, stacked
from tconv.errors import TconvError
from tconv.geometry import Geometry

__all__ = ["filter"]

_HEADLINE = "The filter, its frequency response, and the spectral images that the stride makes"
_SIDE = 64
_SHOWN = 12  # filters of many
_PART = 256
_MAP, _SAMPLES = 260, 65  # pixels and samples along an axis of the response of two axes
_CHART, _POINTS = (420, 170), 257  # the same for one axis

Array = npt.NDArray[np.float64]


def filter(geometry: Geometry, kernels: Array | None) -> Picture:
    """`kernels` (pairs, *kernel), ones by default; the response is the root mean square over them."""
    g = geometry
    if max(g.kernel) > _SIDE or prod(g.kernel) > _SIDE**2:
        raise TconvError(
            f"{g}: a filter of {sizes(g.kernel)} taps; at most {_SIDE} along an axis and {_SIDE**2} in all "
            "can be shown; a smaller kernel would fit"
        )
    if max(g.stride) > _SIDE:
        raise TconvError(f"{g}: stride {max(g.stride)}; at most {_SIDE} images per axis can be shown")
    given = kernels is not None
    shown = np.ones((1, *g.kernel)) if kernels is None else kernels
    # Several axes: H(0, f, g) of three is the response of the filters summed along the first axis.
    flat = shown.sum(1) if g.axes == 3 else shown
    axes = min(g.axes, 2)
    samples = _POINTS if axes == 1 else _SAMPLES
    power = _power(flat, samples, g.dilation[-axes:])
    chart = _curve(power, g.stride[0]) if axes == 1 else _map(power, g.stride[-2:])
    keys = [("output", "wanted"), ("kernel", "images")] if axes == 1 else []
    picture = stacked(chart, legend(keys), gap=12) if keys else chart
    gallery = _kernels(g, shown)
    body = stacked(gallery, picture, gap=24) if g.axes == 1 else beside(gallery, picture, gap=44)
    return framed(g, _HEADLINE, body, _notes(g, shown, given))


def _power(filters: Array, samples: int, dilation: tuple[int, ...]) -> Array:
    """The root mean square of |H| over all filters; in parts, since a layer may have 100,000."""
    whole = np.zeros((samples,) * len(dilation))
    for start in range(0, len(filters), _PART):
        part = filters[start : start + _PART]
        waves = frequency_response(part, samples, axes=len(dilation), dilation=dilation)
        whole += np.sum(np.abs(waves) ** 2, axis=0)
    return np.sqrt(whole / len(filters))


def _notes(g: Geometry, kernels: Array, given: bool) -> list[str]:
    notes = [] if given else ["No weights are given: this is a kernel of ones."]
    if g.axes == 3:
        notes.append("The response is that of frequency 0 along the first axis.")
    if prod(g.stride) == 1:
        return [*notes, "Stride 1 makes no images."]
    bands = " and ".join(f"{1 / (2 * s):.3g}" for s in dict.fromkeys(g.stride))
    by_input = kernels.reshape(max(1, len(kernels) // g.weight_shape[1]), -1, *g.kernel)
    energy = image_share(by_input, g.stride, g.dilation)
    notes.append(
        f"Zeros between the inputs repeat their spectrum: |f| < 1/(2s) = {bands} is the signal, "
        "the rest are images."
    )
    gains = np.sqrt(np.mean(image_gains(kernels, g.stride, dilation=g.dilation) ** 2, axis=0))
    wanted, images = float(gains.ravel()[0]), gains.ravel()[1:]
    where = np.unravel_index(1 + int(np.argmax(images)), gains.shape)
    place = ", ".join(f"{m}/{s}" if m else "0" for m, s in zip(where, g.stride, strict=True))
    notes.append(f"{100 * energy:.1f} % of the filter's energy lies in the images.")
    if wanted > 1e-12 * np.abs(kernels).max():
        ratio = float(images.max()) / wanted
        meaning = "a constant stays constant" if ratio < 5e-4 else "a constant gets this ripple"
        notes.append(
            f"The strongest image of a constant, at {place}, has {ratio:.3f} of its gain: {meaning}."
        )
    else:
        notes.append("The filter suppresses constants.")
    return notes


def _kernels(g: Geometry, kernels: Array) -> Block:
    """A single filter with its numbers, or the strongest of many."""
    largest = float(np.abs(kernels).max()) or 1.0
    shape = (*(1,) * (3 - g.axes), *g.kernel)
    order = np.argsort(-np.sum(kernels.reshape(len(kernels), -1) ** 2, -1), kind="stable")[:_SHOWN]
    outs = g.out_channels // g.groups
    across = 1 if g.axes == 1 else max(1, min(4, ceil(sqrt(len(order)))))
    cell = cell_size(shape[2] * across * (2 if shape[0] > 1 else 1), 420 if len(order) > 1 else 300)
    blocks = []
    for pair in sorted(order.tolist()):
        c_in, rest = divmod(pair, outs)
        c_out = c_in // (g.in_channels // g.groups) * outs + rest
        title = f"kernel {sizes(g.kernel)}" if len(kernels) == 1 else f"{c_in} > {c_out}"
        grid = Grid.sized(title, shape, cell, None if len(kernels) == 1 else UNNUMBERED)
        cells: list[Shape] = []
        for index, value in np.ndenumerate(kernels[pair].reshape(shape)):
            colour = signed(float(value) / largest)
            cells += grid.fill((index[0], index[1], index[2]), colour, number(value), f"on.{colour}")
        blocks.append(grid.block(*cells))
    rows = [beside(*blocks[n : n + across], gap=18) for n in range(0, len(blocks), across)]
    ticks = [(-largest, f"{-largest:.2g}"), (0.0, "0"), (largest, f"{largest:.2g}")]
    drawn = stacked(*rows, gap=14)
    if len(kernels) > len(order):
        heading = label(f"the {len(order)} strongest of {len(kernels)} filters, input > output", 12)
        drawn = stacked(heading, drawn, gap=10)
    return beside(drawn, scale(lambda value: signed(value / largest), -largest, largest, ticks), gap=18)


def _map(power: Array, stride: tuple[int, ...]) -> Block:
    """|H| over two frequencies, with dashes where the spectrum begins to repeat."""
    most = float(power.max()) or 1.0
    left, top, size = 46, 22, _MAP / _SAMPLES
    shapes: list[Shape] = [Text(left, 7, "|H(f)|, cycles per sample", 12, "muted", "start")]
    for y, row in enumerate(power):
        colours = [heat(float(value) / most) for value in row]
        # Adjacent cells of one colour are one rectangle.
        starts = [n for n in range(_SAMPLES) if n == 0 or colours[n] != colours[n - 1]]
        for start, stop in zip(starts, [*starts[1:], _SAMPLES], strict=True):
            shapes.append(
                Rect(left + start * size, top + y * size, (stop - start) * size, size, colours[start])
            )
    # Samples are in the middle of their cells, so that -1/2 is half a cell inside.
    length, inset = _MAP - size, size / 2

    def at(frequency: float) -> float:
        return inset + (frequency + 0.5) * length

    for axis, s in enumerate(stride):
        for edge in _edges(s):
            place = at(edge)
            ends: tuple[float, float, float, float] = (
                (left, top + place, left + _MAP, top + place)
                if axis == 0
                else (left + place, top, left + place, top + _MAP)
            )
            shapes.append(Stroke(*ends, "kernel.strong", 1.2, 5))
    rows, columns = (_centres(s) for s in stride)
    for v in rows:
        for h in columns:
            if v or h:
                shapes += _cross(left + at(h), top + at(v))
    band = [min(0.5, 1 / (2 * s)) for s in stride]
    low, high = (at(-band[1]), at(-band[0])), (at(band[1]), at(band[0]))
    if max(stride) > 1:
        width, height = high[0] - low[0], high[1] - low[1]
        for stroke, line in (("paper", 5), ("output.strong", 2.5)):  # visible on any background
            shapes.append(Rect(left + low[0], top + low[1], width, height, None, stroke, line))
    for frequency, text in ((-0.5, "-1/2"), (0.0, "0"), (0.5, "1/2")):
        shapes.append(Text(left + at(frequency), top + _MAP + 11, text, 11, "muted"))
        shapes.append(Text(left - 6, top + at(frequency), text, 11, "muted", "end"))
    ramp = scale(lambda value: heat(value / most), 0, most, [(0, "0"), (most, f"{most:.3g}")])
    drawing = Block(left + _MAP, top + _MAP + 20, tuple(shapes))
    keys: list[Shape] = []
    if max(stride) > 1:
        keys = [
            Rect(1, 1, 12, 12, None, "output.strong", 2.5),
            Text(20, 7, "wanted", 12, "muted", "start"),
            *_cross(92, 7),
            Text(104, 7, "middle of an image", 12, "muted", "start"),
        ]
    key = Block(210, 14, tuple(keys)).indented(left)
    return stacked(beside(drawing, ramp, gap=16), key, gap=10) if keys else beside(drawing, ramp, gap=16)


def _curve(power: Array, stride: int) -> Block:
    """|H| over one frequency; the background's colour separates the signal from the images."""
    most = float(power.max()) or 1.0
    left, top, (width, height) = 46, 22, _CHART
    shapes: list[Shape] = [Text(left, 7, "|H(f)|, cycles per sample", 12, "muted", "start")]

    def at(frequency: float) -> float:
        return left + (frequency + 0.5) * width

    edges = [-0.5, *_edges(stride), 0.5]
    for low, high in pairwise(edges):
        colour = "output" if low < 0 < high else "kernel"
        shapes.append(Rect(at(low), top, at(high) - at(low), height, colour))
    shapes += [Stroke(at(edge), top, at(edge), top + height, "kernel.strong", 1.2, 5) for edge in edges[1:-1]]
    points = tuple(
        (left + n * width / (_POINTS - 1), top + height * (1 - float(value) / (1.05 * most)))
        for n, value in enumerate(power)
    )
    shapes.append(Polygon(points, None, "ink", 2))
    shapes.append(Stroke(left, top + height, left + width, top + height, "muted"))
    for frequency, text in ((-0.5, "-1/2"), (0.0, "0"), (0.5, "1/2")):
        shapes.append(Text(at(frequency), top + height + 11, text, 11, "muted"))
    for value, text in ((0.0, "0"), (most, f"{most:.3g}")):
        shapes.append(Text(left - 6, top + height * (1 - value / (1.05 * most)), text, 11, "muted", "end"))
    for centre in _centres(stride):
        if centre:
            n = round((centre + 0.5) * (_POINTS - 1))
            shapes += _cross(*points[n])
    return Block(left + width + 12, top + height + 20, tuple(shapes))


def _edges(s: int) -> list[float]:
    """The limits between neighbouring copies of the spectrum, inside -1/2 .. 1/2."""
    return [m / (2 * s) for m in range(-s + 1, s) if m % 2]


def _centres(s: int) -> list[float]:
    """The centres of the copies, m/s inside -1/2 .. 1/2; 0 is that of the signal."""
    return [m / s for m in range(-(s // 2), s // 2 + 1)]


def _cross(x: float, y: float) -> list[Shape]:
    return [
        Stroke(x - 4, y - 4, x + 4, y + 4, "kernel.strong", 2),
        Stroke(x - 4, y + 4, x + 4, y - 4, "kernel.strong", 2),
    ]
