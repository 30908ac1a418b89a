"""Times of several rivals that take turns, so that other load on the machine affects all of them equally."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

__all__ = ["in_turns"]

Key = TypeVar("Key", bound=Hashable)

WARM_UP = 2


def in_turns(rivals: Mapping[Key, Callable[[int], object]], rounds: int) -> dict[Key, float]:
    """Median seconds of each rival, called with the number of the round, after two that do not count."""
    seconds: dict[Key, list[float]] = {key: [] for key in rivals}
    for number in range(WARM_UP + rounds):
        for key, act in rivals.items():
            begun = time.perf_counter()
            act(number)
            if number >= WARM_UP:
                seconds[key].append(time.perf_counter() - begun)
    return {key: statistics.median(times) for key, times in seconds.items()}
