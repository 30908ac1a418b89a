"""How far each layer is accelerated with an example: as far as it is faster, within a budget of seconds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from tconv.documents.terminal import progress
from tconv.timing import EVEN, FASTER, LOOKS, NOISY, SLOWER, Paired, in_turns
from tconv.torch.accelerate import estimate
from tconv.torch.accelerate.checking import check
from tconv.torch.accelerate.measuring import Budget, Example
from tconv.torch.accelerate.rows import Row, find
from tconv.torch.accelerate.table import Accelerated

__all__ = ["measured"]


def measured(example: Example, budget: Budget, bar: bool = False) -> Accelerated:
    """Accelerate the example's model as far as it is faster, and note differences, times and reasons.

    The model is run twice to compare its outputs; all else is timed while seconds are left.

    Raises:
        TconvError: the model does not run, or its outputs change; it is then restored.
    """
    with example.evaluating():
        if any(map(_unready, example.model.modules())):
            example.answers()  # creates the parameters of lazy layers
        done = Accelerated(example.model, *find(example.model))
        with progress("running", 3 + len(done.rows)) if bar else nullcontext(_silent) as step:
            step("running")
            began = budget.left
            layers = [layer for row in done.rows if (layer := row.layer) is not None]
            expected, inputs, watch = example.answers_and_inputs(layers)
            for row in done.rows:
                if row.layer is not None:
                    row.follow(watch.follows(row.layer))
            done.settle()
            once = began - budget.left
            try:
                done.do()
                levels = []
                for number, row in enumerate(done.rows):
                    step(row.name)
                    # Of what comparing leaves, a half is for the whole model.
                    spare = (budget.left - once) / 2 / (len(done.rows) - number)
                    levels.append(_level(row, inputs.get(row.layer, []), spare, budget))
                done.do(levels)
                step("comparing")
                began = budget.left
                check(example, done, levels, expected, inputs)
                once = min(once, began - budget.left)  # the first run may be slower
                if any(levels):
                    step("whole model")
                    _whole(example, done, levels, budget, once)
            except BaseException:
                done.undo()
                raise
    return done


def _silent(_: str) -> None:
    """Replaces the bar where none is shown."""


def _unready(module: nn.Module) -> bool:
    return isinstance(module, LazyModuleMixin) and module.has_uninitialized_params()


def _level(row: Row, inputs: Sequence[Tensor], seconds: float, budget: Budget) -> int:
    """How far to go with a row: by timing, and where that does not tell, by estimate; with the reason."""
    *others, most = row.levels
    if not others:
        return most
    if not inputs:
        row.note(row.why, "not reached by the example, so not timed")
        return most
    times = in_turns(
        [(partial(row.set, level), partial(row.run, inputs)) for level in row.levels],
        seconds,
        clock=budget.clock,
    )
    of = dict(zip(row.levels, times, strict=True))
    known: dict[int, float] = {}
    if not times[0] or any(Paired(of[level], of[most]).verdict() == NOISY for level in others):
        known = estimate.cycles(row, inputs[0])
    chosen = most
    for level in reversed(others):
        verdict = Paired(of[level], of[chosen]).verdict()
        guess = estimate.ratio(known, level, chosen)
        if verdict == SLOWER or (verdict == NOISY and guess is not None and guess < 1):
            chosen = level
    tried = Paired(of[0], of[chosen or most])
    row.decided = _reason(tried, estimate.ratio(known, 0, chosen or most), budget)
    if times[0]:
        kept = Paired(of[0], of[chosen])
        row.before, row.after = (side[kept.turn] for side in (kept.before, kept.after))
    if chosen != most:
        worse = Paired(of[chosen], of[most])
        row.lowered(chosen, f"slower here, {worse}" if worse.verdict() == SLOWER else "slower by estimate")
    return chosen


def _reason(tried: Paired, guess: float | None, budget: Budget) -> str:
    """What decided, and by which numbers."""
    by = "nothing is known of it" if guess is None else f"by estimate {guess:.1f} times as fast"
    if not tried.before:
        short = f"{LOOKS[0]} turns do not fit into its share of {budget.seconds:g} s"
        return f"not timed, since {short if budget.seconds else 'no time was asked for'}: {by}"
    verdict = tried.verdict()
    said = f"{'as fast within 5 %' if verdict == EVEN else verdict}, {tried}"
    return f"{said}: {by}" if verdict == NOISY else said


def _whole(example: Example, done: Accelerated, levels: Sequence[int], budget: Budget, once: float) -> None:
    """Time the whole model, which stays accelerated unless it is slower."""
    sides = [(done.put_back, example.run), (lambda: done.do(levels), example.run)]
    before, after = in_turns(sides, budget.left, expected=once, clock=budget.clock)
    done.do(levels)
    if not before:
        if budget.seconds:
            done.notes.append(
                f"whole model: not timed, since {LOOKS[0]} runs before and after do not fit into the "
                f"{budget.left if budget.left > 0 else 0:.0f} s left of {budget.seconds:g}"
            )
        return
    done.timed = Paired(before, after)
    verdict = done.timed.verdict()
    if verdict == SLOWER:
        done.put_back()
        done.notes.append("the whole model is slower with it, so everything was undone")
    elif verdict not in (FASTER, EVEN):
        done.notes.append(f"whole model: {NOISY}, so what was decided for each layer stays")
