"""`algorithm="auto"` chooses no algorithm that spreads the error of a large number over its neighbours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

import tconv
from tconv import TconvError, planning, views
from tconv.geometry import Geometry
from tconv.ops.call_cache import planned_call
from tconv.planning import Plan, automatic, isas, plan

#: By Winograd's algorithm, outputs of about 13 that the large number does not reach are wrong by 5.8.
PROBLEM = Geometry.parse("n1 c64>2 i9x11 k3 s2 p1")

#: Of a sum; a complex one has the roundings of two real ones.
ROUNDOFF = {"float32": 2**-24, "float64": 2**-53, "complex64": 2**-22, "complex128": 2**-51}


@pytest.fixture
def winograd(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As with TCONV_WINOGRAD=1."""
    caches = (planning._plan, planned_call)
    monkeypatch.setattr(planning.choice, "winograd_allowed", lambda: True)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def arrays(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = np.ones(PROBLEM.input_shape, dtype)
    x[0, :, 0, 0] = 1e6
    weight = rng.standard_normal(PROBLEM.weight_shape)
    if dtype.startswith("complex"):
        weight = weight + 1j * rng.standard_normal(weight.shape)
    return x, weight.astype(dtype)


def worst(got: np.ndarray, x: np.ndarray, weight: np.ndarray) -> float:
    """The largest error of an output relative to the sizes of its own terms."""
    wide = np.clongdouble if np.iscomplexobj(x) else np.longdouble
    exact = views.scatter(x.astype(wide), weight.astype(wide), PROBLEM)
    terms = views.scatter(abs(x.astype(wide)), abs(weight.astype(wide)), PROBLEM)
    return float((abs(got - exact) / terms).max())


@pytest.mark.parametrize("dtype", ROUNDOFF)
def test_a_large_number_does_not_spoil_outputs_that_it_does_not_reach(dtype: str) -> None:
    x, weight = arrays(dtype)
    terms = 64 * 4
    error = worst(tconv.conv_transpose(x, weight, stride=2, padding=1), x, weight)
    assert 0 < error < terms * ROUNDOFF[dtype]
    spread = worst(tconv.conv_transpose(x, weight, stride=2, padding=1, algorithm="winograd"), x, weight)
    assert spread > 100 * error


@pytest.mark.parametrize("dtype", planning.problem.DTYPES)
def test_no_instruction_set_chooses_winograd_by_itself(dtype: str) -> None:
    """These layers are the ones where it is fastest."""
    assert "winograd" not in automatic(dtype)
    for text in ("n1 c256>64 i64x64 k4 s2 p1", "n1 c512>256 i12x12 k4 s2 p1", "n1 c256>128 i800 k16 s8 p4"):
        for isa in isas():
            assert plan(Geometry.parse(text), dtype=dtype, isa=isa).algorithm != "winograd"


def test_measuring_does_not_try_it_either() -> None:
    timed: list[Plan] = []

    def choose(plans: Sequence[Plan]) -> Plan:
        timed.extend(plans)
        return plans[0]

    planning.measured(choose, Geometry.parse("n1 c12>13 i10x12 k4 s2 p1"))
    assert {made.algorithm for made in timed} >= {"phases"}
    assert "winograd" not in {made.algorithm for made in timed}


@pytest.mark.usefixtures("winograd")
def test_where_it_is_allowed_float64_stays_exact() -> None:
    g = Geometry.parse("n1 c512>256 i12x12 k4 s2 p1")
    for dtype in ("f32", "f16", "bf16", "c64"):
        assert "winograd" in automatic(dtype)
    assert plan(g, isa="baseline").algorithm == "winograd"
    for dtype in ("f64", "c128"):
        assert "winograd" not in automatic(dtype)
        assert plan(g, dtype=dtype, isa="baseline").algorithm != "winograd"


@pytest.mark.usefixtures("winograd")
def test_where_weights_are_packed_at_every_call_it_has_to_pay_for_its_larger_ones() -> None:
    g = Geometry.parse("n1 c512>256 i12x12 k4 s2 p1")
    once, always = (plan(g, isa="baseline", prepared=prepared) for prepared in (True, False))
    assert once.algorithm == "winograd" != always.algorithm


def test_the_environment_allows_it() -> None:
    program = (
        "import json; from tconv import Geometry, planning;"
        "g = Geometry.parse('n1 c512>256 i12x12 k4 s2 p1');"
        "print(json.dumps([planning.plan(g, isa='baseline', dtype=d).algorithm for d in ('f32', 'f64')]))"
    )

    def run(value: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "TCONV_WINOGRAD": value}
        command = [sys.executable, "-c", program]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    first, second = json.loads(run("1").stdout)
    assert first == "winograd" != second
    for value in ("0", ""):
        assert "winograd" not in json.loads(run(value).stdout)
    refused = run("yes")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        "tconv.errors.TconvError: TCONV_WINOGRAD='yes' is unknown; 0 or 1 would fit"
    )


def test_winograd_is_available_on_request() -> None:
    assert plan(PROBLEM, algorithm="winograd").algorithm == "winograd"
    with pytest.raises(TconvError, match="does not apply"):
        plan(Geometry.parse("c4>4 i8 k2 s2"), algorithm="winograd")
