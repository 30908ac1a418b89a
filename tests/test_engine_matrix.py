"""float32 in matrix registers: three bfloat16 parts, six products."""

from __future__ import annotations

import numpy as np
import pytest

from tconv import views
from tconv.geometry import Geometry
from tconv.planning import Plan, isas, phases, plan
from tconv.planning.cost import machine
from tconv.planning.plans import Problem
from tconv.testing import Arrays, assert_same
from test_engine import run

pytestmark = pytest.mark.skipif("amx" not in isas(), reason="this CPU has no matrix registers")


def in_registers(geometry: Geometry) -> Plan:
    problem = Problem.of(geometry)
    found = phases.candidates(problem, "conv_transpose", "f32", machine("amx", "f32"))
    fields = min((f for f in found if f.get("parts")), key=lambda f: f["cost"])
    return Plan(
        geometry=geometry,
        map="conv_transpose",
        dtype="f32",
        algorithm="phases",
        isa="amx",
        activation=None,
        problem=problem,
        **fields,
    )


def arrays(x: np.ndarray, weight: np.ndarray) -> Arrays:
    return Arrays(x, weight, np.zeros(1, x.dtype), np.zeros(1, x.dtype))


def test_a_single_product_stays_within_its_bound() -> None:
    """2^-23 is left out (Henry, Tang and Heinecke 2019), six roundings are 6 * 2^-24."""
    geometry = Geometry.parse("n1 c1>16 i4096 k1")
    rng = np.random.default_rng(2)
    x = (rng.standard_normal(geometry.input_shape) * 10.0 ** rng.integers(-8, 9, 4096)).astype(np.float32)
    weight = rng.standard_normal(geometry.weight_shape, np.float32)
    exact = views.scatter(x.astype(np.float64), weight.astype(np.float64), geometry)
    error = np.abs(run(in_registers(geometry), arrays(x, weight)) - exact) / np.abs(exact)
    assert 2.0**-24 < error.max() <= 2.0**-21


def test_sums_are_closer_than_those_of_vectors() -> None:
    geometry = Geometry.parse("n1 c300>24 i20x21 k4 s2 p1")
    rng = np.random.default_rng(3)
    x = rng.standard_normal(geometry.input_shape, np.float32)
    weight = rng.standard_normal(geometry.weight_shape, np.float32)
    exact = views.scatter(x.astype(np.float64), weight.astype(np.float64), geometry)
    by_vectors = plan(geometry, algorithm="phases", isa="avx512")
    ours, theirs = (
        np.sqrt(np.mean((run(made, arrays(x, weight)) - exact) ** 2))
        for made in (in_registers(geometry), by_vectors)
    )
    assert 0 < ours <= theirs


@pytest.mark.parametrize(("bits", "others"), [(24, 0), (16, 7), (8, 15)])
def test_whole_numbers_are_exact(bits: int, others: int) -> None:
    """As long as a product keeps to the 24 bits of a float32."""
    geometry = Geometry.parse("n1 c1>17 i63 k3 s2")
    rng = np.random.default_rng(4)
    x = rng.integers(-(2**bits), 2**bits, geometry.input_shape).astype(np.float32)
    weight = rng.integers(0, 2, geometry.weight_shape).astype(np.float32) * 2.0**others
    if others:
        weight -= rng.integers(0, 2, geometry.weight_shape).astype(np.float32)
    one_tap = np.zeros_like(weight)
    one_tap[..., 1] = weight[..., 1]
    expected = views.scatter(x.astype(np.float64), one_tap.astype(np.float64), geometry).astype(np.float32)
    assert_same(run(in_registers(geometry), arrays(x, one_tap)), expected)


def test_infinities_and_nan_spoil_what_they_reach_and_nothing_else() -> None:
    geometry = Geometry.parse("n1 c40>16 i9 k2 s2")
    x = np.ones(geometry.input_shape, np.float32)
    x[0, 3, 4], x[0, 7, 6] = np.inf, np.nan
    got = run(in_registers(geometry), arrays(x, np.ones(geometry.weight_shape, np.float32)))
    reached = np.isin(np.arange(18), [8, 9, 12, 13])
    assert not np.isfinite(got[..., reached]).any()
    assert_same(got[..., ~reached], np.full_like(got[..., ~reached], 40))
