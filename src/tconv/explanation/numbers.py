"""Real numbers for a layer, read from text or arrays and computed with exactly.

Every value is an integer over one denominator per array, so that sums are exact in Python's integers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tconv import filters
from tconv.errors import TconvError
from tconv.files import read_npy
from tconv.geometry import Geometry
from tconv.geometry.axis import reach
from tconv.geometry.normalize import shown

__all__ = ["Exact", "Numbers", "read"]

Array: TypeAlias = npt.NDArray[Any]

BUILT_IN = ("count", "ones")
DIGITS = 400  # binary digits of a numerator


@dataclass(frozen=True, slots=True)
class Exact:
    """An array of integers, each divided by `over`."""

    whole: Array  # of Python's integers
    over: int

    @classmethod
    def of(cls, name: str, array: Array) -> Exact:
        """The same numbers, exactly: a decimal as it is written, a float as the fraction that it is."""
        if array.dtype.kind not in "biufO":
            raise TconvError(f"{name} has dtype {array.dtype}; real numbers would fit")
        plain = array.astype(np.float64) if array.dtype.kind == "f" else array
        values = [_fraction(name, value) for value in plain.ravel().tolist()]
        over = lcm(*(value.denominator for value in values)) if values else 1
        whole = [int(value * over) for value in values]
        if max(map(abs, [*whole, over]), default=1).bit_length() > DIGITS:
            raise TconvError(
                f"{name}: its numbers need more than {DIGITS} binary digits to be exact; numbers of "
                "similar size and with fewer digits would fit"
            )
        numerators = np.empty(len(whole), object)
        numerators[:] = whole
        return cls(numerators.reshape(array.shape), over)

    def __getitem__(self, index: Any) -> Fraction:
        """One number."""
        return Fraction(int(self.whole[index]), self.over)

    def values(self) -> Iterator[Fraction]:
        """All numbers."""
        return (Fraction(whole, self.over) for whole in self.whole.ravel().tolist())

    def total(self) -> Fraction:
        """The sum of all numbers."""
        return sum(self.values(), Fraction(0))


@dataclass(frozen=True, slots=True)
class Numbers:
    """The input and the weight of a layer, in the shapes of its geometry."""

    x: Exact
    weight: Exact

    def through(self, view: Callable[..., Array], geometry: Geometry) -> Exact:
        """The output of a view of `tconv.views`: linear in both, so denominators are multiplied at the end.

        >>> from tconv.views import scatter
        >>> g = Geometry.parse("n1 c1>1 i1 k2")
        >>> made = read(g, "123456789123.5", "1000000000001,0.1").through(scatter, g)
        >>> [str(made[0, 0, o]) for o in range(2)]
        ['246913578247246913578247/2', '246913578247/20']
        """
        return Exact(view(self.x.whole, self.weight.whole, geometry), self.x.over * self.weight.over)


def _fraction(name: str, value: Any) -> Fraction:
    try:
        if isinstance(value, str):  # a long exponent would take all memory; see _decimal
            raise TypeError
        return Fraction(value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        raise TconvError(f"{name}: {shown(value)} is not a finite real number") from None


def read(geometry: Geometry, x: object, weight: object) -> Numbers:
    """The two arrays of `geometry`, from arrays, .npy files, `1,2;3,4`, `[[1, 2], [3, 4]]` or names.

    Names: `count` (1, 2, 3, ...), `ones`, and for the weight the filters of `tconv.filters`.  Axes of length
    1 may be left out at the front.
    """
    g = geometry
    if not g.batch:
        raise TconvError(f"{g}: an empty batch has no numbers; n1 would fit")
    for name, count, most in _sizes(g):
        if count > most:
            raise TconvError(
                f"{g}: {count:,} {name} are too many to compute one by one; up to {most:,} would fit"
            )
    return Numbers(
        Exact.of("X", _shaped(g, "X", _array(g, "X", x, g.input_shape), g.input_shape)),
        Exact.of("W", _shaped(g, "W", _array(g, "W", weight, g.weight_shape), g.weight_shape)),
    )


def _sizes(g: Geometry) -> Iterator[tuple[str, int, int]]:
    """What the five views iterate over, and the largest number of it that takes seconds."""
    axes = [g.axis(a) for a in range(g.axes)]
    stretched = prod((x.input - 1) * x.stride + 1 + 2 * reach(x.kernel, x.dilation) for x in axes)
    yield "inputs", prod(g.input_shape), 20_000
    yield "pairs of channels", g.in_channels * g.weight_shape[1], 50_000
    yield "phases", prod(g.stride), 100_000
    yield "multiplications", g.macs, 600_000
    yield "outputs", prod(g.output_shape), 600_000
    # In all but the stamp a tap visits every cell, also those where it meets no input.
    visits = g.batch * g.in_channels * g.weight_shape[1] * prod(g.kernel) * prod(g.output)
    yield "visits of taps to outputs", visits, 50_000_000
    yield "cells with inserted zeros", g.batch * g.in_channels * stretched, 600_000


def _shaped(g: Geometry, name: str, array: Array, shape: tuple[int, ...]) -> Array:
    front = len(shape) - array.ndim
    if front < 0 or (1,) * front + array.shape != shape:
        raise TconvError(f"{g}: {name} has shape {array.shape}; {shape} would fit")
    return array.reshape(shape)


def _array(g: Geometry, name: str, given: object, shape: tuple[int, ...]) -> Array:
    if not isinstance(given, str | Path):
        try:
            return np.asarray(given)
        except ValueError:
            raise TconvError(
                f"{name}: {shown(given)} is not an array; rows of equal length would fit"
            ) from None
    text = str(given).strip()
    if text == "count":
        return np.arange(1, prod(shape) + 1).reshape(shape)
    if text == "ones":
        return np.ones(shape, int)
    if name == "W" and text in filters.FILTERS:
        return _interpolation(g, text)
    if text.endswith(".npy"):
        return read_npy(Path(text))
    return _inline(name, text)


def _inline(name: str, text: str) -> Array:
    """`1,2;3,4` or nested lists; a decimal keeps its written value."""
    try:
        if text.startswith("["):
            return np.array(json.loads(text, parse_float=_decimal), object)
        rows = np.array([[_decimal(n) for n in row.split(",")] for row in text.split(";")], object)
    except (ValueError, ZeroDivisionError, RecursionError):
        known = ", ".join((*BUILT_IN, *(filters.FILTERS if name == "W" else ())))
        raise TconvError(
            f"{name}: cannot read {shown(text)}; a .npy file, numbers such as 1,2;3,4 or [[1, 2], [3, 4]], "
            f"or {known} would fit"
        ) from None
    return rows[0] if len(rows) == 1 else rows


def _decimal(text: str) -> Fraction:
    """`0.25`, `1e-3`, `1/3`; an exponent of more than three digits would take all memory."""
    if re.search("[eE][-+]?[0-9]{4}", text):
        raise ValueError(text)
    return Fraction(text)


def _interpolation(g: Geometry, name: str) -> Array:
    """A filter of `tconv.filters` on every channel separately, as FCN is initialised."""
    factor = g.stride[0]
    kernel = filters.options(name, factor)["kernel"]
    if set(g.stride) != {factor} or set(g.kernel) != {kernel}:
        raise TconvError(f"{g}: the {name} filter for stride {factor} has k{kernel} s{factor}, on every axis")
    each = g.in_channels // g.groups
    if g.weight_shape[1] != each:
        raise TconvError(
            f"{g}: the {name} filter acts on each channel separately; equal numbers of channels would fit"
        )
    weight = np.zeros(g.weight_shape)
    for c in range(g.in_channels):
        weight[c, c % each] = filters.make(name, factor, g.axes)
    return weight
