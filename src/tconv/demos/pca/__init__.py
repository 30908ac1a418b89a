"""``tconv demo pca``: principal components as the filters of a convolution and of its transpose."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tconv.demos.pca.analysis import Analysis, analyse
from tconv.demos.pca.report import decibels, report
from tconv.demos.pictures import gray
from tconv.documents import Document, Section, Table, html
from tconv.errors import printable
from tconv.files import write_aside

__all__ = ["as_dict", "document", "run"]

PICTURE = "astronaut"


def run(out: Path, *, seed: int = 0, minutes: float | None = None) -> Analysis:
    """Compute everything and write `out`/report.html. It takes seconds, whatever `minutes` allows.

    Raises:
        TconvError: the picture's package is missing, or the file cannot be written.
    """
    found = analyse(gray(PICTURE), PICTURE, seed)
    page = html.render(report(found))
    with write_aside(out / "report.html") as file:
        file.write(page.encode())
    print(printable(f"report: {out / 'report.html'}"), file=sys.stderr)
    return found


def document(found: Analysis) -> Document:
    """One row per number of components: what is kept, and how near the rebuilt picture is."""
    columns = ("components", "variance", "numbers/pixel", *(f"stride {s}, dB" for s in found.strides))
    rows = tuple(
        (
            str(each.components),
            f"{each.variance:.4f}",
            f"{each.kept:.3f}",
            *(decibels(each.psnr[s]) for s in found.strides),
        )
        for each in found.rebuilt
    )
    table = Table("rebuilt", columns, rows, kinds=("name", *["number"] * (len(columns) - 1)))
    return Document("", (Section("rebuilt", "", (table,)),))


def as_dict(found: Analysis) -> dict[str, Any]:
    """The measured numbers as plain values for JSON."""
    return {
        "picture": found.name,
        "kernel": found.kernel,
        "variances": found.variances.tolist(),
        "rebuilt": [
            {"components": each.components, "variance": each.variance, "psnr": dict(each.psnr)}
            for each in found.rebuilt
        ],
        "exact": {"stride": found.kernel, "largest_error": found.exact},
        "checks": [{"what": what, "one": one, "other": other} for what, one, other in found.checks],
    }
