"""Activations: how far they are from their formulas, at the ends of the numbers, in every plan.

Also run by `make sanitize`, so this file imports only NumPy, mpmath where it is installed, and tconv.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tconv
from tconv import _core
from tconv.geometry import Geometry
from tconv.planning import LAYOUTS, MapName, isas, plan
from tconv.planning.activations import ACTIVATIONS
from tconv.testing import Arrays, assert_same
from tests.core.helpers import (
    DEFINITIONS,
    DTYPES,
    candidates,
    made,
    rounded,
    run,
    stored,
    values,
    whole_numbers,
)

ONE = Geometry.parse("n1 c1>1 i1 k1")

#: Name -> the largest error in units of eps, relative to the result. That of gelu_tanh is a multiple of its
#: exponent, w = sqrt(8 / pi) (x + 0.044715 x^3): as if x had an error of its last digit.
BOUNDS: dict[Any, Callable[[Any], Any]] = {
    "gelu": lambda x: 4,
    "gelu_tanh": lambda x: 3 + 1.5 * abs(1.6 * x + 0.0714 * x**3),
    "silu": lambda x: 2,
    "elu": lambda x: 1.5,
    ("elu", 0.3): lambda x: 2,
    "hardswish": lambda x: 2,
    "softplus": lambda x: 3,
    ("softplus", 2.0, 20.0): lambda x: 3,
    "mish": lambda x: 3,
}


def _erfc(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erfc, otypes=[float])(x)


#: On float64, where a float32 has no digit that matters left.
FORMULAS: dict[Any, Callable[[np.ndarray], np.ndarray]] = {
    "gelu": lambda x: x * _erfc(-x / np.sqrt(2)) / 2,
    "gelu_tanh": lambda x: x / (1 + np.exp(-np.sqrt(8 / np.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    ("elu", 0.3): lambda x: np.where(x > 0, x, float(np.float32(0.3)) * np.expm1(np.minimum(x, 0))),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "softplus": lambda x: np.logaddexp(x, 0),
    ("softplus", 2.0, 20.0): lambda x: np.where(2 * x > 20, x, np.logaddexp(2 * x, 0) / 2),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
}


def after(activation: Any, x: np.ndarray, isa: str | None = None) -> np.ndarray:
    """The activation alone: a layer that changes nothing else."""
    code = {np.dtype(dtype): code for code, dtype in DTYPES.items()}[x.dtype]
    geometry = Geometry.parse(f"n1 c1>1 i{x.size} k1")
    chosen = plan(geometry, dtype=code, activation=activation, isa=isa)
    return run(chosen, Arrays(x[None, None], np.ones((1, 1, 1), x.dtype), x, x))[0, 0]


def floats(count: int) -> np.ndarray:
    """Floats of every exponent and both signs, spread evenly over their bits."""
    return np.linspace(0, 2**32 - 1, count, dtype=np.uint64).astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("activation", BOUNDS, ids=str)
def test_single_precision(activation: Any, isa: str) -> None:
    usual = np.concatenate([np.linspace(-120, 100, 40_001), np.linspace(-16, 16, 40_001)]).astype(np.float32)
    every = floats(40_001)
    x = np.concatenate([usual, every[np.isfinite(every)]])
    y, wide = after(activation, x, isa), x.astype(np.float64)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        exact = FORMULAS[activation](wide)
        exact = np.where(np.isnan(exact), -0.0, exact)  # a huge number times 0 is 0
        bound = np.where(abs(wide) < 200, BOUNDS[activation](np.clip(wide, -200, 200)), 4)
    info = np.finfo(np.float32)
    error = np.abs(y.astype(np.float64) - exact)
    allowed = bound * info.eps * np.abs(exact) + info.smallest_subnormal
    assert (error <= allowed).all(), (x[np.argmax(error / allowed)], np.max(error / allowed))


def _mp(activation: Any) -> Any:
    mp: Any = pytest.importorskip("mpmath").mp
    return {
        "gelu": lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2,
        "gelu_tanh": lambda x: x / (1 + mp.exp(-mp.sqrt(8 / mp.pi) * (x + mp.mpf(0.044715) * x**3))),
        "silu": lambda x: x / (1 + mp.exp(-x)),
        "elu": lambda x: x if x > 0 else mp.expm1(x),
        ("elu", 0.3): lambda x: x if x > 0 else mp.mpf(0.3) * mp.expm1(x),
        "hardswish": lambda x: x * min(max(x + 3, 0), 6) / 6,
        "softplus": lambda x: mp.log1p(mp.exp(-abs(x))) + max(x, 0),
        ("softplus", 2.0, 20.0): lambda x: (
            x if 2 * x > 20 else (mp.log1p(mp.exp(-abs(2 * x))) + max(2 * x, 0)) / 2
        ),
        "mish": lambda x: x * mp.tanh(mp.log1p(mp.exp(-abs(x))) + max(x, 0)),
    }[activation]


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("activation", BOUNDS, ids=str)
def test_double_precision(activation: Any, isa: str) -> None:
    mp: Any = pytest.importorskip("mpmath").mp
    mp.dps = 40
    small = np.geomspace(1e-300, 1, 60)
    x = np.concatenate([np.linspace(-760, 720, 149), np.linspace(-39.5, 9, 399), small, -small])
    y, info = after(activation, x, isa), np.finfo(np.float64)
    formula = _mp(activation)
    for at, got in zip(x, y, strict=True):
        exact = formula(mp.mpf(float(at)))
        allowed = BOUNDS[activation](float(at)) * info.eps * abs(exact) + info.smallest_subnormal
        assert abs(mp.mpf(float(got)) - exact) <= allowed, (at, got, exact)


@pytest.mark.parametrize("algorithm", ["auto", "reference"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_ends_of_the_numbers(dtype: type, algorithm: str) -> None:
    most = np.finfo(dtype).max
    values = np.array([-np.inf, -most, -1e6, -0.0, 0, 1e6, most, np.inf, np.nan], dtype)
    one, nan = np.ones((1, 1, 1), dtype), np.nan
    # Minus infinity times a gate of 0 is NaN, as in the formulas.
    gated = np.array([nan, 0, 0, 0, 0, 1e6, most, np.inf, nan], dtype)
    expected = dict.fromkeys(["gelu", "gelu_tanh", "silu", "hardswish", "mish"], gated)
    expected["elu"] = np.array([-1, -1, -1, 0, 0, 1e6, most, np.inf, nan], dtype)
    expected["softplus"] = np.array([0, 0, 0, np.log(2), np.log(2), 1e6, most, np.inf, nan], dtype)
    for name, wanted in expected.items():
        for repeated in (1, 9):  # fewer than a vector, and more
            x = np.tile(values, repeated)[None, None]
            made = tconv.conv_transpose(x, one, activation=name, algorithm=algorithm)[0, 0]
            np.testing.assert_allclose(made, np.tile(wanted, repeated), rtol=np.finfo(dtype).eps)


@pytest.mark.parametrize("code", ["f32", "f64", "f16", "bf16"])
@pytest.mark.parametrize("map", ["conv_transpose", "conv"])
@pytest.mark.parametrize(
    "text",
    [
        "n2 c6>4 i7x6 k3 s2 p1 g2",
        "n2 c3>5 i6x5 k4 s2 p1",
        "n1 c33>18 i5x4 k2 s2",
        "n2 c4>3 i9 k16 s8 p3",
        "n1 c8>24 i4x4 k5 s3 o1",
        "n1 c3>2 i3x4x3 k3 s2 p1",
        "n1 c17>19 i5x5 k4 s2 p1",
    ],
)
def test_slopes_of_channels_in_every_plan(text: str, map: MapName, code: str) -> None:
    """To the last bit, on whole numbers and slopes that are powers of two."""
    geometry = Geometry.parse(text)
    channels = geometry.out_channels if map == "conv_transpose" else geometry.in_channels
    slopes = tuple((-1.0) ** (c % 3) * 2.0 ** (c % 4 - 2) for c in range(channels))
    whole = whole_numbers(geometry, code)
    sums = DEFINITIONS[map](whole, geometry)
    each = np.array(slopes).reshape(-1, *(1,) * geometry.axes)
    expected = rounded(code, np.where(sums < 0, sums * each, sums))
    assert (sums < 0).any()
    arrays = Arrays(*(stored(code, array) for array in whole))
    for isa, layout in itertools.product(isas(), LAYOUTS):
        for candidate in candidates(geometry, map, isa, layout, code):
            chosen = made(geometry, map, isa, candidate, code, layout, ("prelu", *slopes))
            assert_same(values(code, run(chosen, arrays)), expected)
        words: Any = {"dtype": code, "isa": isa, "layout": layout, "activation": ("prelu", *slopes)}
        plain = plan(geometry, map, algorithm="reference", **words)
        assert_same(values(code, run(plain, arrays)), expected)


@pytest.mark.parametrize("activation", [*BOUNDS, ("prelu", *(0.1 * c for c in range(29)))], ids=str)
def test_same_bits_for_any_number_of_threads(activation: Any) -> None:
    draw = np.random.default_rng(3)
    x, weight = (draw.standard_normal(s, np.float32) for s in ((2, 7, 40, 41), (7, 29, 4, 4)))
    before = _core.get_num_threads()
    try:
        found = []
        for count in (1, 2, 3, 5):
            tconv.set_num_threads(count)
            found.append(tconv.conv_transpose(x, weight, stride=2, padding=1, activation=activation))
    finally:
        tconv.set_num_threads(before)
    for one in found[1:]:
        assert_same(one, found[0], signed_zeros=True)


def test_the_table_names_all_of_the_engines() -> None:
    assert {"none", *ACTIVATIONS} == set(_core.Activation.__members__)
    for name, numbers in ACTIVATIONS.items():
        given = (name, *numbers.defaults) if numbers.defaults else name
        if numbers.defaults or not numbers.names:
            assert tconv.plan(ONE, activation=given).core.epilogue.numbers == list(numbers.defaults or ())
