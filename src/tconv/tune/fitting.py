"""Fits the numbers of a cost record to times.

It is a ridge regression of logarithms, which keeps each number near its start unless a move pays; the
formulas are differentiated numerically. What matters is which of the plans for a problem is fastest. So it
compares times mostly with those of other plans for the same problem.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tconv.geometry import Geometry
from tconv.planning import Candidate, MapName
from tconv.planning.cost import Machine
from tconv.planning.records import Record
from tconv.planning.tuning_file import FAR, leaves, moved, value_of
from tconv.tune.samples import Sample, groups, weighed

__all__ = ["error", "estimates", "fit"]

RIDGE = 0.03  #: penalty of moving a number by a factor e, in squared logarithms of the mean plan's error
_WITHIN = 0.9  #: the share of a problem's mean error that does not count
_STEP, _MOST = 0.02, 0.5  #: to differentiate, and of a round, in logarithms
_ROUNDS = 3


def estimates(facts: Machine, chosen: Sequence[Sample]) -> np.ndarray:
    """Logarithms of the cycles of each sample by the record of `facts`."""
    known: dict[tuple[Geometry, MapName, str], list[Candidate]] = {}
    made = []
    for sample in chosen:
        of = sample[:3]
        if of not in known:
            known[of] = weighed(facts, *of)
        made.append(known[of][sample.candidate].cost)
    return np.log(made)


def _compared(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Values without most of the mean of their group, and without the unit."""
    values = values - values.mean(axis=0)
    sizes = np.bincount(group)
    sums = np.zeros((len(sizes), *values.shape[1:]))
    np.add.at(sums, group, values)
    means = sums / sizes.reshape(-1, *[1] * (values.ndim - 1))
    weight = np.sqrt(1.0 / sizes[group]).reshape(-1, *[1] * (values.ndim - 1))  # a problem counts once
    found: np.ndarray = (values - _WITHIN * means[group]) * weight
    return found


def fit(facts: Machine, chosen: Sequence[Sample], times: np.ndarray) -> Record:
    """The record whose estimates agree best with `times`, which may be in any unit."""
    record, start, group = facts.record, facts.record, np.array(groups(chosen))
    paths = [path for path in leaves(record) if facts.matrices or path[0] not in ("matrix", "correlate")]
    matters: dict[tuple[str, ...], np.ndarray] = {}  #: which samples' estimates a number changes
    for _ in range(_ROUNDS):
        usual, slopes = estimates(facts._replace(record=record), chosen), []
        for path in list(paths):
            which = matters.get(path, np.arange(len(chosen)))
            more = facts._replace(record=moved(record, path, value_of(record, path) * float(np.exp(_STEP))))
            slope = np.zeros(len(chosen))
            slope[which] = (estimates(more, [chosen[i] for i in which]) - usual[which]) / _STEP
            matters.setdefault(path, np.flatnonzero(np.isin(group, group[slope != 0])))
            if slope.any():
                slopes.append(slope)
            else:
                paths.remove(path)  # of an algorithm that no sample has
        slope, missed = _compared(np.array(slopes).T, group), _compared(np.log(times) - usual, group)
        far = np.array([np.log(value_of(record, path) / value_of(start, path)) for path in paths])
        ridge = RIDGE * len(np.unique(group)) / len(paths) * np.eye(len(paths))
        step = np.linalg.solve(slope.T @ slope + ridge, slope.T @ missed - ridge @ far)
        for path, by in zip(paths, np.clip(step, -_MOST, _MOST), strict=True):
            usual_value, value = value_of(start, path), value_of(record, path) * float(np.exp(by))
            record = moved(record, path, min(max(value, 2 * usual_value / FAR), usual_value * FAR / 2))
    return record


def error(facts: Machine, chosen: Sequence[Sample], times: np.ndarray) -> float:
    """The factor by which estimates are off, compared with other plans for the same problem."""
    group = np.array(groups(chosen))
    missed = _compared(np.log(times) - estimates(facts, chosen), group)
    return float(np.exp(np.sqrt((missed**2).sum() / (group.max() + 1))))
