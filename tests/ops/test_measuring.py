"""Plans chosen by the clock."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import tconv
from tconv import TconvError, planning, views
from tconv.geometry import Geometry
from tconv.planning import Plan
from tconv.planning.problem import MAPS
from tconv.testing import assert_same, integer_arrays


def test_the_chosen_plan_is_remembered() -> None:
    geometry = Geometry.parse("n1 c11>13 i10x12 k4 s2 p1")
    usual = planning.plan(geometry)
    timed: list[Plan] = []

    def slowest_estimate(plans: Sequence[Plan]) -> Plan:
        timed.extend(plans)
        return max(plans, key=lambda made: made.cost)

    found = planning.measured(slowest_estimate, geometry)
    assert timed[0].name == usual.name
    assert "by the clock (measure=True)" in repr(found)
    assert "by the clock" not in repr(usual)
    assert found.cost == max(made.cost for made in timed) > usual.cost
    assert min(made.cost for made in timed) == usual.cost
    assert {made.algorithm for made in timed} >= {"phases"}
    assert planning.plan(geometry) is found
    assert planning.plan(geometry, algorithm="phases", isa="baseline") is not found


@pytest.mark.parametrize("map", MAPS)
@pytest.mark.parametrize("dtype", ["f32", "f64", "i32"])
def test_a_measured_plan_runs(map: planning.MapName, dtype: str) -> None:
    geometry = Geometry.parse("n2 c5>6 i7x6 k3 s2 p1")
    chosen = tconv.plan(geometry, map, dtype=dtype, measure=True)
    assert (chosen.map, chosen.dtype) == (map, dtype)
    assert tconv.plan(geometry, map, dtype=dtype) is chosen


def test_calls_use_what_was_measured() -> None:
    geometry = Geometry.parse("n1 c9>7 i11x9 k4 s2 p1")
    a = integer_arrays(geometry)
    options = {"stride": 2, "padding": 1}
    assert_same(tconv.conv_transpose(a.x, a.weight, **options), views.scatter(a.x, a.weight, geometry))
    chosen = tconv.plan(geometry, measure=True)
    layer = tconv.prepare(a.weight, **options)
    assert layer.plan_for(a.x.shape) is chosen
    assert_same(layer(a.x), views.scatter(a.x, a.weight, geometry))


def test_an_empty_batch_is_not_timed() -> None:
    assert tconv.plan(Geometry.parse("n0 c2>2 i3 k2"), measure=True).geometry.batch == 0


def test_unknown_words_are_named() -> None:
    with pytest.raises(TconvError, match="'fft'"):
        tconv.plan(Geometry.parse("c1>1 i4 k2"), algorithm="fft", measure=True)
    assert np.isfinite(tconv.plan(Geometry.parse("c1>1 i4 k2")).cost)
