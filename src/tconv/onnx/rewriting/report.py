"""What a rewriting did: as a value, as JSON and as a table."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tconv.documents import Cell, Document, Line, Mark, Section, Table, text
from tconv.errors import clean
from tconv.onnx.rewriting.checking import Compared
from tconv.onnx.rewriting.goals import ENGINE
from tconv.onnx.rewriting.measuring import Timed
from tconv.onnx.rewriting.speed import Trial
from tconv.onnx.rewriting.walker import Step
from tconv.timing import MARGIN, NOISY

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """The result of a rewriting.

    Attributes:
        goal: "speed", "engine", or the target.
        steps: rewritings that were kept, then why rules did not apply elsewhere.
        compared: every output for every set of inputs; empty without a check.
        trials: what was timed, for speed.
        timed: the result against the original, for speed; None if nothing was kept.
        feeds: the inputs with which models were timed.
        threads: of ONNX Runtime; 0 is its own choice.
        notes: sentences for the report.
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
        """All fields in JSON's types."""
        made = dataclasses.asdict(self)
        made["steps"] = [step._asdict() for step in self.steps]
        made["trials"] = [
            {**dataclasses.asdict(trial), "moves": [str(move) for move in trial.moves]}
            for trial in self.trials
        ]
        made["compared"] = [{**dataclasses.asdict(entry), "fine": entry.fine} for entry in self.compared]
        return made

    def __str__(self) -> str:
        """The report as text."""
        return text.render(self.document())

    def document(self) -> Document:
        """What was timed, what was rewritten and what was not, and how it was checked."""
        return Document("", tuple(self._sections()))

    def _sections(self) -> Iterator[Section]:
        if self.trials:
            title = f"Timed in ONNX Runtime, {self._how()}"
            yield Section("timed", title, (self._tried(), *map(Line, self._meant())))
        if self.done:
            places: dict[str, list[str]] = {}
            for step in self.done:
                places.setdefault(step.rule, []).append(_place(step))
            rows = tuple((rule, len(names), clean(_some(names), 300)) for rule, names in places.items())
            yield Section(
                "rewritten", "Rewritten", (Table("rules", ("rule", "places", "layers"), rows, kinds=_KINDS),)
            )
        refused = Counter((step.rule, str(step.reason)) for step in self.steps if step.reason is not None)
        if refused:
            rows = tuple((rule, many, clean(reason, 300)) for (rule, reason), many in sorted(refused.items()))
            table = Table("reasons", ("rule", "places", "why"), rows, kinds=_KINDS)
            yield Section("not rewritten", "Not rewritten", (table,))
        yield Section("notes", "", tuple(map(Line, self._told())))

    def _tried(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for trial in self.trials:
            name, timed = clean(" + ".join(map(str, trial.moves)), 300), trial.timed
            if timed is None:
                if trial.fired:
                    rows.append((name, trial.fired, "", "", "", clean(trial.note, 300)))
                continue
            said = Mark("kept", "good") if trial.kept else "not kept"
            rows.append((name, trial.fired, *_times(timed), said))
        if self.timed is not None:
            said = Mark("the whole", "good") if self.done else f"the whole, {self.timed.verdict}: not kept"
            rows.append((Mark("result", "best"), "", *_times(self.timed), said))
        kinds = ("words", *["number"] * 4, "words")
        return Table("trials", ("tried", "places", "before", "after", "gain", ""), tuple(rows), kinds=kinds)

    def _meant(self) -> Iterator[str]:
        yield _MEANT
        if self.goal == ENGINE:
            yield _LAYERS
        somewhere = {move.name for trial in self.trials if trial.applies for move in trial.moves}
        every = [move.name for trial in self.trials for move in trial.moves]
        nowhere = [name for name in every if name not in somewhere]
        if nowhere:  # names hold commas
            yield f"Not applicable in this model: {'; '.join(dict.fromkeys(nowhere))}."

    def _unsettled(self) -> bool:
        """Whether something looked faster, but too many turns contradict it."""
        if self.timed is not None:
            return self.timed.verdict == NOISY
        return any(trial.timed.gain > MARGIN for trial in self.trials if trial.timed)

    def _how(self) -> str:
        threads = {0: "its own choice of threads", 1: "1 thread"}.get(self.threads, f"{self.threads} threads")
        return f"{threads}, {clean(self.feeds, 300)}"

    def _told(self) -> Iterator[str]:
        if not self.done:
            why = f"it has nothing that {self.goal} removes"
            why = "no rewriting makes the whole model faster" if self.goal in ("speed", ENGINE) else why
            why = _NOISY if self._unsettled() else why
            yield f"Nothing was rewritten: {why}."
        yield from self.notes
        if self.compared:
            worst = max(self.compared, key=lambda entry: entry.error / (entry.largest or 1))
            inputs = len({entry.feeds for entry in self.compared})
            yield (
                f"Checked in ONNX Runtime on {inputs} {'set' if inputs == 1 else 'sets'} of inputs: largest "
                f"difference {worst.error:.2g} in {clean(worst.output)!r}, whose largest value is "
                f"{worst.largest:.3g} (allowed: {worst.allowed:.2g})."
            )


_MEANT = (
    "Both models ran in turns; shown is the turn of the median gain, with the quartiles of all gains. "
    "Rewritings that gain more than 5 % are kept, unless more turns contradict it than chance explains; "
    "the result is timed again, for a surer answer."
)
_LAYERS = (
    "Lines `engine at` are times of that layer, with the nodes that become part of it, by ONNX Runtime's "
    "profiler in the whole model; a layer becomes the engine's where the median gain is more than 5 %."
)
_NOISY = (
    "the machine is too noisy to tell whether the model would be faster; on an idle machine, or with more "
    "seconds, it may be told"
)
_KINDS = ("name", "number", "words")


def _times(timed: Timed) -> tuple[str, str, str]:
    return (
        f"{timed.before:.3g} ms",
        f"{timed.after:.3g} ms",
        f"{timed.gain:.2f}x ({timed.low:.2f}-{timed.high:.2f})",
    )


def _place(step: Step) -> str:
    return step.node if step.where == "graph" else f"{step.node} in {step.where}"


def _some(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
