"""Two models timed against each other in turns, so that what disturbs the machine disturbs both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tconv.onnx.rewriting.runner import Arrays, Runner

__all__ = ["Timed", "race"]

GAIN = 1.05
"""What a rewriting must win to be kept: the model before over the model after, the whole of it."""

_TURNS = 7


@dataclass(frozen=True)
class Timed:
    """Two models on the same inputs.

    Attributes:
        before, after: medians of milliseconds.
        gain: median over the turns of the time before over the time after of the same turn.
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


def race(runner: Runner, before: str, after: str, feeds: Arrays, seconds: float) -> Timed:
    """Run two models of the runner in turns for so many seconds, at least seven turns."""
    taken = runner.time([before, after], feeds, seconds=seconds, turns=_TURNS)
    one, two = (np.array(taken[name]) for name in (before, after))
    return Timed(
        before=float(np.median(one)) * 1e3,
        after=float(np.median(two)) * 1e3,
        gain=float(np.median(one / two)),
        sure=float(np.mean(two < one)),
    )
