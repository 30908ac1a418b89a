"""16-bit numbers: widened to float32, accumulated there, rounded once. Also run by `make sanitize`."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tconv import TconvError, views
from tconv.geometry import Geometry
from tconv.planning import LAYOUTS, Layout, MapName, Plan, isas, plan
from tconv.planning.problem import MAPS
from tconv.testing import Arrays, assert_same
from tests.core.helpers import DEFINITIONS, candidates, made, parts, rounded, run, stored, values


@pytest.mark.parametrize("code", ["f16", "bf16"])
@pytest.mark.parametrize("isa", isas())
def test_every_half_is_widened_and_sums_are_rounded_to_even(code: str, isa: str) -> None:
    """All 65536 numbers, then the midpoints between neighbours, in rows that end within a vector."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    one, half = np.ones((1, 1, 1)), np.full((2, 1, 1), 0.5)
    with np.errstate(invalid="ignore"):
        every = values(code, bits if code == "bf16" else bits.view(np.float16)).astype(np.float64)
        middles = (every + np.roll(every, 1)) / 2  # exact in float32, but for infinities and NaN
    for count in (1 << 16, 37, 17, 5):
        for x, weight, exact in (
            (every[None, None, -count:], one, every[-count:]),
            (np.stack([every, np.roll(every, 1)])[None, :, -count:], half, middles[-count:]),
        ):
            arrays = Arrays(*(stored(code, a) for a in (x, weight, np.zeros(1), np.zeros(1))))
            chosen = plan(
                Geometry.parse(f"c{x.shape[1]}>1 i{count} k1"), dtype=code, isa=isa, algorithm="phases"
            )
            assert_same(values(code, run(chosen, arrays))[0, 0], rounded(code, exact))


@pytest.mark.parametrize("code", ["f16", "bf16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_halves_are_float32_sums_rounded_once(code: str, layout: Layout) -> None:
    """Equal bit for bit, with bias and activation, to the same plan on the same numbers in float32."""
    rng = np.random.default_rng(11)
    for text in ("n2 c37>29 i19x20 k4 s2 p1", "n2 c8>40 i70 k16 s8 p4", "c5>7 i3x4x5 k3 s2 p1"):
        g = Geometry.parse(text)
        shapes = (g.input_shape, g.weight_shape, (g.out_channels,), g.output_shape)
        halves = Arrays(*(stored(code, rng.standard_normal(shape)) for shape in shapes))
        wide = Arrays(*(values(code, array).astype(np.float32) for array in halves))
        for map, isa in itertools.product(MAPS, isas()):
            layer = map == "conv_transpose"
            for candidate in candidates(g, map, isa, layout, code):
                if parts(candidate) == 1:  # float32 has no such plan: see below
                    continue
                after = ("leaky_relu", 0.1) if layer else None
                half, full = (
                    run(
                        made(g, map, isa, candidate, dtype, layout, after),
                        arrays,
                        arrays.bias if layer else None,
                    )
                    for dtype, arrays in ((code, halves), ("f32", wide))
                )
                assert_same(values(code, half), rounded(code, full))


def by_matrices(geometry: Geometry, map: MapName, layout: Layout) -> list[Plan]:
    """The plans of bfloat16 that accumulate in matrix registers, where the CPU has them."""
    found = candidates(geometry, map, isas()[0], layout, "bf16")
    plans = [
        made(geometry, map, isas()[0], candidate, "bf16", layout) for candidate in found if parts(candidate)
    ]
    if not plans:
        pytest.skip("this CPU has no matrix registers")
    return plans


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["conv_transpose", "conv"])
def test_matrix_registers_stay_within_the_bound_of_float32_sums(name: MapName, layout: Layout) -> None:
    """Before the one rounding, |error| <= terms * eps * sum of |products| (Higham 2002, section 3.1)."""
    rng = np.random.default_rng(12)
    for text in ("n2 c37>29 i19x20 k4 s2 p1", "n2 c80>40 i70 k16 s8 p4", "c5>7 i3x4x5 k3 s2 p1"):
        g = Geometry.parse(text)
        shapes = (g.input_shape, g.weight_shape, (g.out_channels,), g.output_shape)
        halves = Arrays(*(stored("bf16", rng.standard_normal(shape)) for shape in shapes))
        wide = Arrays(*(values("bf16", array).astype(np.float64) for array in halves))
        exact = DEFINITIONS[name](wide, g)
        size = DEFINITIONS[name](Arrays(*map(abs, wide)), g)
        terms = max(g.in_channels, g.out_channels) * int(np.prod(g.kernel))
        bound = terms * np.finfo(np.float32).eps * size
        for chosen in by_matrices(g, name, layout):
            actual = values("bf16", run(chosen, halves))
            assert np.all(rounded("bf16", exact - bound) <= actual)
            assert np.all(actual <= rounded("bf16", exact + bound))


def test_matrix_registers_keep_infinities_and_nan_of_bfloat16() -> None:
    geometry = Geometry.parse("c3>2 i40 k2 s2")
    x, weight = np.ones((1, 3, 40)), np.ones((3, 2, 2))
    x[0, 2, 7], x[0, 1, 20], x[0, 0, 39] = np.inf, np.nan, -np.inf
    arrays = Arrays(*(stored("bf16", array) for array in (x, weight, np.zeros(2), np.zeros(1))))
    with np.errstate(invalid="ignore"):
        expected = views.scatter(x, weight, geometry).astype(np.float32)
    for chosen in by_matrices(geometry, "conv_transpose", "channels_first"):
        assert chosen.kernel.startswith("bf16_phases_")
        assert chosen.kernel.endswith("__amx")
        assert_same(values("bf16", run(chosen, arrays)), expected)


@pytest.mark.parametrize("code", ["f16", "bf16"])
def test_dots_of_halves_are_weight_gradients_alone(code: str) -> None:
    """The convolution would read weights unpacked, and accumulate in the target."""
    geometry = Geometry.parse("c4>4 i8 k32 s8")
    assert plan(geometry, "weight_gradient", dtype=code, algorithm="dots").algorithm == "dots"
    with pytest.raises(TconvError, match="'dots' does not apply"):
        plan(geometry, "conv", dtype=code, algorithm="dots")
