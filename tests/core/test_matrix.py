"""float32 in matrix registers: three bfloat16 parts, six products."""

from __future__ import annotations

import numpy as np
import pytest

from tconv import views
from tconv.geometry import Geometry
from tconv.planning import MapName, Plan, isas, plan
from tconv.testing import Arrays, assert_same
from tests.core.helpers import candidates, made, parts, run

pytestmark = pytest.mark.skipif("amx" not in isas(), reason="this CPU has no matrix registers")


def in_registers(geometry: Geometry, map: MapName = "conv_transpose") -> Plan:
    found = (candidate for candidate in candidates(geometry, map, "amx") if parts(candidate))
    return made(geometry, map, "amx", min(found, key=lambda candidate: candidate.cost))


def arrays(x: np.ndarray, weight: np.ndarray) -> Arrays:
    return Arrays(x, weight, np.zeros(1, x.dtype), np.zeros(1, x.dtype))


def test_a_single_product_stays_within_its_bound() -> None:
    """2^-23 is omitted (Henry, Tang and Heinecke 2019), six roundings are 6 * 2^-24."""
    geometry = Geometry.parse("n1 c1>16 i4096 k1")
    rng = np.random.default_rng(2)
    x = (rng.standard_normal(geometry.input_shape) * 10.0 ** rng.integers(-8, 9, 4096)).astype(np.float32)
    weight = rng.standard_normal(geometry.weight_shape, np.float32)
    exact = views.scatter(x.astype(np.float64), weight.astype(np.float64), geometry)
    error = np.abs(run(in_registers(geometry), arrays(x, weight)) - exact) / np.abs(exact)
    assert 2.0**-24 < error.max() <= 2.0**-21


@pytest.mark.parametrize("exponent", [-90, -104, -108, -112, -116, -120, -124, -126, -130, -140])
def test_small_numbers_keep_their_lower_parts_unless_weights_are_small_too(exponent: int) -> None:
    """A part below 2^-126 counts as zero, which cannot matter where weights are below 2^24."""
    geometry = Geometry.parse("n1 c1>16 i4096 k1")
    rng = np.random.default_rng(5)
    x = (rng.uniform(1, 2, geometry.input_shape) * 2.0**exponent).astype(np.float32)
    for power in (23, 24, 60):
        weight = (rng.uniform(1, 2, geometry.weight_shape) * 2.0**power).astype(np.float32)
        exact = views.scatter(x.astype(np.float64), weight.astype(np.float64), geometry)
        error = np.abs(run(in_registers(geometry), arrays(x, weight)) - exact)
        within = (error <= 2.0**-21 * np.abs(exact)).all()
        assert within == (power >= 24 or exponent >= -104)
        assert (error <= 2.0**-21 * np.abs(exact) + 2.0**-101).all()


def test_small_weights_keep_their_lower_parts() -> None:
    geometry = Geometry.parse("n1 c3>40 i50 k1")
    rng = np.random.default_rng(6)
    x = (rng.uniform(1, 2, geometry.input_shape) * 2.0**90).astype(np.float32)
    weight = rng.uniform(1, 2, geometry.weight_shape)
    weight = (weight * 2.0 ** -rng.integers(90, 145, geometry.weight_shape)).astype(np.float32)
    exact = views.scatter(x.astype(np.float64), weight.astype(np.float64), geometry)
    assert (np.abs(run(in_registers(geometry), arrays(x, weight)) - exact) <= 2.0**-21 * exact).all()


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
    """As long as a product fits into the 24 bits of a float32."""
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


def test_infinities_and_nan_reach_what_they_reach_in_the_definition() -> None:
    geometry = Geometry.parse("n1 c40>16 i9 k2 s2")
    x = np.ones(geometry.input_shape, np.float32)
    x[0, 3, 4], x[0, 7, 6], x[0, 39, 8] = np.inf, np.nan, -np.inf
    got = run(in_registers(geometry), arrays(x, np.ones(geometry.weight_shape, np.float32)))
    expected = np.full_like(got, 40)
    expected[..., 8:10], expected[..., 12:14], expected[..., 16:18] = np.inf, np.nan, -np.inf
    assert_same(got, expected)


def test_numbers_above_the_largest_of_bfloat16() -> None:
    """They would round to infinity."""
    geometry = Geometry.parse("n1 c2>16 i9 k2 s2")
    most = np.finfo(np.float32).max
    x = np.full(geometry.input_shape, most)
    weight = np.full(geometry.weight_shape, 0.25, np.float32)
    weight[1] = -0.5
    assert_same(run(in_registers(geometry), arrays(x, weight)), np.full(geometry.output_shape, -most / 4))
    assert_same(
        run(in_registers(geometry), arrays(weight[:1, 0, :1] + np.zeros_like(x), weight * 0 + most)),
        np.full(geometry.output_shape, most / 2),
    )


