"""What `tconv tune` measures of costs; the times are made up."""

from __future__ import annotations

import numpy as np
import pytest

import tconv
from tconv import planning
from tconv.planning.cost import Machine, machine
from tconv.planning.kinds import caches_of, default_record
from tconv.planning.problem import MAPS
from tconv.planning.records import Caches, Record
from tconv.planning.tuning_file import FAR, leaves, moved, value_of
from tconv.tune import costs
from tconv.tune.fitting import error, estimates, fit
from tconv.tune.samples import CHECKED, FITTED, Sample, cheapest, groups, parsed, plan_of, samples

FACTS = machine(planning.isas()[-1], "f32")._replace(record=Record())
PROBLEMS = [g for g in parsed(FITTED) if g.macs < 60_000_000][:5]


def drawn(facts: Machine) -> list[Sample]:
    return [one for g in PROBLEMS for map in MAPS for one in samples(facts, g, map)]


def other(record: Record) -> Record:
    """A machine that loads half as many vectors in a cycle."""
    path = ("ports", "load")
    hidden: Record = moved(record, path, value_of(record, path) / 2)
    return hidden


def test_made_up_times_lead_back_to_the_costs_behind_them() -> None:
    """In whatever unit, and the plans that are then chosen are those of the hidden record."""
    chosen, hidden = drawn(FACTS), FACTS._replace(record=other(FACTS.record))
    times = 3e-10 * np.exp(estimates(hidden, chosen))
    fitted = FACTS._replace(record=fit(FACTS, chosen, times))
    before, after = error(FACTS, chosen, times), error(fitted, chosen, times)
    assert before > 1.05
    assert after < 1 + (before - 1) / 3
    assert fitted.record.caches == FACTS.record.caches


def test_costs_stay_within_what_the_file_accepts() -> None:
    """Times without sense move no number too far."""
    chosen = drawn(FACTS)
    times = np.exp(np.random.default_rng(0).normal(size=len(chosen)) * 20)
    record = fit(FACTS, chosen, times)
    for path in leaves(record):
        assert 1 / FAR < value_of(record, path) / value_of(FACTS.record, path) < FAR


def test_samples_are_different_plans_the_cheapest_first() -> None:
    for g in PROBLEMS:
        for map in MAPS:
            found = list(samples(FACTS, g, map))
            assert found[0] == cheapest(FACTS, g, map)
            assert len(set(found)) == len(found)
            plans = [plan_of(FACTS, one) for one in found]
            costs = [made.cost for made in plans if made]
            assert costs == sorted(costs)
            assert costs[0] == planning.plan(g, map, isa=FACTS.isa).cost
    assert groups(drawn(FACTS))[-1] == len(PROBLEMS) * len(MAPS) - 1
    assert not set(parsed(FITTED)) & set(parsed(CHECKED))


@pytest.mark.parametrize("gain", [1.2, 0.9])
def test_costs_are_kept_only_if_their_plans_are_faster(monkeypatch: pytest.MonkeyPatch, gain: float) -> None:
    """Of the plans that change; those that do not count as equal."""
    fitted = moved(default_record(FACTS.isa), ("phases", "call"), 500.0)
    monkeypatch.setattr(costs, "fit", lambda facts, chosen, times: fitted)
    monkeypatch.setattr(costs, "caller", lambda made, arrays, prepared: made)
    monkeypatch.setattr(costs, "quick", lambda made, seconds=0.0: made.cost)
    monkeypatch.setattr(costs, "arrays_of", lambda made: ())
    monkeypatch.setattr(costs, "_gain", lambda one, two, seconds: gain)
    parts: list[str] = []
    threads = tconv.get_num_threads()
    found = costs.measured(FACTS.isa, 1.0, parts.append)
    assert tconv.get_num_threads() == threads
    assert found.plans > 0
    assert 0 < found.changed < found.checked
    assert found.gain == pytest.approx(gain ** (found.changed / found.checked))
    assert found.record == (fitted if gain > 1 else None)
    assert len(parts) == 3


def test_sizes_follow_small_caches_only() -> None:
    usual = Caches()
    assert caches_of(usual, 0, 0) == caches_of(usual, 1 << 20, 32 << 20) == usual
    assert caches_of(usual, 2 << 20, 105 << 20) == usual
    half = caches_of(usual, 1 << 19, 8 << 20)
    assert half.panels == tuple(panel // 2 for panel in usual.panels)
    assert (half.near, half.far) == (usual.near // 2, 4 << 20)
    assert (half.ahead, half.kernels) == (usual.ahead, usual.kernels)
