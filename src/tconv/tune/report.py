"""The output of `tconv tune`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tconv.documents import Document, Entries, Line, Section, Table
from tconv.planning.hardware import cpu
from tconv.planning.tuning_file import engine, place, tuned
from tconv.tune.competition import Won
from tconv.tune.costs import Costs

__all__ = ["Result", "shown"]

_NUMBERS = ("plans", "before", "after", "changed", "checked", "gain")  #: of `Costs`
_ONCE, _ALWAYS = "packed once", "at every call"


@dataclass(frozen=True, slots=True)
class Result:
    """What one `tconv tune` measured."""

    isa: str
    threads: int
    costs: Costs | None  #: None: an earlier run measured them
    won: Sequence[Won]
    notes: Sequence[str]
    path: Path

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        costs = self.costs and {
            "kept": self.costs.record is not None,
            **{
                name: getattr(self.costs, name)
                for name in ("plans", "before", "after", "changed", "checked", "gain")
            },
        }
        plans = [
            {
                "names": list(one.wanted.names),
                "problem": str(one.wanted.geometry),
                "dtype": one.wanted.dtype,
                "prepared": one.prepared,
                "kernel": one.plan.kernel,
                "plan": one.plan.name,
                "tried": one.tried,
                "ratio": one.ratio,
            }
            for one in self.won
        ]
        return {
            "file": str(self.path),
            "isa": self.isa,
            "threads": self.threads,
            "costs": costs,
            "plans": plans,
            "notes": list(self.notes),
        }

    def document(self) -> Document:
        """For people."""
        sections = [Section("costs", "Costs of work", (Line(self._costs()),))]
        if self.won:
            rows = tuple(
                (
                    ", ".join(one.wanted.names) or str(one.wanted.geometry),
                    _ONCE if one.prepared else _ALWAYS,
                    one.plan.kernel,
                    one.tried,
                    round(one.ratio, 2),
                )
                for one in self.won
            )
            columns = ("layer", "weights", "kernel", "plans", "times as fast")
            kinds = ("name", "words", "code", "number", "number")
            text = (
                f"Speed on {self.threads} threads as a multiple of that of the plan by estimate; 1: it stays."
            )
            table = Table("plans", columns, rows, kinds=kinds)
            sections.append(Section("plans", "Fastest plans", (table, Line(text))))
        if self.notes:
            sections.append(Section("notes", "Not timed", tuple(Line(note) for note in self.notes)))
        return Document("tconv tune", tuple(sections), lead=f"{self.isa}; kept in {self.path}")

    def _costs(self) -> str:
        costs = self.costs
        if costs is None:
            return "Measured before; tconv tune without problems measures them again."
        told = (
            f"{costs.plans} plans were timed on one thread. Estimates were off by a factor of "
            f"{costs.before:.2f}, and by {costs.after:.2f} once fitted. For {costs.changed} of "
            f"{costs.checked} other maps the fitted costs choose another plan; all together are "
            f"{costs.gain:.2f} times as fast."
        )
        kept = "They are used from now on." if costs.record else "The default costs are as good and stay."
        return f"{told} {kept}"


def shown() -> tuple[Document, dict[str, Any]]:
    """What is in use: for people, and for `--json`."""
    path, found = place(), tuned()
    if path is None:
        state = "off"
    elif found.why:
        state = f"ignored: {found.why}"
    else:
        state = "in use" if found.records or found.plans else "nothing is tuned"
    costs = {
        isa: f"{len(numbers)} numbers fitted here" if numbers else "the default, which was as fast here"
        for isa, numbers in found.records.items()
    }
    entries = [
        ("file", str(path or "none")),
        ("state", state),
        ("CPU", f"{cpu().name or 'unknown'}, {cpu().vendor} family {cpu().family} model {cpu().model}"),
        ("caches", ", ".join(f"{n >> 10} KiB" if n else "unknown" for n in (cpu().second, cpu().third))),
        ("engine", engine()),
        *((f"costs, {isa}", text) for isa, text in costs.items()),
    ]
    rows = tuple(
        (problem, f"{map}, {dtype}, {layout}, {isa}", _ONCE if prepared else _ALWAYS, name)
        for (problem, map, dtype, layout, isa, prepared), name in found.plans.items()
    )
    sections = [Section("state", "", (Entries(tuple(entries)),))]
    if rows:
        columns = ("problem", "map", "weights", "plan")
        kinds = ("name", "words", "words", "words")
        sections.append(Section("plans", "Tuned plans", (Table("plans", columns, rows, kinds=kinds),)))
    data = {
        "file": None if path is None else str(path),
        "state": state,
        "cpu": cpu()._asdict(),
        "engine": engine(),
        "costs": {isa: dict(numbers) for isa, numbers in found.records.items()},
        "plans": [
            {
                "problem": problem,
                "map": map,
                "dtype": dtype,
                "layout": layout,
                "isa": isa,
                "prepared": prepared,
                "plan": name,
            }
            for (problem, map, dtype, layout, isa, prepared), name in found.plans.items()
        ],
    }
    return Document("tconv tune", tuple(sections), lead=state), data
