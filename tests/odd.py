"""Values of every kind, to be given in place of any argument: an answer is due, or one line."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tconv import TconvError

__all__ = ["MODEST", "ODD", "refusals"]

FAR = 10**400
ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 1.5, float("nan"), float("inf"), FAR, -FAR, 2**31, 2**63, "", "x",
    "\0", "same", "1,2", b"x", [], {}, set(), (), [None], [[]], [1, [2]], (1, 2, 3, 4, 5), ("clamp", FAR, 0),
    ("clamp", 0, 1), ("clamp", float("nan"), 0), ("leaky_relu", FAR), ["relu", []], object(), int, len,
    range(3), Ellipsis, 1j, np.array("a"), np.array([None]), np.zeros(0), np.array(3), np.ones((1,) * 7),
    np.full((2, 2, 4, 4), np.nan), np.float16(2), np.zeros((2, 2, 4, 4), ">f4"), {"a": 1}, {"": (1,)},
    2**31 - 1, 2**30, "\udce9", "x" * 5000, (2**31 - 1, 2**31 - 1), np.array([2**62]), {"a": None}, {1: 2},
)  # fmt: skip


#: Without sizes that would fit along one axis, and take all memory.
MODEST = tuple(value for value in ODD if not (type(value) is int and 2**20 < value < 2**31))


def refusals(
    call: Callable[..., Any], given: dict[str, Any], odd: tuple[Any, ...] = ODD
) -> tuple[int, list[str]]:
    """How many odd values `call` refused in one line, and what it did otherwise than answer or refuse."""
    call(**given)
    refused, faults = 0, []
    for argument in given:
        for value in odd:
            signal.alarm(60)  # ends the tests where a call would not
            try:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    call(**{**given, argument: value})
            except TconvError as fault:
                refused += 1
                if "\n" in str(fault) or len(str(fault)) >= 1000:
                    faults.append(f"{argument}={value!r:.60}: {fault}")
            except Exception as fault:
                faults.append(f"{argument}={value!r:.60}: {type(fault).__name__}: {fault}")
            finally:
                signal.alarm(0)
    return refused, faults
