"""Two models timed in turns, so that disturbances of the machine affect both."""

from __future__ import annotations

from dataclasses import dataclass

from tconv.onnx.rewriting.runner import Arrays, Runner
from tconv.timing import FASTER, LOOKS, SCREENING, Paired

__all__ = ["Timed", "time_in_turns"]

#: Turns of a trial, of the result, and of either while seconds are left.
_TRIAL, _RESULT, _MOST = 7, LOOKS[0], LOOKS[-1]


@dataclass(frozen=True)
class Timed:
    """Two models on the same inputs.

    Attributes:
        before, after: times in milliseconds, of the turn with the median gain.
        gain: median over the turns of (time before / time after) of the same turn; of an even number the
            smaller of the middle two, so that it is that of a turn.
        sure: share of the turns in which the second was faster.
        low, high: quartiles of the gains.
        turns: how many there were.
        wins: whether the second is faster by more than 5 %, as far as that is worth another look: equal
            models would look so by chance in less than 1 of 100 cases.
        verdict: that of `tconv.timing`, which is wrong in less than 1 of 250,000 cases.
    """

    before: float
    after: float
    gain: float
    sure: float
    low: float
    high: float
    turns: int
    wins: bool
    verdict: str

    @classmethod
    def of(cls, both: Paired) -> Timed:
        """What times in seconds say."""
        return cls(
            before=both.before[both.turn] * 1e3,
            after=both.after[both.turn] * 1e3,
            gain=both.ratio,
            sure=sum(ratio > 1 for ratio in both.ratios) / len(both.ratios),
            low=both.low,
            high=both.high,
            turns=len(both.ratios),
            wins=both.verdict(SCREENING) == FASTER,
            verdict=both.verdict(),
        )


def time_in_turns(
    runner: Runner, before: str, after: str, feeds: Arrays, seconds: float, *, surely: bool = False
) -> Timed:
    """Run two models of the runner in turns for `seconds`, and at least 7 turns; 18 to be told `surely`."""
    turns = _RESULT if surely else _TRIAL
    taken = runner.time([before, after], feeds, seconds=seconds, turns=turns, most=_MOST)
    return Timed.of(Paired(taken[before], taken[after]))
