"""Two models timed in turns, so that disturbances of the machine affect both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tconv.onnx.rewriting.runner import Arrays, Runner

__all__ = ["Timed", "time_in_turns"]

GAIN = 1.05
"""The gain from which a rewriting is kept: time of the whole model before over time after."""

_TURNS = 7


@dataclass(frozen=True)
class Timed:
    """Two models on the same inputs.

    Attributes:
        before, after: times in milliseconds, of the turn with the median gain.
        gain: median over the turns of (time before / time after) of the same turn; of an even number the
            smaller of the middle two, so that it is that of a turn.
        sure: share of the turns in which the second was faster.
    """

    before: float
    after: float
    gain: float
    sure: float

    @property
    def wins(self) -> bool:
        """Whether the second is faster by more than 5 %, and in three turns of four."""
        return self.gain > GAIN and self.sure >= 0.75


def time_in_turns(runner: Runner, before: str, after: str, feeds: Arrays, seconds: float) -> Timed:
    """Run two models of the runner in turns for `seconds`, and at least seven turns."""
    taken = runner.time([before, after], feeds, seconds=seconds, turns=_TURNS)
    one, two = (np.array(taken[name]) for name in (before, after))
    middle = np.argsort(one / two, kind="stable")[(len(one) - 1) // 2]
    return Timed(
        before=float(one[middle]) * 1e3,
        after=float(two[middle]) * 1e3,
        gain=float(one[middle] / two[middle]),
        sure=float(np.mean(two < one)),
    )
