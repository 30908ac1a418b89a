"""Layers prepared once, threads of Python, and processes that fork."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tconv
from tconv import TconvError
from tconv.geometry import Geometry
from tconv.testing import assert_same, integer_arrays, load_cases
from tests.helpers import PATIENCE
from tests.ops.helpers import layer_options

CASES = dict(load_cases())


@pytest.mark.parametrize("case", CASES)
def test_a_layer_is_the_function(case: str) -> None:
    g = CASES[case]
    x, weight, bias, _ = integer_arrays(g, "f4", seed=41)
    expected = tconv.conv_transpose(x, weight, bias, **layer_options(g))
    layer = tconv.prepare(weight, bias, **layer_options(g))
    assert_same(layer(x), expected)
    assert_same(tconv.prepare(weight, bias, geometry=g)(x), expected)
    out = np.empty_like(expected)
    assert layer(x, out=out) is out
    assert_same(out, expected)


def test_a_layer_takes_any_input_size() -> None:
    rng = np.random.default_rng(42)
    weight = rng.integers(-3, 4, (17, 5, 4, 3)).astype("f4")
    options = {"stride": (2, 3), "padding": 1, "output_padding": (1, 0)}
    layer = tconv.prepare(weight, geometry=Geometry.parse("n1 c17>5 i8x8 k4x3 s2x3 p1 o1x0"))
    for shape in [(1, 17, 8, 8), (3, 17, 1, 1), (17, 5, 2), (2, 17, 40, 3), (0, 17, 4, 4), (1, 17, 1, 90)]:
        x = rng.integers(-3, 4, shape).astype("f4")
        assert_same(layer(x), tconv.conv_transpose(x, weight, **options))


def test_a_layer_keeps_copies() -> None:
    x, weight, bias, _ = integer_arrays(Geometry.parse("n1 c4>6 i5x5 k4 s2"), "f4", seed=43)
    layer = tconv.prepare(weight, bias, stride=2)
    whole, part = (tconv.conv_transpose(each, weight, bias, stride=2) for each in (x, x[:, :, :3]))
    assert_same(layer(x), whole)
    weight[...] = 0
    bias[...] = 0
    assert_same(layer(x), whole)
    assert_same(layer(x[:, :, :3]), part)  # a size packed for after the change


def test_a_layer_with_every_option() -> None:
    g = Geometry.parse("n2 c6>4 i4x5 k3x4 s2x3 p1:0x-1:2 o1x0 d1x2 g2")
    x, weight, bias, _ = integer_arrays(g, "f8", seed=44)
    options = {**layer_options(g), "activation": ("leaky_relu", 0.5), "algorithm": "reference"}
    expected = tconv.conv_transpose(x, weight, bias, **options)
    assert_same(tconv.prepare(weight, bias, **options)(x), expected)
    last = tconv.prepare(weight, bias, layout="channels_last", **options)
    assert_same(last(np.moveaxis(x, 1, -1)), np.moveaxis(expected, 1, -1))
    sized = tconv.prepare(
        weight, bias, stride=(2, 3), padding=g.padding, dilation=(1, 2), groups=2, output_size=g.output
    )
    assert sized(x).shape == g.output_shape
    for piece in ("(6, 2, 3, 4) f64", "stride=(2, 3)", "groups=2", "activation=('leaky_relu', 0.5)"):
        assert piece in repr(tconv.prepare(weight, bias, **options))
    assert repr(tconv.prepare(weight, groups=2)) == "Layer(weight (6, 2, 3, 4) f64, groups=2)"


def test_a_layer_of_other_dtypes() -> None:
    g = Geometry.parse("n1 c4>6 i5x5 k4 s2")
    for dtype in ("i2", "c8", "f2"):
        x, weight, bias, _ = integer_arrays(g, dtype, seed=45)
        assert_same(tconv.prepare(weight, bias, stride=2)(x), tconv.conv_transpose(x, weight, bias, stride=2))


def test_a_layer_refuses_what_does_not_fit() -> None:
    weight = np.ones((4, 6, 3, 3), "f4")
    layer = tconv.prepare(weight)
    for call, piece in [
        (lambda: layer(np.ones((1, 4, 5, 5), "f8")), "input is f64 and weight is f32"),
        (lambda: layer(np.ones((1, 5, 5, 5), "f4")), "input has 5 channels"),
        (lambda: layer(np.ones((5, 5), "f4")), "input has shape (5, 5)"),
        (lambda: layer(np.ones((1, 4, 0, 5), "f4")), "input size 0 on axis 0"),
        (lambda: layer([1.0]), "input is a list"),
        (lambda: layer(np.ones((1, 4, 5, 5), "f4"), out=np.ones(3, "f4")), "out has shape (3,)"),
        (lambda: tconv.prepare(weight, np.ones(5, "f4")), "bias has shape (5,); (6,)"),
        (lambda: tconv.prepare(weight, stride=0), "stride 0"),
        (lambda: tconv.prepare(weight, groups=3), "groups"),
        (lambda: tconv.prepare(weight, layout="first"), "layout='first'"),
        (lambda: tconv.prepare(weight, geometry=Geometry.parse("n1 c4>6 i5x5 k4")), "(4, 6, 4, 4) would fit"),
        (lambda: tconv.prepare(weight, geometry=Geometry.parse("n1 c4>6 i5x5 k3"), stride=2), "leave out"),
    ]:
        with pytest.raises(TconvError) as caught:
            call()
        assert piece in str(caught.value)
        assert "\n" not in str(caught.value)


def test_many_threads_of_python_at_once() -> None:
    """Layers, functions and new shapes from eight threads: the answers of one."""
    g = Geometry.parse("n1 c19>23 i9x11 k4 s2 p1")
    x, weight, bias, y = integer_arrays(g, "f4", seed=46)
    layer = tconv.prepare(weight, bias, stride=2, padding=1)
    sizes = [(h, w) for h in range(1, 10) for w in (1, 5, 11)]
    whole = tconv.conv_transpose(x, weight, bias, stride=2, padding=1)
    expected = [tconv.conv_transpose(x[:, :, :h, :w], weight, bias, stride=2, padding=1) for h, w in sizes]
    gradient = tconv.conv_weight_gradient(x, y, kernel=4, stride=2, padding=1)

    def work(seed: int) -> None:
        for at in np.random.default_rng(seed).permutation(len(sizes)):
            h, w = sizes[at]
            assert_same(layer(x[:, :, :h, :w]), expected[at])
            assert_same(layer(x), whole)
            assert_same(tconv.conv_transpose(x, weight, bias, stride=2, padding=1), whole)
            assert_same(tconv.conv_weight_gradient(x, y, kernel=4, stride=2, padding=1), gradient)

    before = tconv.get_num_threads()
    tconv.set_num_threads(3)
    try:
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(work, seed) for seed in range(8)]:
                done.result()
    finally:
        tconv.set_num_threads(before)


def _child(x: np.ndarray, weight: np.ndarray, layer: tconv.Layer, results: object) -> None:
    results.put([tconv.conv_transpose(x, weight, stride=2), layer(x)])  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")  # by JAX, if it is loaded
def test_a_forked_child_computes() -> None:
    """The parent's threads do not exist in the child, which starts its own."""
    before = tconv.get_num_threads()
    tconv.set_num_threads(3)
    try:
        rng = np.random.default_rng(47)
        x = rng.integers(-3, 4, (4, 16, 30, 30)).astype("f4")
        weight = rng.integers(-3, 4, (16, 16, 4, 4)).astype("f4")
        layer = tconv.prepare(weight, stride=2)
        expected = tconv.conv_transpose(x, weight, stride=2)  # the pool is at work before the fork
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        with warnings.catch_warnings():
            # Python warns of forking where threads run; that it works all the same is the point here.
            warnings.filterwarnings("ignore", "This process.*is multi-threaded", DeprecationWarning)
            children = [
                context.Process(target=_child, args=(x, weight, layer, results), daemon=True)
                for _ in range(2)
            ]
            for child in children:
                child.start()
        answers = [results.get(timeout=PATIENCE) for _ in children]
        for child in children:
            child.join(PATIENCE)
            assert child.exitcode == 0
        for answer in answers:
            for actual in answer:
                assert_same(actual, expected)
        assert_same(tconv.conv_transpose(x, weight, stride=2), expected)  # and the parent goes on
    finally:
        tconv.set_num_threads(before)


def test_input_sizes_that_are_planned_as_other_kernels_share_no_packed_weights() -> None:
    """A 1x1 input makes of a 2x2 kernel a 1x4 one: packed for that, the weights lie in another order."""
    weight = np.arange(56, dtype=np.float32).reshape(1, 14, 2, 2)
    layer = tconv.prepare(weight, stride=(1, 4))
    for shape in ((4, 1, 1, 1), (1, 1, 2, 2), (1, 1, 1, 3)):
        x = np.ones(shape, np.float32)
        np.testing.assert_array_equal(layer(x), tconv.conv_transpose(x, weight, stride=(1, 4)))
