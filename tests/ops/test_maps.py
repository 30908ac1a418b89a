"""The three maps against their definitions, exactly, on whole numbers; and what all calls have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

import tconv
from tconv import TconvError, views
from tconv.geometry import Geometry
from tconv.planning import ALGORITHMS, isas
from tconv.planning.problem import problem_of
from tconv.testing import assert_same, integer_arrays, load_cases
from tests.ops.helpers import layer_options, shared_options

CASES = dict(load_cases())
MIXED = Geometry.parse("n2 c6>4 i7x5 k3x4 s2x3 p1:0x-1:2 o1x0 d1x2 g2")  # a bit of everything


def per_channel(bias: np.ndarray, axes: int) -> np.ndarray:
    return bias.reshape(-1, *(1,) * axes)


@pytest.mark.parametrize("case", CASES)
def test_the_three_maps_are_their_definitions(case: str) -> None:
    g = CASES[case]
    x, weight, bias, y = integer_arrays(g, np.float32, seed=11)
    expected = views.scatter(x, weight, g)
    assert_same(tconv.conv_transpose(x, weight, **layer_options(g)), expected)
    assert_same(
        tconv.conv_transpose(x, weight, bias, **layer_options(g)), expected + per_channel(bias, g.axes)
    )
    back = views.gather(y, weight, g)
    other = integer_arrays(g, np.float32, seed=12).x[:1].reshape(-1)[: g.in_channels]
    bias = np.resize(other if other.size else np.float32(1), g.in_channels)
    assert_same(tconv.conv(y, weight, input_size=g.input, **shared_options(g)), back)
    assert_same(
        tconv.conv(y, weight, bias, input_size=g.input, **shared_options(g)),
        back + per_channel(bias, g.axes),
    )
    assert_same(
        tconv.conv_weight_gradient(x, y, kernel=g.kernel, **shared_options(g)), views.correlate(x, y, g)
    )


@pytest.mark.parametrize("case", CASES)
def test_the_maps_are_adjoint(case: str) -> None:
    """<A^T x, y> = <x, A y> = <w, gradient>: one trilinear form, to the last integer."""
    g = CASES[case]
    x, weight, _, y = integer_arrays(g, np.int64, seed=13)
    form = np.sum(tconv.conv_transpose(x, weight, **layer_options(g)) * y)
    assert form == np.sum(x * tconv.conv(y, weight, input_size=g.input, **shared_options(g)))
    gradient = tconv.conv_weight_gradient(x, y, kernel=g.kernel, **shared_options(g))
    assert form == np.sum(weight * gradient)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("code", "dtype"), [("f32", np.float32), ("f64", np.float64)])
def test_an_algorithm_can_be_asked_for(algorithm: str, code: str, dtype: type) -> None:
    """It computes the maps that it applies to, and is refused by name for the others."""
    computed = 0
    for g in (MIXED, Geometry.parse("n1 c5>3 i6x7 k4 s2 p1"), Geometry.parse("n1 c3>3 i9x9 k3 s2 p1 g3")):
        x, weight, _, y = integer_arrays(g, dtype, seed=14)
        options = {**shared_options(g), "algorithm": algorithm}
        for map, call, expected in (
            (
                "conv_transpose",
                partial(tconv.conv_transpose, x, weight, output_size=g.output),
                views.scatter(x, weight, g),
            ),
            ("conv", partial(tconv.conv, y, weight, input_size=g.input), views.gather(y, weight, g)),
            (
                "weight_gradient",
                partial(tconv.conv_weight_gradient, x, y, kernel=g.kernel),
                views.correlate(x, y, g),
            ),
        ):
            if ALGORITHMS[algorithm].candidates(problem_of(g), map, code, isas()[0], "channels_first"):
                assert_same(call(**options), expected)
                computed += 1
            else:
                with pytest.raises(TconvError, match=f"{algorithm!r} does not apply to {map}"):
                    call(**options)
    assert computed


def test_unbatched_in_unbatched_out() -> None:
    x, weight, bias, y = integer_arrays(MIXED, np.float32, seed=15)
    options = layer_options(MIXED)
    assert_same(
        tconv.conv_transpose(x[1], weight, bias, **options),
        tconv.conv_transpose(x, weight, bias, **options)[1],
    )
    options = {**shared_options(MIXED), "input_size": MIXED.input}
    assert_same(tconv.conv(y[0], weight, **options), tconv.conv(y, weight, **options)[0])


def test_an_empty_batch_is_fine() -> None:
    x, y, weight = np.ones((0, 2, 3), "f4"), np.ones((0, 4, 8), "f4"), np.ones((2, 4, 4), "f4")
    assert tconv.conv_transpose(x, weight, stride=2).shape == (0, 4, 8)
    assert tconv.conv(y, weight, stride=2).shape == (0, 2, 3)
    assert_same(tconv.conv_weight_gradient(x, y, kernel=4, stride=2), np.zeros_like(weight))
    assert tconv.prepare(weight, stride=2)(x).shape == (0, 4, 8)


def test_options_as_ints_lists_and_words() -> None:
    x, weight = np.ones((1, 1, 3, 4), "f4"), np.ones((1, 1, 5, 5), "f4")
    expected = tconv.conv_transpose(x, weight, stride=(2, 2), padding=((1, 1), (1, 1)), dilation=(1, 1))
    assert_same(tconv.conv_transpose(x, weight, stride=2, padding=1), expected)
    assert_same(tconv.conv_transpose(x, weight, stride=[2, 2], padding=[[1, 1], [1, 1]]), expected)
    assert_same(tconv.conv_transpose(x, weight, stride=np.int32(2), padding=(1, 1)), expected)
    full = tconv.conv_transpose(x, weight, stride=2, padding="valid")
    assert_same(full[:, :, 1:-1, 1:-1], expected)
    same = tconv.conv_transpose(x, weight, stride=2, padding="same")  # total 3: 1 before, 2 after
    assert same.shape == (1, 1, 6, 8)
    assert_same(same, full[:, :, 1:-2, 1:-2])
    longer = tconv.conv_transpose(x, weight[..., :1], stride=(2, 3), padding="same")  # k < s: bias alone
    assert longer.shape == (1, 1, 6, 12)
    assert not longer[..., 1::3].any()


def test_output_size_tells_apart_what_rounds_to_one_input() -> None:
    x, weight, y = np.ones((1, 1, 4), "f4"), np.ones((1, 1, 3), "f4"), np.ones((1, 1, 10), "f4")
    made = [tconv.conv_transpose(x, weight, stride=2, output_size=size) for size in (9, 10, [10])]
    assert [m.shape[2] for m in made] == [9, 10, 10]
    assert_same(made[1], tconv.conv_transpose(x, weight, stride=2, output_padding=1))
    assert [tconv.conv(m, weight, stride=2).shape[2] for m in made] == [4, 4, 4]
    # With dilation over stride two inputs reach an output of 7: input_size chooses.
    y = y[..., :7]
    assert tconv.conv(y, weight, dilation=2).shape == (1, 1, 3)
    assert tconv.conv(y, weight, dilation=2, input_size=2).shape == (1, 1, 2)


@pytest.mark.parametrize("problem", [
    "n2 c37>29 i23x31 k4 s2 p1",
    "n1 c21>21 i12x10 k16 s8 p4",
    "n3 c16>16 i20x17 k3 s2 p1 o1 g4",
    "n1 c40>8 i301 k8 s4",
    "n1 c8>12 i9x10x11 k2 s2",
    "n1 c9>5 i40x40 k3 s2 d2",
])  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bits_do_not_depend_on_the_threads(problem: str, dtype: type) -> None:
    g = Geometry.parse(problem)
    rng = np.random.default_rng(16)
    x, weight, y = (
        rng.standard_normal(shape).astype(dtype) for shape in (g.input_shape, g.weight_shape, g.output_shape)
    )
    before = tconv.get_num_threads()
    answers = []
    try:
        for count in (1, 2, 3, 5):
            tconv.set_num_threads(count)
            assert tconv.get_num_threads() == count
            answers.append((
                tconv.conv_transpose(x, weight, **layer_options(g)),
                tconv.conv(y, weight, input_size=g.input, **shared_options(g)),
                tconv.conv_weight_gradient(x, y, kernel=g.kernel, **shared_options(g)),
            ))  # fmt: skip
    finally:
        tconv.set_num_threads(before)
    for answer in answers[1:]:
        for actual, expected in zip(answer, answers[0], strict=True):
            assert_same(actual, expected, signed_zeros=True)


ACTIVATIONS = {
    "relu": lambda v: np.maximum(v, 0),
    ("leaky_relu", 0.25): lambda v: np.where(v < 0, v * v.dtype.type(0.25), v),
    ("clamp", -2, 5.5): lambda v: np.clip(v, -2, 5.5).astype(v.dtype),
    "tanh": np.tanh,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
}


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("algorithm", ["auto", "reference"])
def test_activations_are_numpys_formulas(activation: str | tuple, dtype: type, algorithm: str) -> None:
    g = MIXED
    x, weight, bias, y = integer_arrays(g, dtype, seed=17)
    formula = ACTIVATIONS[activation]
    wide = [array.astype(np.float64) for array in (x, weight, bias, y)]
    plain = (
        views.scatter(wide[0], wide[1], g) + per_channel(wide[2], g.axes),
        views.gather(wide[3], wide[1], g),
    )
    options = {"activation": activation, "algorithm": algorithm}
    made = (
        tconv.conv_transpose(x, weight, bias, **layer_options(g), **options),
        tconv.conv(y, weight, input_size=g.input, **shared_options(g), **options),
    )
    for actual, value in zip(made, plain, strict=True):
        expected = formula(value).astype(dtype)
        if activation in ("tanh", "sigmoid"):
            np.testing.assert_allclose(
                actual, expected, rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps
            )
        else:
            assert_same(actual, expected)
        assert not np.array_equal(actual, value)  # the activation had something to do


def test_activations_at_the_ends_of_the_numbers() -> None:
    values = np.array([[[-np.inf, -1e30, -100, -0.0, 0, 100, 1e30, np.inf, np.nan]]], np.float32)
    one = np.ones((1, 1, 1), np.float32)

    def after(activation: str | tuple) -> np.ndarray:
        return tconv.conv_transpose(values, one, activation=activation)[0, 0]

    assert_same(after("relu")[:8], np.array([0, 0, 0, 0, 0, 100, 1e30, np.inf], np.float32))
    assert_same(after("tanh")[[0, 1, 2, 5, 6, 7]], np.array([-1, -1, -1, 1, 1, 1], np.float32))
    assert_same(after("sigmoid")[[0, 1, 3, 6, 7]], np.array([0, 0, 0.5, 1, 1], np.float32))
    assert_same(after(("clamp", -3, 4))[[0, 2, 5, 7]], np.array([-3, -3, 4, 4], np.float32))
    for activation in ACTIVATIONS:
        assert np.isnan(after(activation)[8])


@pytest.mark.parametrize(
    ("activation", "formula", "most"),
    [("tanh", np.tanh, 3.0), ("sigmoid", lambda v: 1 / (1 + np.exp(-v)), 2.0)],
)
def test_curves_stay_close_over_all_of_their_range(activation: str, formula: Callable, most: float) -> None:
    """The largest relative error in units of eps; neither leaves its bounds."""
    small = np.geomspace(1e-30, 1, 10_000)
    x = np.concatenate([np.linspace(-80, 80, 400_001), small, -small]).astype(np.float32)
    y = tconv.conv_transpose(x[None, None], np.ones((1, 1, 1), np.float32), activation=activation)[0, 0]
    exact = formula(x.astype(np.float64))
    seen = x != 0
    assert np.max(np.abs(y - exact)[seen] / np.abs(exact[seen])) <= most * np.finfo(np.float32).eps
    assert np.max(np.abs(y)) <= 1
