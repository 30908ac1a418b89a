"""Every kernel of the live registry against the definition, to the last bit, on whole numbers.

These tests also run under AddressSanitizer and UndefinedBehaviorSanitizer (`make sanitize`), so they import
only NumPy and tconv.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tconv import _core, views
from tconv._core import DotsPlan
from tconv.geometry import Geometry
from tconv.planning import ALGORITHMS, LAYOUTS, Layout, MapName, isas, plan
from tconv.planning.cost import machine
from tconv.planning.problem import MAPS, problem_of
from tconv.testing import Arrays, assert_same, integer_arrays
from tests.core.helpers import (
    CASES,
    DEFINITIONS,
    DTYPES,
    candidates,
    lanes,
    made,
    rounded,
    run,
    stored,
    values,
    whole_numbers,
    with_box,
)


@pytest.mark.parametrize(("name", "geometry"), CASES, ids=[name for name, _ in CASES])
def test_every_algorithm_is_the_definition(name: str, geometry: Geometry) -> None:
    for code, map in itertools.product(DTYPES, MAPS):
        whole = whole_numbers(geometry, code)
        arrays = Arrays(*(stored(code, array) for array in whole))
        expected = rounded(code, DEFINITIONS[map](whole, geometry))
        for algorithm, isa, layout in itertools.product(ALGORITHMS.values(), isas(), LAYOUTS):
            if geometry.batch and algorithm.candidates(problem_of(geometry), map, code, isa, layout):
                words = {"dtype": code, "algorithm": algorithm.name, "layout": layout, "isa": isa}
                assert_same(values(code, run(plan(geometry, map, **words), arrays)), expected)


@pytest.mark.parametrize("code", DTYPES)
@pytest.mark.parametrize(("name", "geometry"), CASES, ids=[name for name, _ in CASES])
def test_every_candidate_and_odd_boxes_are_the_definition(name: str, geometry: Geometry, code: str) -> None:
    """Plans that are never cheapest, and boxes smaller than any cost would choose, give the same output."""
    if not geometry.batch:
        pytest.skip("an empty batch has no boxes")
    draw = random.Random(name)
    whole = whole_numbers(geometry, code)
    arrays = Arrays(*(stored(code, array) for array in whole))
    seen = set()
    for map, isa, layout in itertools.product(MAPS, isas(), LAYOUTS):
        expected = rounded(code, DEFINITIONS[map](whole, geometry))
        for candidate in candidates(geometry, map, isa, layout, code):
            cut = with_box(candidate, lambda size: draw.randint(1, size))
            for one in (candidate, cut):
                chosen = made(geometry, map, isa, one, code, layout)
                assert_same(values(code, run(chosen, arrays)), expected)
                seen.add(lanes(chosen))
    assert "positions" in seen


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("around", [-1, 0, 1])
def test_sizes_around_the_tile(isa: str, around: int) -> None:
    facts = machine(isa, "f32")
    for vectors, rows in enumerate(facts.rows, 1):
        width, channels = vectors * facts.lanes + around, rows + around
        for text in (
            f"c3>{channels} i{width} k3 s2 p1",
            f"c{channels}>2 i1x{width} k1x4 s1x2",
            f"c2>3 i{2 * width + 3} k5 s3",
        ):
            geometry = Geometry.parse(text)
            arrays = integer_arrays(geometry)
            for map in MAPS:
                assert_same(run(plan(geometry, map, isa=isa), arrays), DEFINITIONS[map](arrays, geometry))


@pytest.fixture
def own_threads() -> Iterator[None]:
    before = _core.get_num_threads()
    yield
    _core.set_num_threads(before)


@pytest.mark.usefixtures("own_threads")
@pytest.mark.parametrize("map", MAPS)
def test_same_bits_for_any_number_of_threads(map: MapName) -> None:
    """On real numbers, where another order of summation would show, for every kind of tile."""
    rng = np.random.default_rng(7)
    kinds = set()
    for text in ("n3 c37>29 i40x41 k4 s2 p1", "n2 c8>40 i700 k16 s8 p4", "n6 c24>24 i20x20 k3 s2 p1 o1 g3"):
        g = Geometry.parse(text)
        shapes = (g.input_shape, g.weight_shape, (g.out_channels,), g.output_shape)
        arrays = Arrays(*(rng.standard_normal(shape, np.float32) for shape in shapes))
        for candidate in candidates(g, map, isas()[0]):
            chosen = made(g, map, isas()[0], candidate)
            kinds.add((chosen.algorithm, lanes(chosen)))
            _core.set_num_threads(1)
            alone = run(chosen, arrays).tobytes()
            for threads in (2, 3, 5):
                _core.set_num_threads(threads)
                assert run(chosen, arrays).tobytes() == alone
    matrices = "amx" in isas()  # which stack the phases of a weight gradient too
    assert len(kinds) == {"conv_transpose": 6, "conv": 2, "weight_gradient": 4 + matrices}[map]


@pytest.mark.usefixtures("own_threads")
def test_more_threads_than_a_c_int_holds_are_not_asked_for() -> None:
    huge = plan(Geometry.parse("n16 c512>512 i256x256 k4 s2 p1"), dtype="i8")
    assert huge.core.most_threads == 1024


def test_an_empty_batch_is_fine_by_any_algorithm() -> None:
    for algorithm in ALGORITHMS:
        assert plan(Geometry.parse("n0 c4>4 i8x8 k4 s2 p1"), algorithm=algorithm).algorithm == "reference"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "text",
    [
        "n2 c6>10 i5x7 k4 s2 p1",
        "n2 c9>6 i4x5 k4 s2 p1 g3",
        "c40>40 i9x7 k4 s2 p1 g40",
        "c5>21 i3x5 k8 s4 p2",
        "n2 c12>36 i6x5 k3 s2 p1 o1 g2",
        "c7>1 i5x6 k4 s2 p1",
        "n3 c3>17 i4x3x5 k3 s2x1x2 d1x2x1",
    ],
)
def test_bias_and_activation_of_every_candidate(text: str, layout: Layout) -> None:
    geometry = Geometry.parse(text)
    arrays = integer_arrays(geometry)
    expected = views.scatter(arrays.x, arrays.weight, geometry)
    expected = np.maximum(expected + arrays.bias.reshape(-1, *(1,) * geometry.axes), 0)
    for isa in isas():
        for candidate in candidates(geometry, "conv_transpose", isa, layout):
            chosen = made(geometry, "conv_transpose", isa, candidate, layout=layout, activation="relu")
            assert_same(run(chosen, arrays, arrays.bias), expected)


def test_bias_reaches_outputs_that_no_tap_reaches() -> None:
    geometry = Geometry.parse("c3>5 i4x4 k1x2 s3 o2x1")
    arrays = integer_arrays(geometry)
    expected = views.scatter(arrays.x, arrays.weight, geometry) + arrays.bias[:, None, None]
    assert np.any(np.array(geometry.coverage()[0]) == 0)
    for algorithm in ("reference", "phases", "col2im"):
        assert_same(run(plan(geometry, algorithm=algorithm), arrays, arrays.bias), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bias_and_activation_follow_dot_products(layout: Layout) -> None:
    geometry = Geometry.parse("n2 c5>6 i3x7 k2x16 s1x8 p0x5 g1")
    arrays = integer_arrays(geometry)
    bias = np.arange(-2, 3, dtype=np.float32) * 400
    expected = views.gather(arrays.y, arrays.weight, geometry) + bias[:, None, None]
    assert np.any(expected < 0)
    for isa in isas():
        chosen = plan(geometry, "conv", algorithm="dots", activation="relu", layout=layout, isa=isa)
        assert_same(run(chosen, arrays, bias), np.maximum(expected, 0))


#: Small maps with many weights: borders on both sides, dilation, groups, several boxes and pieces of a sum.
GATHERED = [
    "n2 c5>16 i2x3x4 k7 s2 p2",
    "n1 c37>32 i3x3 k11 s5 p5",
    "n3 c6>32 i4x5 k3x5 s2 p1 d2x3 g2",
    "n40 c9>48 i3 k3 s4 o2",
    "n2 c6>16 i1x9 k1x4 s1x2 p0x-3",
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("text", GATHERED)
def test_convolutions_of_gathered_positions_are_exact(text: str, layout: Layout) -> None:
    geometry = Geometry.parse(text)
    for dtype, code in ((np.float32, "f32"), (np.float64, "f64")):
        arrays = integer_arrays(geometry, np.dtype(dtype).name)
        bias = np.arange(geometry.in_channels).astype(dtype) * 40 - 200
        expected = views.gather(arrays.y, arrays.weight, geometry)
        expected = np.maximum(expected + bias.reshape(-1, *(1,) * geometry.axes), 0)
        for isa in isas():
            found = [
                c
                for c in candidates(geometry, "conv", isa, layout, code)
                if isinstance(c.part, DotsPlan) and c.part.gathered
            ]
            assert found
            for candidate in found:
                chosen = made(geometry, "conv", isa, candidate, code=code, layout=layout, activation="relu")
                assert_same(run(chosen, arrays, bias), expected)


def test_real_numbers_stay_within_the_bound_of_their_sums() -> None:
    """|error| <= terms * eps * sum of |products|, for any order of summation (Higham 2002, section 3.1)."""
    geometry = Geometry.parse("n2 c48>20 i19x23 k4 s2 p1")
    rng = np.random.default_rng(3)
    x = rng.standard_normal(geometry.input_shape)
    weight = rng.standard_normal(geometry.weight_shape)
    terms = 48 * 4
    for dtype, wide in ((np.float32, np.float64), (np.float64, np.longdouble)):
        arrays = Arrays(x.astype(dtype), weight.astype(dtype), np.zeros(20, dtype), np.zeros(1, dtype))
        exact = views.scatter(arrays.x.astype(wide), arrays.weight.astype(wide), geometry)
        size = views.scatter(abs(arrays.x.astype(wide)), abs(arrays.weight.astype(wide)), geometry)
        for isa in isas():
            code = "f32" if dtype is np.float32 else "f64"
            error = abs(run(plan(geometry, dtype=code, isa=isa), arrays) - exact)
            assert np.all(error <= terms * np.finfo(dtype).eps * size)
            assert np.any(error > 0)


BOUNDED = ["n2 c48>20 i19x23 k4 s2 p1", "c33>7 i50 k3 s2", "c20>6 i12x31 k1x4 s1x2", "c20>3 i13x10 k5x8 s3x5"]


@pytest.mark.parametrize("text", BOUNDED)
def test_winograd_stays_within_its_bound(text: str) -> None:
    """|error| <= 6 per axis * (c_in + 8) * eps * max|x| * sum|w|.

    6 is the product of the norms of A^T, B^T and G: 3 * 2 * 1 for F(3, 2) (Higham 2002, section 3.5).
    """
    geometry = Geometry.parse(text)
    rng = np.random.default_rng(5)
    x = rng.standard_normal(geometry.input_shape, np.float32)
    weight = rng.standard_normal(geometry.weight_shape, np.float32)
    exact = views.scatter(x.astype(np.float64), weight.astype(np.float64), geometry)
    axes = sum(k > 1 for k in geometry.kernel)
    reach = np.abs(weight.astype(np.float64)).sum(axis=(0, *range(2, weight.ndim)))
    bound = 6**axes * (geometry.in_channels + 8) * np.finfo(np.float32).eps * np.abs(x).max() * reach.max()
    for isa in isas():
        chosen = plan(geometry, algorithm="winograd", isa=isa)
        error = np.abs(run(chosen, Arrays(x, weight, np.zeros(1), np.zeros(1))) - exact).max()
        assert 0 < error <= bound
        assert chosen.kernel.startswith("f32_winograd_")


def test_packed_weights_of_another_plan_are_refused() -> None:
    small, large = (plan(Geometry.parse(f"c{c}>{c} i8x8 k4 s2 p1")) for c in (4, 40))
    packed = small.runner.pack(np.zeros((4, 4, 4, 4), np.float32))
    with pytest.raises(ValueError, match="packed for another plan"):
        large.runner.run(
            np.zeros((1, 40, 8, 8), np.float32), packed, None, np.zeros((1, 40, 16, 16), np.float32)
        )


def test_memory_is_kept_and_given_back() -> None:
    _core.empty_cache()
    block = _core.empty(8 << 20)
    address = block.__array_interface__["data"][0]
    assert address % (2 << 20) == 0
    assert _core.cached_bytes() == 0
    del block
    assert _core.cached_bytes() == 8 << 20
    again = _core.empty(8 << 20)
    assert again.__array_interface__["data"][0] == address
    del again
    _core.empty_cache()
    assert _core.cached_bytes() == 0


def test_the_stub_is_what_the_module_says() -> None:
    stubgen = pytest.importorskip("nanobind.stubgen", reason="nanobind, which writes stubs, is not installed")
    committed = Path(__file__).parents[2] / "src/tconv/_core.pyi"
    stub = stubgen.StubGen(_core)
    stub.put(_core)
    assert stub.get() == committed.read_text(encoding="utf-8"), "run `make stubs`"


def test_sanitizers_are_on_where_they_are_asked_for() -> None:
    if "TCONV_EXPECT_SANITIZED" not in os.environ:
        pytest.skip("only `make sanitize` builds with sanitizers")
    maps = Path(f"/proc/{os.getpid()}/maps").read_text(encoding="utf-8")
    assert "libasan" in maps
    assert "build/sanitize" in sys.modules["tconv._core"].__file__
