"""The pictures of a report: test pictures, curves, and filters before and after learning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tconv.documents import Figure, Figures, Line, Section, Tiles
from tconv.runs.figures import curves, filter_tile, picture_uri
from tconv.train.comparison import Comparison, Filters, Shown, Variant, Weights
from tconv.train.figures import label_uri
from tconv.train.palette import series

__all__ = ["closer_look", "curve", "filters", "picture_row"]

#: The side, in pixels, of the enlarged window.
WINDOW = 72


def picture_row(comparison: Comparison, index: int) -> Figures:
    """A picture, its truth, and the labels of every variant."""
    shown, classes = comparison.shown[index], comparison.data.classes
    cells = [
        Figure(picture_uri(shown.picture), f"input, {shown.name}", f"Test picture {shown.name}"),
        Figure(label_uri(shown.truth, classes), "truth", f"True labels of {shown.name}"),
    ]
    for variant in comparison.variants:
        labels, iou = variant.labels[index], variant.iou_of(index, shown)
        alt = f"Labels of {shown.name} with {variant.upsampling} upsampling, mean IoU {iou:.3f}"
        cells.append(Figure(label_uri(labels, classes), f"{variant.upsampling} {iou:.3f}", alt))
    return Figures(tuple(cells), layout="row")


def closer_look(comparison: Comparison) -> Figures:
    """A window of one picture with many edges."""
    index = len(comparison.shown) // 2
    shown, classes = comparison.shown[index], comparison.data.classes
    window = _window(shown)
    parts = [
        Figure(
            picture_uri(shown.picture[window]), f"input, {shown.name}", f"A part of test picture {shown.name}"
        ),
        Figure(label_uri(shown.truth[window], classes), "truth", "True labels of this part"),
    ]
    for variant in comparison.variants:
        alt = f"Labels of this part with {variant.upsampling} upsampling"
        parts.append(Figure(label_uri(variant.labels[index][window], classes), variant.upsampling, alt))
    return Figures(
        tuple(parts),
        "A closer look",
        f"The same window of {WINDOW} × {WINDOW} pixels in one slice. The network's last map of scores has "  # noqa: RUF001
        "one cell per 8 × 8 pixels: nearest-neighbour shows the cells, bilinear rounds them off, and a "  # noqa: RUF001
        "learned filter can place edges inside them.",
        layout="wide",
    )


def _window(shown: Shown) -> tuple[slice, slice]:
    """The window whose truth has the most edges, where upsampling matters most."""
    truth = shown.truth.astype(int)
    edges = np.zeros(truth.shape)
    edges[1:] += truth[1:] != truth[:-1]
    edges[:, 1:] += truth[:, 1:] != truth[:, :-1]
    height, width = (min(WINDOW, size) for size in truth.shape)
    sums = np.pad(edges.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return slice(int(top), int(top) + height), slice(int(left), int(left) + width)


def curve(variants: Sequence[Variant], column: str, title: str, caption: str, *, log: bool = False) -> Figure:
    """A column of the log over the epochs."""
    lines = {
        v.upsampling: ([r["epoch"] for r in v.run.rows], [r[column] for r in v.run.rows]) for v in variants
    }
    colours = {v.upsampling: series(v.upsampling) for v in variants}
    return Figure(curves(lines, colours, title=title, log=log), caption)


def filters(comparison: Comparison) -> Iterator[Section]:
    """Every upsampling filter before and after training; nothing if no variant learns them."""
    panels = []
    for variant in comparison.variants:
        for each in variant.filters:
            largest = float(max(np.abs(each.before).max(), np.abs(each.after).max()))
            for when, weights in (("before", each.before), ("after", each.after)):
                panels.append(_tiles(each, when, weights, largest, comparison.data.classes))
    if panels:
        told = Line(
            "Each tile is one filter: how a score of the class at the left contributes to the scores of the "
            "class above it. Before training, only the diagonal is not zero: bilinear interpolation, each "
            "class separately. After training, a class may contribute to the scores of another, and a filter "
            "may have edges. Red is positive, blue negative, white zero; before and after share one scale."
        )
        figures = Figures(tuple(panels), layout="pairs")
        yield Section("filters", "What the upsampling layers learned", (told, figures))


def _tiles(each: Filters, when: str, weights: Weights, largest: float, classes: Sequence[str]) -> Tiles:
    size = weights.shape[-1]
    return Tiles(
        tuple(classes),
        tuple(
            tuple(filter_tile(weights[a, b], largest) for b in range(weights.shape[1]))
            for a in range(len(classes))
        ),
        f"{each.layer.removesuffix('.up.weight')}, {size} × {size} weights per filter, {when} training; "  # noqa: RUF001
        f"full colour at ±{largest:.2f}",
        f"Filters of layer {each.layer} {when} training",
    )
