"""``tconv demo deconvnet``: a deconvolutional network of two layers learns from natural pictures.

`run` learns (`learning`), measures (`measuring`) and writes the page (`report`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tconv.documents import Document, Section, Table

if TYPE_CHECKING:
    from tconv.demos.deconvnet.found import Found
    from tconv.demos.deconvnet.learning import Settings

__all__ = ["MINUTES", "as_dict", "document", "run"]

MINUTES = 4
"""What the epochs of `Settings` and the measurements take on two cores."""


def run(out: Path, *, seed: int = 0, minutes: float | None = None, settings: Settings | None = None) -> Found:
    """Learn both layers, measure them, and write `out`/report.html and `out`/filters.png.

    `out`/state.pt holds the filters and is resumed from. Epochs are as many as fit into `minutes`, reckoned
    from `MINUTES`. `settings` are for tests.

    Raises:
        TconvError: scikit-image is not installed, the state is of something else, or a file cannot be
            written.
    """
    from tconv.demos.deconvnet.found import measure
    from tconv.demos.deconvnet.learning import Settings
    from tconv.demos.deconvnet.report import write_filters, write_report
    from tconv.runs.log import note

    settings = replace(settings or Settings(), seed=seed)
    if minutes is not None:
        share = min(1.0, minutes / MINUTES)
        first, second = (max(1, int(share * epochs)) for epochs in settings.epochs)
        settings = replace(settings, epochs=(first, second))
        note(f"{first} and {second} epochs, about {minutes:g} minutes on two cores")
    found = measure(out / "state.pt", settings)
    write_report(found, out / "report.html")
    write_filters(found, out / "filters.png")
    note(f"report: {out / 'report.html'}")
    return found


def document(found: Found) -> Document:
    """What is known of each layer, beside two ways to remove noise that learn nothing."""
    from tconv.demos.deconvnet.found import summary

    columns = ("picture", "maps", "numbers not 0 per pixel", "rebuilt: SNR, dB", "denoised: SNR, dB")
    table = Table("layers", columns, tuple(summary(found)), kinds=("name", *["number"] * 4))
    return Document("", (Section("layers", "", (table,)),))


def as_dict(found: Found) -> dict[str, Any]:
    """The measured numbers as plain values for JSON."""
    from tconv.demos.deconvnet.found import plain

    return plain(found)
