"""Rewritings chosen by measurement: each is timed in ONNX Runtime against the best model so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tconv.models.onnx.nodes import name_of
from tconv.onnx.preview import would_rewrite
from tconv.onnx.rewriting.feeds import Feeds
from tconv.onnx.rewriting.goals import SPEED, STAGES
from tconv.onnx.rewriting.measuring import Timed, time_in_turns
from tconv.onnx.rewriting.runner import Runner, Trouble
from tconv.onnx.rewriting.walker import Step, apply_rules
from tconv.onnx.rules import RULES, Rule
from tconv.timing import FASTER

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Faster", "Move", "Trial", "search"]

_PLACES = 6
_PROMISING = 1.01
NOWHERE = "not applicable"
NOT_KEPT = "it applies, but was not kept"


@dataclass(frozen=True)
class Move:
    """A line of `SPEED`, applied at all places or at one.

    Attributes:
        name: the line's name, in `STAGES`.
        place: (where, node) of `Step`, or None for all places.
    """

    name: str
    place: tuple[str, str] | None = None

    def __str__(self) -> str:
        return self.name if self.place is None else f"{self.name} at {self.place[1]}"

    def apply(self, model: ir.Model) -> list[Step]:
        """Rewrite `model` in place."""

        def wanted(_: Rule[Any], where: str, node: ir.Node) -> bool:
            return self.place is None or self.place == (where, name_of(node))

        steps: list[Step] = []
        for names in STAGES[self.name]:
            steps += apply_rules(model, [RULES[name] for name in names], wanted)
        return steps


@dataclass(frozen=True)
class Trial:
    """Moves tried on top of those kept before.

    Attributes:
        moves: what was tried.
        fired: the number of rewritings.
        timed: against the best before it; None if it was not timed: `note` says why.
        kept: whether it is faster and was kept.
        note: a phrase.
    """

    moves: tuple[Move, ...]
    fired: int
    timed: Timed | None
    kept: bool = False
    note: str = ""

    @property
    def applies(self) -> bool:
        """Whether the moves change the model, timed or not."""
        return self.note != NOWHERE


@dataclass(frozen=True)
class Faster:
    """The result of a search.

    Attributes:
        moves: those that are kept, in order.
        trials: everything that was tried.
        timed: the result against the original; None if nothing was kept.
        steps: the rewritings of the result, and why rules did not apply.
    """

    moves: tuple[Move, ...]
    trials: tuple[Trial, ...]
    timed: Timed | None
    steps: tuple[Step, ...]


class _Search:
    def __init__(
        self, model: ir.Model, runner: Runner, feeds: Feeds, seconds: float, tell: Callable[[str], None]
    ) -> None:
        self.model, self.runner, self.feeds, self.tell = model, runner, feeds, tell
        self.end = time.monotonic() + seconds
        self.slot = min(4.0, max(0.3, seconds / 20))
        self.kept: list[Move] = []
        self.trials: list[Trial] = []
        self.best = 0
        self.seen: dict[tuple[int, tuple[Step, ...]], tuple[Move, ...]] = {}
        runner.load("best0", model)

    def built(self, moves: Sequence[Move]) -> tuple[ir.Model, list[Step]]:
        made, steps = self.model.clone(), []
        for move in (*self.kept, *moves):
            steps += move.apply(made)
        return made, steps

    def attempt(self, *moves: Move) -> Trial:
        """Time the moves on top of those kept; this keeps nothing."""
        held, _ = self.built(())
        made, fired = held.clone(), []
        for move in moves:
            fired += [step for step in move.apply(made) if step.reason is None]
        if not fired:
            return Trial(moves, 0, None, note=NOWHERE)
        alike = self.seen.setdefault((self.best, tuple(fired)), moves)
        if alike != moves:
            return Trial(moves, 0, None, note=f"as {alike[0]}")
        if time.monotonic() > self.end:
            return Trial(moves, len(fired), None, note="no time left")
        self.tell(f"timing {' + '.join(map(str, moves))}")
        try:
            self.runner.load("new", made)
            timed = time_in_turns(self.runner, f"best{self.best}", "new", self.feeds.arrays, self.slot)
            self.runner.drop("new")
        except Trouble as trouble:
            if "crashed" in str(trouble):
                raise
            return Trial(moves, len(fired), None, note=f"ONNX Runtime refuses it: {trouble}")
        return Trial(moves, len(fired), timed)

    def keep(self, *trials: Trial) -> None:
        """Make these trials, on top of those kept before, the best so far."""
        self.kept += (move for trial in trials for move in trial.moves)
        self.runner.drop(f"best{self.best}")
        self.best += 1
        self.runner.load(f"best{self.best}", self.built(())[0])

    def round(self, moves: Sequence[Move]) -> list[Trial]:
        """Try each move separately, keep the best that wins, and repeat with the rest while one wins."""
        left, last = list(moves), []
        while left:
            last = [self.attempt(move) for move in left]
            winner = max((t for t in last if t.timed and t.timed.wins), key=_gain, default=None)
            self.trials += [replace(t, kept=True) if t is winner else t for t in last]
            if winner is None:
                break
            self.keep(winner)
            left = [t.moves[0] for t in last if t is not winner and t.timed and t.timed.gain > 0.98]
        return last


def search(
    model: ir.Model,
    runner: Runner,
    feeds: Feeds,
    *,
    seconds: float,
    tell: Callable[[str], None] = lambda _: None,
    first: Sequence[Trial] = (),
) -> Faster:
    """The moves that make the model faster on these inputs.

    First each line of `SPEED` wherever it applies; then, one by one, the places of lines that lost overall;
    then all small wins together. Each is timed against the best model so far and kept only if it `wins`. In
    the end the result is timed against the original once more, and dropped unless it is surely faster.

    Args:
        seconds: approximate time for measuring; the trials say what was left out for lack of time.
        tell: is called with a line for each step.
        first: trials before these, decided by other means; those that were kept are. A result with them is
            dropped only if it is slower than the original.
    """
    state = _Search(model, runner, feeds, seconds, tell)
    state.trials += first
    if any(trial.kept for trial in first):
        state.keep(*(trial for trial in first if trial.kept))
    state.round([Move(name) for name in SPEED])
    whole = {trial.moves[0]: trial for trial in state.trials[len(first) :] if trial.timed}
    lost = [move for move in whole if move not in state.kept and whole[move].fired > 1]
    state.round([place for move in lost for place in _places(state, move)])
    some = [
        t.moves[0] for t in state.trials[len(first) :] if t.timed and t.timed.gain > _PROMISING and not t.kept
    ]
    some = [move for move in dict.fromkeys(some) if move not in state.kept]
    if len(some) > 1:
        trial = state.attempt(*some)
        wins = trial.timed is not None and trial.timed.wins
        state.trials.append(replace(trial, kept=wins))
        if wins:
            state.keep(trial)
    timed = None
    if state.kept:
        tell("timing the result against the original")
        runner.load("original", model)
        result, slot = f"best{state.best}", 2 * state.slot
        timed = time_in_turns(runner, "original", result, feeds.arrays, slot, surely=True)
        runner.drop("original")
        if timed.gain < 1 if first else timed.verdict != FASTER:
            state.kept.clear()
    made, steps = state.built(())
    done = [step for step in steps if step.reason is None]
    return Faster(tuple(state.kept), tuple(state.trials), timed, tuple(done + _left(made)))


def _left(made: ir.Model) -> list[Step]:
    """Of the result as it is: at each node why a rule does not apply, or that it was not kept."""
    rules = {rule for rules in SPEED.values() for rule in rules}
    return [
        Step(rule, node, where, reason or NOT_KEPT)
        for (where, node), reasons in would_rewrite(made).items()
        for rule, reason in reasons.items()
        if rule in rules
    ]


def _places(state: _Search, move: Move) -> list[Move]:
    """The places where a line applies, if they are few."""
    made, _ = state.built(())
    fired = [step for step in move.apply(made) if step.reason is None]
    found = list(dict.fromkeys((step.where, step.node) for step in fired))
    return [Move(move.name, place) for place in found] if 1 < len(found) <= _PLACES else []


def _gain(trial: Trial) -> float:
    return trial.timed.gain if trial.timed else 0.0
