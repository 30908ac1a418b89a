"""Helpers for tests of transposed convolutions: problems, exact data, and an exact comparison.

>>> from tconv.views import col2im, scatter
>>> name, geometry = load_cases()[0]
>>> arrays = integer_arrays(geometry, "float32", seed=0)
>>> assert_same(col2im(arrays.x, arrays.weight, geometry), scatter(arrays.x, arrays.weight, geometry))
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tconv.arguments import checked
from tconv.errors import TconvError, clean
from tconv.geometry import Geometry

__all__ = ["Arrays", "assert_same", "integer_arrays", "load_cases", "read_cases"]

Array: TypeAlias = npt.NDArray[Any]


class Arrays(NamedTuple):
    """Data for the three maps of one Geometry."""

    x: Array  #: (n, c_in, *input)
    weight: Array  #: (c_in, c_out/g, *kernel)
    bias: Array  #: (c_out,)
    y: Array  #: (n, c_out, *output), for the adjoint and the weight gradient; not the output of x


@checked
def read_cases(text: str) -> list[tuple[str, Geometry]]:
    """The problems of a list: one NAME PROBLEM per line, `#` begins a comment; names must differ.

    >>> read_cases("up  n1 c1>1 i3x3 k4 s2 p1  # bilinear 2x")
    [('up', Geometry.parse('n1 c1>1 i3x3 k4 s2 p1'))]
    """
    cases: dict[str, Geometry] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, _, problem = line.split("#", 1)[0].strip().partition(" ")
        if not name:
            continue
        if name in cases:
            raise TconvError(f"line {number}: a second problem called {clean(name)!r}; give it another name")
        try:
            cases[name] = Geometry.parse(problem)
        except TconvError as error:
            raise TconvError(f"line {number}, {clean(name)!r}: {error}") from error
    return list(cases.items())


@checked
def load_cases() -> list[tuple[str, Geometry]]:
    """The problems of tconv's own list, cases.txt, as (name, Geometry).

    >>> len(load_cases()) >= 120
    True
    """
    return read_cases(files("tconv").joinpath("cases.txt").read_text(encoding="utf-8"))


@checked
def integer_arrays(geometry: Geometry, dtype: npt.DTypeLike = np.float32, seed: int = 0) -> Arrays:
    """Small whole numbers, never 0, so that a missing term shows and every sum is exact in float32.

    Magnitudes are at most 3, so an output is at most 9 * c_in/g * taps + 3: the result is the same for every
    order of summation.  Complex data has whole real and imaginary parts, unsigned data 1 to 3.
    """
    if seed < 0:
        raise TconvError(f"seed={seed}; 0 or more would fit")
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    values = np.array([1, 2, 3] if kind.kind == "u" else [-3, -2, -1, 1, 2, 3])

    def draw(shape: tuple[int, ...]) -> Array:
        real = rng.choice(values, shape)
        return (real + 1j * rng.choice(values, shape) if kind.kind == "c" else real).astype(kind)

    return Arrays(
        draw(geometry.input_shape),
        draw(geometry.weight_shape),
        draw((geometry.out_channels,)),
        draw(geometry.output_shape),
    )


@checked
def assert_same(actual: npt.ArrayLike, expected: npt.ArrayLike, *, signed_zeros: bool = False) -> None:
    """Raise AssertionError unless both have the same shape, dtype and bits.

    Any NaN equals any other.  0.0 equals -0.0, since the order of summation decides between them, unless
    `signed_zeros` asks for the sign of zeros too.
    The message names the first index that differs and both values.

    >>> assert_same([1, 2, 3], [1, 5, 3])
    Traceback (most recent call last):
    AssertionError: 1 of 3 values differ, the first at (1,): actual 2, expected 5
    """
    got, wanted = np.asarray(actual), np.asarray(expected)
    if got.shape != wanted.shape:
        raise AssertionError(f"shapes differ: actual {got.shape}, expected {wanted.shape}")
    if got.dtype != wanted.dtype:
        raise AssertionError(f"dtypes differ: actual {got.dtype}, expected {wanted.dtype}")
    same = _same_bits(got, wanted) if signed_zeros else got == wanted
    differing = np.argwhere(~(same | ((got != got) & (wanted != wanted))))
    if len(differing):
        first = tuple(int(i) for i in differing[0])
        raise AssertionError(
            f"{len(differing)} of {got.size} values differ, the first at {first}: "
            f"actual {got[first]}, expected {wanted[first]}"
        )


def _same_bits(a: Array, b: Array) -> Array:
    """Element by element, whether the bytes are equal."""
    bytes_of = [np.ascontiguousarray(array).reshape(-1, 1).view(np.uint8) for array in (a, b)]
    return np.asarray((bytes_of[0] == bytes_of[1]).all(axis=1)).reshape(a.shape)