def pair(x: np.ndarray, y: np.ndarray) -> Arrays:
    return Arrays(x, np.zeros(1, x.dtype), np.zeros(1, x.dtype), y)


def test_a_single_product_of_a_weight_gradient_stays_within_its_bound() -> None:
    geometry = Geometry.parse("n1 c64>64 i1 k1")
    rng = np.random.default_rng(5)
    x, y = (
        (rng.standard_normal((1, 64, 1)) * 10.0 ** rng.integers(-8, 9, (1, 64, 1))).astype(np.float32)
        for _ in range(2)
    )
    exact = views.correlate(x.astype(np.float64), y.astype(np.float64), geometry)
    error = np.abs(run(in_registers(geometry, "weight_gradient"), pair(x, y)) - exact) / np.abs(exact)
    assert 2.0**-24 < error.max() <= 2.0**-21


@pytest.mark.parametrize(
    "text", ["n1 c24>20 i40x41 k4 s2 p1", "n5 c40>24 i12x13 k3 s2", "n2 c17>3 i900 k9 s3"]
)
def test_sums_of_a_weight_gradient_are_closer_than_those_of_vectors(text: str) -> None:
    """Each error is compared with the sizes of the terms that were added."""
    geometry = Geometry.parse(text)
    rng = np.random.default_rng(6)
    x, y = (rng.standard_normal(shape, np.float32) for shape in (geometry.input_shape, geometry.output_shape))
    exact = views.correlate(x.astype(np.float64), y.astype(np.float64), geometry)
    sizes = views.correlate(np.abs(x.astype(np.float64)), np.abs(y.astype(np.float64)), geometry)
    by_vectors = plan(geometry, "weight_gradient", algorithm="phases", isa="avx512")
    ours, theirs = (
        (run(made, pair(x, y)) - exact) / sizes
        for made in (in_registers(geometry, "weight_gradient"), by_vectors)
    )
    assert 0 < np.sqrt(np.mean(ours**2)) <= np.sqrt(np.mean(theirs**2))
    assert np.abs(ours).max() <= 2.0**-21


@pytest.mark.parametrize(("bits", "others"), [(24, 0), (16, 7), (8, 15)])
@pytest.mark.parametrize("text", ["n1 c17>19 i40 k3 s2", "n3 c20>5 i11 k7 s3"])
def test_whole_numbers_of_a_weight_gradient_are_exact(text: str, bits: int, others: int) -> None:
    """As long as it fits into the 24 bits of a float32; a channel of x has one number, a sum one term."""
    geometry = Geometry.parse(text)
    rng = np.random.default_rng(8)
    x = np.zeros(geometry.input_shape, np.float32)
    for c in range(geometry.in_channels):
        place = rng.integers(geometry.batch), c, rng.integers(geometry.input[0])
        x[place] = rng.integers(-(2**bits), 2**bits)
    y = rng.integers(0, 2, geometry.output_shape).astype(np.float32) * 2.0**others
    if others:
        y -= rng.integers(0, 2, geometry.output_shape).astype(np.float32)
    expected = views.correlate(x.astype(np.float64), y.astype(np.float64), geometry).astype(np.float32)
    assert_same(run(in_registers(geometry, "weight_gradient"), pair(x, y)), expected)


@pytest.mark.parametrize("map", ["conv_transpose", "conv"])
@pytest.mark.parametrize(
    "text",
    [
        "n1 c70>90 i5 k2 s2",
        "n1 c50>33 i5x5 k2 s2",
        "n1 c40>35 i3x3x3 k2 s2",
        "n1 c66>40 i4x5 k3 s2 p1",
        "n1 c40>70 i4x4 k4 s2 p1",
        "n2 c48>20 i6x6 k5 s2 g2",
        "n1 c33>2 i7 k64 s32",
        "n64 c33>34 i20x20 k2 s2",  # more than one box
    ],
)
def test_weights_packed_before_and_on_the_way_give_the_same_bits(text: str, map: MapName) -> None:
    geometry = Geometry.parse(text)
    chosen = in_registers(geometry, map)
    rng = np.random.default_rng(9)
    weight = rng.integers(-(2**20), 2**20, geometry.weight_shape).astype(np.float32)
    shapes = geometry.input_shape, geometry.output_shape
    source, target = shapes if map == "conv_transpose" else shapes[::-1]
    given = rng.integers(-1, 2, source).astype(np.float32)
    before, on_the_way = (np.full(target, np.nan, np.float32) for _ in range(2))
    chosen.runner.run(given, chosen.runner.pack(weight), None, before)
    chosen.runner.run(given, weight, None, on_the_way)
    assert before.tobytes() == on_the_way.tobytes()
    define = views.scatter if map == "conv_transpose" else views.gather
    expected = define(given.astype(np.float64), weight.astype(np.float64), geometry)
    sizes = define(np.abs(given.astype(np.float64)), np.abs(weight.astype(np.float64)), geometry)
    assert (np.abs(before - expected) <= sizes * 2.0**-21).all()
