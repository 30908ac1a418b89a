"""Measures what work costs on this machine, within a number of seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import exp, log

import numpy as np

from tconv import _core
from tconv.geometry import Geometry
from tconv.ops.measuring import arrays_of, caller, quick
from tconv.planning import MapName, Plan
from tconv.planning.cost import Machine, machine
from tconv.planning.kinds import default_record
from tconv.planning.problem import MAPS
from tconv.planning.records import Record
from tconv.tune.fitting import error, fit
from tconv.tune.samples import CHECKED, FITTED, Sample, cheapest, parsed, plan_of, samples

__all__ = ["SECONDS", "Costs", "measured", "one_thread"]

SECONDS = 25.0  #: of `measured` in all, if it is given no others

#: The shares of the seconds to time plans, and to check the result; the rest remains for the fit.
_TIMING, _CHECKING = 0.55, 0.25

#: Seconds of the runs of one plan, and from which gain on a record is kept.
_EACH, _GAIN = 0.015, 1.01

#: Turns to compare two plans, at most, and the seconds of each half.
_TURNS, _TURN = 9, 0.005


@dataclass(frozen=True, slots=True)
class Costs:
    """A measured record, and whether its plans are faster than those of the default."""

    record: Record | None  #: None: the default is as good
    plans: int  #: how many were timed
    before: float  #: the factor by which the default's estimates are off
    after: float  #: ... and those of the fitted record
    changed: int  #: for how many of the checked problems and maps it chooses another plan
    checked: int
    gain: float  #: how many times as fast its plans are for all of these, as a geometric mean


def measured(isa: str, seconds: float = SECONDS, step: Callable[[str], None] = lambda name: None) -> Costs:
    """Measure on one thread; `step` is called with the name of each part."""
    begin = time.perf_counter()
    facts = machine(isa, "f32")._replace(record=default_record(isa))
    with one_thread():
        step("timing plans")
        chosen, times = _timed(facts, begin + _TIMING * seconds)
        step("fitting costs to times")
        fitted = facts._replace(record=fit(facts, chosen, np.array(times)))
        step("checking the plans")
        gains = _gains(facts, fitted, max(_CHECKING * seconds, begin + seconds - time.perf_counter()))
    gain = exp(sum(map(log, gains)) / len(gains))
    return Costs(
        record=fitted.record if gain >= _GAIN else None,
        plans=len(chosen),
        before=error(facts, chosen, np.array(times)),
        after=error(fitted, chosen, np.array(times)),
        changed=sum(gain != 1.0 for gain in gains),
        checked=len(gains),
        gain=gain,
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Run on one thread, so that others of the machine matter less."""
    threads = _core.get_num_threads()
    _core.set_num_threads(1)
    try:
        yield
    finally:
        _core.set_num_threads(threads)


def _timed(facts: Machine, end: float) -> tuple[list[Sample], list[float]]:
    """Plans and their seconds, problem by problem until `end`; first for the map that calls mostly need."""
    problems: list[tuple[Geometry, MapName]] = [
        (geometry, map) for map in MAPS for geometry in parsed(FITTED)
    ]
    known: dict[Sample, float] = {}
    for geometry, map in problems:
        if known and time.perf_counter() > end:
            break
        for sample in samples(facts, geometry, map):
            made = plan_of(facts, sample)
            if made is not None:
                known[sample] = quick(caller(made, arrays_of(made), prepared=True), _EACH)
    return list(known), list(known.values())


def _gains(facts: Machine, fitted: Machine, seconds: float) -> list[float]:
    """How many times as fast the fitted record's plan is, for each problem and map; 1 if it is the same."""
    pairs = [
        tuple(_chosen(which, geometry, map) for which in (facts, fitted))
        for geometry in parsed(CHECKED)
        for map in MAPS
    ]
    other = [(one, two) for one, two in pairs if one and two and one.name != two.name]
    end = time.perf_counter() + seconds
    gains = [1.0] * (len(pairs) - len(other))
    for n, (one, two) in enumerate(other):
        gains.append(_gain(one, two, (end - time.perf_counter()) / (len(other) - n)))
    return gains


def _chosen(facts: Machine, geometry: Geometry, map: MapName) -> Plan | None:
    sample = cheapest(facts, geometry, map)
    return plan_of(facts, sample) if sample else None


def _gain(one: Plan, two: Plan, seconds: float) -> float:
    """How many times as fast the second is: the median of the ratios of turns."""
    arrays = arrays_of(one)
    first, second = (caller(made, arrays, prepared=True) for made in (one, two))
    quick(first, 0.0), quick(second, 0.0)
    ratios: list[float] = []
    end = time.perf_counter() + seconds
    while len(ratios) < 3 or (time.perf_counter() < end and len(ratios) < _TURNS):
        ratios.append(quick(first, _TURN) / quick(second, _TURN))
    return sorted(ratios)[len(ratios) // 2]
