"""``tconv demo units``: what units of a trained classifier see, and what it looks at."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tconv.documents import Document, Section, html
from tconv.errors import printable
from tconv.files import write_aside

if TYPE_CHECKING:
    from tconv.demos.units.study import Study

__all__ = ["as_dict", "document", "run"]

MINUTES = 5

#: Of the minutes, those in which new work begins: the first unit of each layer is never left out.
SHARE = 0.6


def run(out: Path, *, seed: int = 0, minutes: float | None = None, weights: Path | None = None) -> Study:
    """Find the strongest patches, project them, slide the square, and write `out`/report.html.

    Units are drawn by `seed`; the more of them are shown the more `minutes` there are. `weights` is a file of
    EfficientNet-Lite0 or VGG16; without it, installed packages are searched.

    Raises:
        TconvError: there are no weights, they are not those of a known network, a package is missing, or the
            report cannot be written.
    """
    from tconv.demos.units.report import report
    from tconv.demos.units.study import study

    end = time.monotonic() + 60 * SHARE * (MINUTES if minutes is None else minutes)
    found = study(weights, seed, end)
    page = html.render(report(found))
    with write_aside(out / "report.html") as file:
        file.write(page.encode())
    print(printable(f"report: {out / 'report.html'}"), file=sys.stderr)
    return found


def document(found: Study) -> Document:
    """One row per layer: its units, and how alike the projections of one unit are."""
    from tconv.demos.units.report import table

    return Document("", (Section("layers", "", (table(found),)),))


def as_dict(found: Study) -> dict[str, Any]:
    """The measured numbers as plain values for JSON."""
    return {
        "pictures": list(found.pictures),
        "seconds": found.seconds,
        "layers": [
            {
                "network": each.network.name,
                "layer": each.layer.name,
                "units": [unit.unit for unit in each.units],
                "alike": each.alike(guided=False),
                "alike_guided": each.alike(guided=True),
            }
            for each in found.layers
        ],
        "occlusion": [
            {
                "picture": each.picture,
                "class": each.target,
                "probability": each.whole,
                "lowest": float(each.probability.min()),
                "step": each.step,
            }
            for each in found.occlusions
        ],
    }
