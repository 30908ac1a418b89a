"""``tconv demo dcgan``: DCGANs learn to draw clothes, with four ways to double a map, and are measured.

Data passes through this room in the order `idx` and `data` (bytes of files) -> `batches` -> `module` (both
networks and their losses), `classifier` (features) -> `comparison`, which trains all and measures with
`measures`, `spectrum`, `latent`, `layers` and `timing` -> `report` and `pictures`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tconv.documents import Document, Entries, Section

if TYPE_CHECKING:
    from tconv.demos.dcgan.comparison import Comparison

__all__ = ["STEPS", "as_dict", "document", "run"]

STEPS = 4800
"""Training steps of each way without --minutes or --steps."""


def run(
    out: Path,
    *,
    seed: int = 0,
    minutes: float | None = None,
    steps: int | None = None,
    data: Path | None = None,
    rounds: int = 12,
) -> Comparison:
    """Train, measure, and write `out`/report.html.

    Without `steps`, they are `STEPS`, or fewer that fit into `minutes`, measured on this machine. A folder
    that holds a demo that was stopped keeps its steps, and goes on. Costs are timed for `rounds` rounds.

    Raises:
        TconvError: the data are not there, `out` holds a run with other settings, a file cannot be written.
    """
    from tconv.demos.dcgan import report
    from tconv.demos.dcgan.comparison import Plan, compare
    from tconv.demos.dcgan.data import open_data
    from tconv.demos.dcgan.steps import chosen
    from tconv.documents import html
    from tconv.files import write_aside
    from tconv.runs.log import note

    opened = open_data(data)
    plan = Plan(chosen(out, opened, seed, minutes, steps, STEPS), seed)
    found = compare(opened, out, plan, rounds=rounds)
    with write_aside(out / "report.html") as file:
        file.write(html.render(report.document(found)).encode())
    note(f"report: {out / 'report.html'}")
    return found


def document(found: Comparison) -> Document:
    """One row for each way to double a map."""
    from tconv.demos.dcgan import report

    terms = Entries(report.TERMS, terms=True)
    return Document("", (Section("ways", "", (report.table(found), terms)),))


def as_dict(found: Comparison) -> dict[str, Any]:
    """The measured numbers as plain values for JSON."""
    from dataclasses import asdict

    return {
        "data": found.data.name,
        "plan": asdict(found.plan),
        "classifier_accuracy": found.accuracy,
        "frechet_floor": found.floor,
        "nearest_of_test": found.usual,
        "excess_of_training": found.real_excess,
        "seconds": found.seconds,
        "ways": {
            v.way: {
                "width": v.width,
                "parameters": v.parameters,
                "frechet": v.frechet,
                "confidence": v.confidence,
                "shares": dict(zip(found.data.classes, v.shares.tolist(), strict=True)),
                "nearest": v.usual,
                "ripple": {each.period: each.ripple for each in v.doublings},
                "excess": v.excess,
                "sum": None if v.sum is None else dict(v.sum.says),
                "step_seconds": v.cost.step,
                "step_seconds_pytorch": v.cost.pytorch_step,
                "sampling_seconds": v.cost.sampling,
                "sampling_seconds_pytorch": v.cost.pytorch_sampling,
                "training_seconds": sum(row["seconds"] for row in v.rows),
            }
            for v in found.variants
        },
    }
