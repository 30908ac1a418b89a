"""Pictures of a comparison: PNG as data URIs, curves as SVG in the page's own colours, and one summary."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tconv.files import write_aside
from tconv.train.comparison import Comparison, Weights
from tconv.train.palette import palette
from tconv.train.pictures import Label, Picture

__all__ = ["colours", "curves", "filter_tile", "label_uri", "picture_uri", "summary_picture"]

Bytes = npt.NDArray[np.uint8]

#: Muted colours for classes whose names are known.
KNOWN = {"CSF": (79, 134, 198), "grey matter": (181, 101, 77), "white matter": (241, 228, 200)}


def colours(classes: Sequence[str]) -> Bytes:
    """RGB colours of shape (classes, 3) for the pictures of a report."""
    pairs = zip(classes, palette(classes).tolist(), strict=True)
    return np.array([KNOWN.get(name, colour) for name, colour in pairs], dtype=np.uint8)


def picture_uri(picture: Picture) -> str:
    """A gray or RGB picture (height, width, 1 or 3; 0..1) as the data URI of a PNG."""
    values = (picture * 255).round().astype(np.uint8)
    return _uri(values[:, :, 0] if values.shape[2] == 1 else values)


def label_uri(labels: Label, classes: Sequence[str]) -> str:
    """Class indices in the colours of their classes, as the data URI of a PNG with a palette."""
    return _uri(labels, colours(classes))


def filter_tile(weights: Weights, largest: float) -> str:
    """A filter (k, k) as the data URI of a PNG: blue below 0, white at 0, red above, full at `largest`."""
    share = np.clip(weights / (largest or 1.0), -1, 1)[:, :, None]
    full = np.where(share > 0, (178, 24, 43), (33, 102, 172))
    return _uri((255 + (full - 255) * np.abs(share)).round().astype(np.uint8))


def _uri(values: Bytes, table: Bytes | None = None) -> str:
    from PIL import Image

    image = Image.fromarray(values)
    if table is not None:
        image = Image.fromarray(values, mode="P")
        image.putpalette(table.tobytes())
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    colours: Mapping[str, str],
    *,
    title: str,
    log: bool = False,
) -> str:
    """Lines (x, y) over epochs as an SVG element, in their CSS `colours`; everything else is currentColor.

    Matplotlib has no CSS colours: each line is drawn in a placeholder colour that is then replaced.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

    marks = {name: f"#0000{number:02x}" for number, name in enumerate(lines, 1)}
    ink = "#000000"
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 10}):
        figure = Figure(figsize=(4.6, 2.9), layout="constrained")
        axes = figure.add_subplot()
        for name, (x, y) in lines.items():
            axes.plot(x, y, color=marks[name], linewidth=1.8, solid_capstyle="round")
        axes.set_xlabel("epoch", color=ink)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(ScalarFormatter())
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color=ink, alpha=0.15, linewidth=0.6)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    root, rest = svg.split(">", 1)
    svg = re.sub(r' (xmlns(:xlink)?|width|height|version)="[^"]*"', "", root) + ">" + rest
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    for name, mark in marks.items():
        svg = svg.replace(mark, colours[name])
    svg = svg.replace(ink, "currentColor")
    # Black text of matplotlib has no colour attribute, and paths are black by default.
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}" fill="currentColor"', 1)


def summary_picture(comparison: Comparison, path: Path, *, rows: int = 4) -> None:
    """Write one PNG of a few pictures, their truth and every variant's labels, for a README.

    Raises:
        TconvError: the file cannot be written.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    classes = comparison.data.classes
    count = len(comparison.shown)
    chosen = np.unique(np.linspace(0, count - 1, min(rows, count) + 2).round().astype(int)[1:-1])
    titles = ["input", "truth"] + [
        f"{v.upsampling}  {v.evaluation.measures.mean_iou:.3f}" for v in comparison.variants
    ]
    height, width = comparison.shown[0].truth.shape
    figure = Figure(figsize=(1.5 * len(titles), 0.35 + 1.5 * len(chosen) * height / width), dpi=130)
    grid = figure.subplots(
        len(chosen), len(titles), squeeze=False, gridspec_kw={"wspace": 0.03, "hspace": 0.03}
    )
    figure.subplots_adjust(0.005, 0.005, 0.995, 1 - 0.3 / figure.get_figheight())
    for row, index in zip(grid, chosen, strict=True):
        shown = comparison.shown[index]
        labels = [shown.truth, *(variant.labels[index] for variant in comparison.variants)]
        row[0].imshow(np.broadcast_to(shown.picture, (*shown.truth.shape, 3)))
        for axes, each in zip(row[1:], labels, strict=True):
            axes.imshow(colours(classes)[each])
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=9, pad=4)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", facecolor="white")
    with write_aside(path) as file:
        Image.open(drawn).convert("RGB").quantize(96).save(file, format="PNG", optimize=True)
