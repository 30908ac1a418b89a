"""Pictures of a comparison: labels in the colours of their classes, and one summary."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tconv.files import write_aside
from tconv.runs.figures import png_uri
from tconv.train.comparison import Comparison
from tconv.train.palette import palette
from tconv.train.pictures import Label

__all__ = ["colours", "label_uri", "summary_picture"]

Bytes = npt.NDArray[np.uint8]

#: Muted colours for classes whose names are known.
KNOWN = {"CSF": (79, 134, 198), "grey matter": (181, 101, 77), "white matter": (241, 228, 200)}


def colours(classes: Sequence[str]) -> Bytes:
    """RGB colours of shape (classes, 3) for the pictures of a report."""
    pairs = zip(classes, palette(classes).tolist(), strict=True)
    return np.array([KNOWN.get(name, colour) for name, colour in pairs], dtype=np.uint8)


def label_uri(labels: Label, classes: Sequence[str]) -> str:
    """Class indices in the colours of their classes, as the data URI of a PNG with a palette."""
    return png_uri(labels, colours(classes))


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
