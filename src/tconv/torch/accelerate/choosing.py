"""How far each layer is accelerated if an example can be timed: only as far as it is faster."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any

from tconv.errors import TconvError
from tconv.torch.accelerate.measuring import Example, distance, in_turns
from tconv.torch.accelerate.rows import Row, find
from tconv.torch.accelerate.table import Accelerated

__all__ = ["measured"]

#: A change stays if it is not slower than what it replaces, within the accuracy of the timing.
_SLACK = 1.05


def measured(example: Example) -> Accelerated:
    """Accelerate the example's model as far as it is faster, and note differences and times.

    Raises:
        TconvError: the model does not run, or its outputs change; it is then restored.
    """
    with example.evaluating():
        expected, again = example.answers(), example.answers()  # this also initialises lazy layers
        done = Accelerated(example.model, *find(example.model))
        done.do()
        try:
            seen = example.inputs([layer for row in done.rows if (layer := row.layer) is not None])
            levels = [_fastest(row, seen.get(row.layer)) for row in done.rows]
            done.do(levels)
            off, allowed = distance(again, expected)
            if off > allowed:
                done.notes.append("outputs: not compared, since two runs of the model itself differ")
            else:
                done.apart, done.tolerance = distance(example.answers(), expected)
            if done.apart is not None and done.apart > (done.tolerance or 0.0):
                raise TconvError(
                    f"outputs differ by {done.apart:.1e} of the largest, and {done.tolerance:.0e} would "
                    "fit; the model is unchanged"
                )
            if any(levels):
                sides = [(done.put_back, example.run), (lambda: done.do(levels), example.run)]
                before, after = in_turns(sides)
                done.before, done.after = median(before), median(after)
                if _slower(after, before):
                    done.put_back()
                    done.notes.append("the whole model is slower with it, so everything was undone")
        except BaseException:
            done.undo()
            raise
    return done


def _slower(one: list[float], other: list[float]) -> bool:
    """By the median and by the fastest: other load on the machine seldom distorts both."""
    return median(one) > _SLACK * median(other) and min(one) > _SLACK * min(other)


def _fastest(row: Row, x: Any) -> int:
    """How far to go with a row, by measurement; its times are noted."""
    *others, most = row.levels
    if not others:
        return most
    if x is None:
        row.note(row.why, "not reached by the example, so not timed")
        return most
    runs = in_turns([(partial(row.set, level), partial(row.call, x)) for level in row.levels])
    times = [median(each) for each in runs]
    chosen = max(k for k, each in enumerate(runs) if not _slower(each, min(runs, key=median)))
    row.before, row.after = times[0], times[chosen]
    if row.levels[chosen] != most:
        row.lowered(row.levels[chosen], f"slower here, {times[-1] * 1e3:.3f} ms")
    return row.levels[chosen]
