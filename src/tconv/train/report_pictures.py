"""The pictures of a report, as HTML: test pictures, curves, and filters before and after learning."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from tconv.train.comparison import Comparison, Filters, Shown, Variant, Weights
from tconv.train.figures import curves, filter_tile, label_uri, picture_uri

__all__ = ["WINDOW", "closer_look", "curve", "filter_section", "picture_row"]

#: The side, in pixels, of the enlarged window.
WINDOW = 72


def picture_row(comparison: Comparison, index: int) -> str:
    shown, classes = comparison.shown[index], comparison.data.classes
    name = escape(shown.name)
    cells = [
        _figure(picture_uri(shown.picture), f"Test picture {shown.name}", f"input, {name}"),
        _figure(label_uri(shown.truth, classes), f"True labels of {shown.name}", "truth"),
    ]
    for variant in comparison.variants:
        labels, iou = variant.labels[index], variant.iou_of(index, shown)
        alt = f"Labels of {shown.name} with {variant.upsampling} upsampling, mean IoU {iou:.3f}"
        cells.append(_figure(label_uri(labels, classes), alt, f"{escape(variant.upsampling)} {iou:.3f}"))
    return f'<div class="row">{"".join(cells)}</div>'


def closer_look(comparison: Comparison) -> str:
    index = len(comparison.shown) // 2
    shown, classes = comparison.shown[index], comparison.data.classes
    window = _window(shown)
    parts = [
        _figure(
            picture_uri(shown.picture[window]),
            f"A part of test picture {shown.name}",
            f"input, {escape(shown.name)}",
        ),
        _figure(label_uri(shown.truth[window], classes), "True labels of this part", "truth"),
    ]
    for variant in comparison.variants:
        alt = f"Labels of this part with {variant.upsampling} upsampling"
        parts.append(
            _figure(label_uri(variant.labels[index][window], classes), alt, escape(variant.upsampling))
        )
    return "".join(parts)


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


def curve(variants: Sequence[Variant], column: str, title: str, *, log: bool = False) -> str:
    lines = {
        v.upsampling: ([r["epoch"] for r in v.run.rows], [r[column] for r in v.run.rows]) for v in variants
    }
    return curves(lines, title=title, log=log)


def filter_section(comparison: Comparison) -> str:
    """Every upsampling filter before and after training; nothing if no variant learns any."""
    panels = []
    for variant in comparison.variants:
        for each in variant.filters:
            largest = float(max(np.abs(each.before).max(), np.abs(each.after).max()))
            for when, weights in (("before", each.before), ("after", each.after)):
                panels.append(_tiles(each, when, weights, largest, comparison.data.classes))
    if not panels:
        return ""
    return f"""<section>
<h2>What the upsampling layers learned</h2>
<p>Each tile is one filter: how a score of the class at the left contributes to the scores of the class
above it. Before training, only the diagonal is not zero: bilinear interpolation, each class separately.
After training, a class may contribute to the scores of another, and a filter may have edges. Red is positive,
blue negative, white zero; before and after have the same scale.</p>
<div class="filters">{"".join(panels)}</div>
</section>"""


def _tiles(each: Filters, when: str, weights: Weights, largest: float, classes: Sequence[str]) -> str:
    size = weights.shape[-1]
    cells = ["<span></span>", *(f"<span>{escape(name)}</span>" for name in classes)]
    for source, name in enumerate(classes):
        cells.append(f'<span class="side">{escape(name)}</span>')
        for target in range(weights.shape[1]):
            cells.append(f'<img src="{filter_tile(weights[source, target], largest)}" alt="">')
    alt = f"Filters of layer {each.layer} {when} training"
    return (
        f'<figure><div class="tiles" role="img" aria-label="{escape(alt)}">{"".join(cells)}</div>'
        f"<figcaption>{escape(each.layer.removesuffix('.up.weight'))}, {size} &times; {size} weights "
        f"per filter, {when} training; full colour at &plusmn;{largest:.2f}</figcaption></figure>"
    )


def _figure(uri: str, alt: str, caption: str) -> str:
    return f'<figure><img src="{uri}" alt="{escape(alt)}"><figcaption>{caption}</figcaption></figure>'
