"""The fastest plan of each problem, by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tconv import planning
from tconv._core import get_num_threads
from tconv.ops.measuring import fastest
from tconv.planning import Plan, tuned_key
from tconv.planning.tuning_file import Key
from tconv.tune.problems import Wanted

__all__ = ["SECONDS", "Won", "winners"]

SECONDS = 4.0  #: of each problem, if the user gives no others

#: A problem is timed if so many runs fit into its seconds, at so many cycles per second.
_RUNS, _RATE = 6, 4e9


class Won(NamedTuple):
    """The fastest plan for one problem."""

    wanted: Wanted
    prepared: bool  #: whether weights were packed beforehand, or in every run
    plan: Plan
    tried: int
    ratio: float  #: how many times as fast it was as the estimate's choice; 1 where that stays

    @property
    def key(self) -> Key:
        """Under which the file keeps it."""
        return tuned_key(self.plan, self.prepared)


def winners(
    problems: Sequence[Wanted], seconds: float, step: Callable[[str], None]
) -> tuple[list[Won], list[str]]:
    """The fastest plans, for weights that are packed once and for others, on the current number of threads.

    Each problem gets an even part of the seconds that are left. Notes say which are too large for that.
    """
    end, found, notes = time.perf_counter() + seconds, list[Won](), list[str]()
    for n, one in enumerate(problems):
        step(str(one.geometry))
        for prepared in (True, False):
            left = (end - time.perf_counter()) / (2 * (len(problems) - n) - (not prepared))
            plans = planning.promising(one.geometry, dtype=one.dtype, prepared=prepared)
            if _RUNS * plans[0].cost > left * _RATE * get_num_threads():
                notes.append(f"{one.geometry}: too large to be timed in {max(left, 0.0):.1f} seconds")
                break
            plan, ratio = fastest(plans, left, prepared)
            found.append(Won(one, prepared, plan, len(plans), ratio))
    return found, notes
