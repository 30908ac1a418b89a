"""What a rewriting did, as a value, as JSON and as a table that a person reads."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tconv.diagnosis.text import clean
from tconv.onnx.rewriting.checking import Compared
from tconv.onnx.rewriting.measuring import Timed
from tconv.onnx.rewriting.speed import Trial
from tconv.onnx.rewriting.walker import Step

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """What was done to a model.

    Attributes:
        goal: "speed", or the target.
        steps: rewritings that were kept, then why rules did not fire elsewhere.
        compared: every output under every set of inputs; empty without a check.
        trials: what was timed, for speed.
        timed: the result against the original, for speed; None where nothing was kept.
        feeds: the inputs that were timed.
        threads: of ONNX Runtime; 0 is its own choice.
        notes: sentences for people.
    """

    goal: str
    steps: tuple[Step, ...]
    compared: tuple[Compared, ...] = ()
    trials: tuple[Trial, ...] = ()
    timed: Timed | None = None
    feeds: str = ""
    threads: int = 0
    notes: tuple[str, ...] = ()

    @property
    def done(self) -> tuple[Step, ...]:
        """The rewritings."""
        return tuple(step for step in self.steps if step.reason is None)

    def as_dict(self) -> dict[str, Any]:
        """All of it in JSON's own types."""
        made = dataclasses.asdict(self)
        made["steps"] = [step._asdict() for step in self.steps]
        made["trials"] = [
            {**dataclasses.asdict(trial), "moves": [str(move) for move in trial.moves]}
            for trial in self.trials
        ]
        made["compared"] = [{**dataclasses.asdict(entry), "fine": entry.fine} for entry in self.compared]
        return made

    def __rich__(self) -> RenderableType:
        from rich.console import Group

        parts = [self._tried()] if self.trials else []
        return Group(*parts, self._done(), *self._refused(), *self._told())

    def _tried(self) -> Table:
        table = _table(
            f"Timed in ONNX Runtime, {self._how()}", "tried", "places", "before", "after", "gain", ""
        )
        for trial in self.trials:
            name, timed = _plain(" + ".join(map(str, trial.moves))), trial.timed
            if timed is None:
                if trial.fired:
                    table.add_row(name, str(trial.fired), "", "", "", _plain(trial.note))
                continue
            said = "[green]kept[/]" if trial.kept else "not kept"
            table.add_row(
                name, str(trial.fired), _milli(timed.before), _milli(timed.after), f"{timed.gain:.2f}x", said
            )
        if self.timed is not None:
            said = "[green]the whole[/]" if self.done else "the whole: not kept"
            table.add_row(
                "[bold]result[/]", "", _milli(self.timed.before), _milli(self.timed.after),
                f"[bold]{self.timed.gain:.2f}x[/]", said,
            )  # fmt: skip
        fired = {trial.moves for trial in self.trials if trial.fired}
        nowhere = [str(t.moves[0]) for t in self.trials if not t.fired and t.moves not in fired]
        table.caption = "\n".join(
            [_MEANT, *([f"Fires nowhere: {', '.join(dict.fromkeys(nowhere))}."] if nowhere else [])]
        )
        return table

    def _how(self) -> str:
        threads = {0: "its own choice of threads", 1: "1 thread"}.get(self.threads, f"{self.threads} threads")
        return f"{threads}, {clean(self.feeds, 300)}"

    def _done(self) -> Table | Text:
        from rich.text import Text

        if not self.done:
            if self.goal == "speed":
                return Text("Nothing was rewritten: no rewriting makes the whole model faster.")
            return Text(f"Nothing was rewritten: it has nothing that {self.goal} takes away.")
        table = _table("Rewritten", "rule", "places", "layers")
        places: dict[str, list[str]] = {}
        for step in self.done:
            places.setdefault(step.rule, []).append(_place(step))
        for rule, names in places.items():
            table.add_row(rule, str(len(names)), _plain(_some(names)))
        return table

    def _refused(self) -> list[Table]:
        reasons = Counter((step.rule, str(step.reason)) for step in self.steps if step.reason is not None)
        if not reasons:
            return []
        table = _table("Not rewritten", "rule", "places", "why")
        for (rule, reason), count in sorted(reasons.items()):
            table.add_row(rule, str(count), _plain(reason))
        return [table]

    def _told(self) -> list[Text]:
        from rich.text import Text

        lines = list(self.notes)
        if self.compared:
            worst = max(self.compared, key=lambda entry: entry.error / (entry.largest or 1))
            inputs = len({entry.feeds for entry in self.compared})
            lines.append(
                f"Checked in ONNX Runtime on {inputs} {'set' if inputs == 1 else 'sets'} of inputs: largest "
                f"difference {worst.error:.2g} in {clean(worst.output)!r}, whose largest value is "
                f"{worst.largest:.3g} (allowed: {worst.allowed:.2g})."
            )
        return [Text(line) for line in lines]


_MEANT = (
    "Gain: the median over turns in which both models ran. "
    "Kept is what gains more than 5 %, in three turns of four."
)


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        box=box.SIMPLE,
        pad_edge=False,
    )
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="fold")
    return table


_NUMBERS = ("places", "before", "after", "gain")


def _plain(text: str) -> str:
    """A name or a reason out of a file, without what a terminal or rich would obey."""
    from rich.markup import escape

    return escape(clean(text, 300))


def _milli(time: float) -> str:
    return f"{time:.3g} ms"


def _place(step: Step) -> str:
    return step.node if step.where == "graph" else f"{step.node} in {step.where}"


def _some(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
