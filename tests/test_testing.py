"""The list of problems, the exact data, and the comparison: right ones pass and wrong ones are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tconv
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.testing import assert_same, integer_arrays, load_cases, read_cases

CASES = load_cases()
LISTS = Path(tconv.__file__).parent


def test_there_are_at_least_120_different_cases() -> None:
    assert len(CASES) >= 120
    assert len({geometry for _, geometry in CASES}) == len(CASES)


#: What the list promises to hold; each property must hold for at least this many cases.
PROPERTIES = {
    "1-D": (20, lambda g: g.axes == 1),
    "2-D": (40, lambda g: g.axes == 2),
    "3-D": (15, lambda g: g.axes == 3),
    "uneven sizes": (10, lambda g: len(set(g.input)) > 1),
    "k < s": (8, lambda g: any(k < s for k, s in zip(g.kernel, g.stride, strict=True))),
    "k = s > 1": (6, lambda g: g.kernel == g.stride and min(g.stride) > 1),
    "huge kernels": (4, lambda g: max(g.kernel) >= 32),
    "dilation with stride": (12, lambda g: any(d > 1 < s for d, s in zip(g.dilation, g.stride, strict=True))),
    "common factors": (8, lambda g: any(np.gcd(d, s) > 1 for d, s in zip(g.dilation, g.stride, strict=True))),
    "groups": (10, lambda g: 1 < g.groups < g.in_channels),
    "depthwise": (8, lambda g: 1 < g.groups == g.in_channels),
    "asymmetric padding": (8, lambda g: any(lo != hi for lo, hi in g.padding)),
    "negative padding": (8, lambda g: any(min(sides) < 0 for sides in g.padding)),
    "output padding": (15, lambda g: any(g.output_padding)),
    "empty batch": (3, lambda g: g.batch == 0),
    "one input": (4, lambda g: max(g.input) == 1),
    "stride 1": (12, lambda g: max(g.stride) == 1),
    "stride 8 to 32": (8, lambda g: 8 <= max(g.stride) <= 32 and g.in_channels > 1),
    "ragged channels": (8, lambda g: g.in_channels > 16 and g.in_channels % 16 > 0),
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_cases_hold_what_they_promise(name: str) -> None:
    least, holds = PROPERTIES[name]
    assert sum(map(holds, (geometry for _, geometry in CASES))) >= least


def test_case_lines_are_written_as_str_writes_them() -> None:
    text = (LISTS / "cases.txt").read_text(encoding="utf-8")
    lines = [line.split("#")[0].split(maxsplit=1) for line in text.splitlines() if line.split("#")[0].strip()]
    assert [(name, problem.strip()) for name, problem in lines] == [(n, str(g)) for n, g in CASES]


def test_published_layers_are_read_and_written_alike() -> None:
    text = (LISTS / "bench" / "layers.txt").read_text(encoding="utf-8")
    layers = read_cases(text)
    assert len(layers) > 30
    for name, geometry in layers:
        assert f"{geometry}" in next(line for line in text.splitlines() if line.startswith(f"{name} "))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a c1>1 i4 k3\na c1>1 i4 k2", ["line 2", "'a'", "second"]),
        ("# note\n\nodd c1>1 i4", ["line 3", "'odd'", "k (kernel) missing"]),
        ("odd", ["line 1", "missing"]),
    ],
)
def test_a_bad_list_names_its_line(text: str, words: list[str]) -> None:
    with pytest.raises(TconvError) as caught:
        read_cases(text)
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "int64", "uint8", "complex64"])
def test_integer_arrays_are_small_whole_and_reproducible(dtype: str) -> None:
    geometry = Geometry.parse("n2 c4>6 i5x4 k3 s2 g2")
    arrays = integer_arrays(geometry, dtype, seed=3)
    shapes = [geometry.input_shape, geometry.weight_shape, (6,), geometry.output_shape]
    assert [array.shape for array in arrays] == shapes
    for array, again, other in zip(
        arrays, integer_arrays(geometry, dtype, 3), integer_arrays(geometry, dtype, 4), strict=True
    ):
        assert array.dtype == np.dtype(dtype)
        parts = np.concatenate([array.real.ravel(), array.imag.ravel()]).astype(float)
        assert set(np.abs(parts)) <= {0, 1, 2, 3}
        assert np.all(array != 0)
        assert np.array_equal(array, again)
        assert not np.array_equal(array, other)


def test_assert_same_accepts_equal_arrays() -> None:
    assert_same(np.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3))
    assert_same(np.zeros((0, 3), "f4"), np.zeros((0, 3), "f4"))
    assert_same(np.float64(2), np.float64(2))
    assert_same(np.array([np.nan, 1.0]), np.array([-np.nan, 1.0]))
    assert_same(np.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3).T.copy())


@pytest.mark.parametrize(
    ("actual", "expected", "words"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), ["(2, 3)", "(3, 2)"]),
        (np.zeros(2), np.zeros((2, 1)), ["(2,)", "(2, 1)"]),
        (np.zeros(2, "f4"), np.zeros(2, "f8"), ["float32", "float64"]),
        (
            np.array([[1, 2], [3, 4]]),
            np.array([[1, 2], [9, 8]]),
            ["2 of 4", "(1, 0)", "actual 3", "expected 9"],
        ),
        (np.array([1.0, np.nan]), np.array([1.0, 2.0]), ["(1,)", "actual nan", "expected 2.0"]),
        (np.array([1 + 2j]), np.array([1 - 2j]), ["(0,)", "(1+2j)", "(1-2j)"]),
        (np.float32(1), np.nextafter(np.float32(1), np.float32(2)), ["1 of 1", "()", "1.0000001"]),
    ],
)
def test_assert_same_refuses_what_differs_and_says_where(
    actual: np.ndarray, expected: np.ndarray, words: list[str]
) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_same(actual, expected)
    assert all(word in str(caught.value) for word in words)


def test_the_sign_of_zeros_counts_on_request() -> None:
    zeros = np.array([1.0, -0.0]), np.array([1.0, 0.0])
    assert_same(*zeros)
    with pytest.raises(AssertionError, match=r"\(1,\): actual -0.0, expected 0.0"):
        assert_same(*zeros, signed_zeros=True)
    for array in (np.arange(6.0).reshape(2, 3).T, np.array([np.nan, -0.0]), np.zeros((0, 2)), np.float32(3)):
        assert_same(array, array.copy(), signed_zeros=True)
