"""Times in turns, and whether one side is faster, slower, or the machine too noisy to tell.

Sides run in turns, so that a load on the machine meets both, and times of the same turn are compared. Nothing
is concluded from a median alone: were both sides equal, whatever the load, a turn would favour either with
equal chance. A verdict needs turns that agree as they would by chance less than once in 250,000 times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle, permutations
from math import comb
from typing import Any, TypeAlias

__all__ = [
    "CHANCE",
    "EVEN",
    "FASTER",
    "LOOKS",
    "MARGIN",
    "NOISY",
    "SCREENING",
    "SLOWER",
    "Paired",
    "Side",
    "in_turns",
]

FASTER, SLOWER, EVEN, NOISY = "faster", "slower", "as fast", "too noisy to tell"

#: The factor between times from which a side is called faster or slower.
MARGIN = 1.05

#: From this ratio of their quartiles on, ratios are called scattered.
_WIDE = 1.25

#: How likely a verdict may be by chance, and its weaker form, for a choice that is timed again.
CHANCE, SCREENING = 1 / 250_000, 1 / 100

#: Numbers of turns after which `in_turns` looks whether there is a verdict. The first is the least that can
#: give one. With few looks, chance has few occasions.
LOOKS = (18, 25, 40, 80)

#: In a turn, calls are repeated for the first of these seconds by the fastest side, but at most for the
#: second by the slowest. Calls shorter than the second are also made once before, untimed.
_TURN, _SHORT = 0.01, 0.1

#: A setup function, and the call that is timed.
Side: TypeAlias = tuple[Callable[[], Any], Callable[[], Any]]


@dataclass(frozen=True, slots=True)
class Paired:
    """Times of two sides, in seconds or any other unit: entry t of both is from turn t.

    >>> both = Paired([2.0, 2.2, 8.0, 2.1, 2.1] * 4, [1.0] * 20)
    >>> both.ratio, both.low, both.high, both.verdict()
    (2.1, 2.1, 2.2, 'faster')
    """

    before: Sequence[float]
    after: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        """(time before / time after) of each turn."""
        return [b / max(a, 1e-12) for b, a in zip(self.before, self.after, strict=True)]

    @property
    def turn(self) -> int:
        """The turn of the median ratio; of an even number the smaller of the middle two."""
        ratios = self.ratios
        return sorted(range(len(ratios)), key=ratios.__getitem__)[(len(ratios) - 1) // 2]

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return self.ratios[self.turn]

    @property
    def low(self) -> float:
        """The lower quartile of the ratios."""
        return sorted(self.ratios)[(len(self.before) - 1) // 4]

    @property
    def high(self) -> float:
        """The upper quartile of the ratios."""
        return sorted(self.ratios)[-1 - (len(self.before) - 1) // 4]

    @property
    def scattered(self) -> bool:
        """Whether half of the ratios differ by more than a quarter."""
        return self.high > _WIDE * self.low

    def __str__(self) -> str:
        """The ratio with its spread."""
        return (
            f"{self.ratio:.2f} times as fast ({self.low:.2f} to {self.high:.2f} in half of "
            f"{len(self.before)} turns)"
        )

    def verdict(self, chance: float = CHANCE) -> str:
        """`FASTER` or `SLOWER`: what the second side is; `EVEN` within 5 %; or `NOISY`.

        The median says which, and the turns that contradict it must be so few that equal sides would give
        them with a probability of at most `chance`.
        """
        ratios = self.ratios
        most = _contradicting(len(ratios), chance)
        if most < 0:
            return NOISY
        if self.ratio > MARGIN:
            return FASTER if sum(r <= 1 for r in ratios) <= most else NOISY
        if self.ratio < 1 / MARGIN:
            return SLOWER if sum(r >= 1 for r in ratios) <= most else NOISY
        return EVEN if sum(not MARGIN**-2 < r < MARGIN**2 for r in ratios) <= most else NOISY


@cache
def _contradicting(turns: int, chance: float) -> int:
    """The largest number of heads of `turns` coins so few that it has at most this chance; -1 for none.

    >>> [_contradicting(turns, CHANCE) for turns in (17, *LOOKS)]
    [-1, 0, 1, 5, 19]
    """
    most, total = -1, 0
    while most < turns and (total := total + comb(turns, most + 1)) <= chance * 2**turns:
        most += 1
    return most


def in_turns(
    sides: Sequence[Side],
    seconds: float,
    *,
    expected: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """The seconds of a call of each side, turn by turn, in every order of the sides.

    This ends when there is a verdict on every two sides, or after the last of `LOOKS`, or when `seconds` are
    over. If these do not suffice for the fewest turns, the lists are empty: after one call of a side, or, if
    a call is `expected` to take too long, before any.
    """
    end = clock() + seconds
    times: list[list[float]] = [[] for _ in sides]
    if expected * LOOKS[0] * len(sides) > seconds or seconds <= 0:
        return times
    once: list[float] = []
    for prepare, call in sides:
        prepare()
        taken = _each(call, 1, clock)
        if taken < _SHORT:
            taken = _each(call, 1, clock)  # the first call also packs weights
        if taken * LOOKS[0] * (len(sides) - len(once)) > end - clock():
            return times
        once.append(taken)
    # As many calls for each side: what a load adds to a turn depends on how long it is.
    spare = (end - clock()) / (LOOKS[0] * max(sum(once), 1e-7))
    calls = max(1, int(min(_TURN / max(min(once), 1e-7), _SHORT / max(max(once), 1e-7), spare)))
    orders = cycle(permutations(range(len(sides))))
    for turn in range(LOOKS[-1]):
        for side in next(orders):
            prepare, call = sides[side]
            prepare()
            if max(once) < _SHORT:
                call()  # packs weights and allocates memory
            times[side].append(_each(call, calls, clock))
        if clock() >= end or (turn + 1 in LOOKS and _settled(times)):
            break
    return times


def _settled(times: Sequence[Sequence[float]]) -> bool:
    """Whether there is a verdict on every two sides."""
    pairs = ((one, two) for i, one in enumerate(times) for two in times[:i])
    return all(Paired(one, two).verdict() != NOISY for one, two in pairs)


def _each(call: Callable[[], Any], count: int, clock: Callable[[], float]) -> float:
    began = clock()
    for _ in range(count):
        call()
    return (clock() - began) / count
