"""Pictures and curves of a report: PNG as data URIs, curves as SVG in the page's own colours."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["curves", "filter_tile", "picture_uri", "png_uri", "series"]

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def series(number: int) -> str:
    """The CSS colour of line or variant `number`, counted from 0; there are six.

    >>> series(0)
    'var(--series-1)'
    """
    return f"var(--series-{number % 6 + 1})"


def picture_uri(picture: Floats) -> str:
    """A gray or RGB picture (height, width, 1 or 3; 0..1) as the data URI of a PNG."""
    values = (picture * 255).round().astype(np.uint8)
    return png_uri(values[:, :, 0] if values.shape[2] == 1 else values)


def filter_tile(weights: Floats, largest: float) -> str:
    """A filter (k, k) as the data URI of a PNG: blue below 0, white at 0, red above, full at `largest`."""
    share = np.clip(weights / (largest or 1.0), -1, 1)[:, :, None]
    full = np.where(share > 0, (178, 24, 43), (33, 102, 172))
    return png_uri((255 + (full - 255) * np.abs(share)).round().astype(np.uint8))


def png_uri(values: Bytes, table: Bytes | None = None) -> str:
    """Gray (height, width) or RGB bytes as the data URI of a PNG, or indices of a palette `table` (n, 3)."""
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
    across: str = "epoch",
) -> str:
    """Lines (x, y) over epochs, or what `across` names, as an SVG element, in their CSS `colours`.

    Everything else is currentColor. Matplotlib has no CSS colours: each line is drawn in a placeholder
    colour that is then replaced.
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
        axes.set_xlabel(across, color=ink)
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
