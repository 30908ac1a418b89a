"""Random problems over all dtypes, maps, layouts, instruction sets and plans, against the definitions."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tconv import TconvError, _core
from tconv.geometry import Geometry
from tconv.planning import LAYOUTS, MapName, Plan, isas, plan
from tconv.planning.problem import DTYPES, MAPS
from tconv.testing import Arrays, assert_same
from tests.core.helpers import DEFINITIONS, candidates, made, run, stored, values

__all__ = ["check", "geometry"]

Random = np.random.Generator

#: Products of a problem at most: the definitions are slow.
_PRODUCTS = 2e6


class Numbers(NamedTuple):
    """What bounds the error of a dtype."""

    sums: float  #: unit roundoff of the sums
    stored: float  #: unit roundoff of the output
    exponents: tuple[int, int]  #: of random factors
    largest: float  #: finite output
    least: float  #: the distance between subnormal outputs


_SINGLE = Numbers(2**-24, 2**-24, (-30, 30), 2.0**128, 2.0**-149)
_DOUBLE = Numbers(2**-53, 2**-53, (-200, 200), math.inf, 0.0)
_NUMBERS = {
    "f32": _SINGLE,
    "c64": _SINGLE,
    "f64": _DOUBLE,
    "c128": _DOUBLE,
    "f16": Numbers(2**-24, 2**-11, (-12, 2), 65504, 2.0**-24),
    "bf16": Numbers(2**-24, 2**-8, (-30, 30), 2.0**128, 2.0**-133),
}
_INTEGERS = {name: np.dtype(f"{name[0]}{int(name[1:]) // 8}") for name in DTYPES if name not in _NUMBERS}


def geometry(random: Random) -> Geometry:
    """A valid problem of 1 to 3 axes, with uneven and negative padding, dilation and groups."""
    while True:
        axes = int(random.integers(1, 4))

        def each(low: int, high: int, axes: int = axes) -> list[int]:
            return [int(random.integers(low, high)) for _ in range(axes)]

        groups = int(random.choice([1, 1, 1, 2, 3]))
        inputs, outputs = (groups * int(random.choice([1, 2, 3, 5, 8, 16, 17, 33, 64])) for _ in range(2))
        size = each(1, {1: 70, 2: 14, 3: 7}[axes])
        kernel, stride = each(1, 7), each(1, 5)
        dilation = each(1, 3) if random.random() < 0.4 else [1] * axes
        lo, hi = each(-2, 4), each(-2, 4)
        products = inputs * outputs / groups * math.prod(size) * math.prod(kernel)
        if products > _PRODUCTS:
            continue
        text = (
            f"n{random.integers(1, 4)} c{inputs}>{outputs} i{_by(size)} k{_by(kernel)} s{_by(stride)}"
            f" p{'x'.join(f'{a}:{b}' for a, b in zip(lo, hi, strict=True))}"
            f" o{_by([int(random.integers(0, s)) for s in stride])} d{_by(dilation)} g{groups}"
        )
        try:
            return Geometry.parse(text)
        except TconvError:  # no output is left
            continue


def _by(numbers: list[int]) -> str:
    return "x".join(map(str, numbers))


def check(random: Random, code: str = "") -> str:
    """Run one plan for one random problem, of a random dtype unless `code` names it, and compare.

    Returns what was run: the dtype and the algorithm.

    Raises:
        AssertionError: an output is outside the bound of its own terms, or an integer is not exact.
    """
    g = geometry(random)
    map: MapName = MAPS[random.integers(len(MAPS))]
    if not code:
        kinds = tuple(_NUMBERS if random.random() < 0.8 else _INTEGERS)
        code = kinds[random.integers(len(kinds))]
    layout = LAYOUTS[random.integers(len(LAYOUTS))]
    isa = isas()[random.integers(len(isas()))]
    threads = int(random.integers(1, 4))
    options = candidates(g, map, isa, layout, code)
    if options and random.random() < 0.9:
        kinds_of_part = sorted({type(option.part).__name__ for option in options})
        part = kinds_of_part[random.integers(len(kinds_of_part))]
        options = [option for option in options if type(option.part).__name__ == part]
        chosen = made(g, map, isa, options[random.integers(len(options))], code, layout)
    else:
        chosen = plan(g, map, dtype=code, isa=isa, layout=layout)
    before = _core.get_num_threads()
    _core.set_num_threads(threads)
    try:
        (_whole if code in _INTEGERS else _within)(chosen, random)
    except AssertionError as fault:
        raise AssertionError(f"{threads} threads, {chosen!r}: {fault}") from fault
    finally:
        _core.set_num_threads(before)
    return f"{code} {chosen.algorithm}"


def _whole(chosen: Plan, random: Random) -> None:
    """Integers of the whole range: sums wrap as they do modulo 2^64."""
    g, kind = chosen.geometry, _INTEGERS[chosen.dtype]
    span = np.iinfo(kind)
    arrays = Arrays(
        *(random.integers(span.min, span.max, shape, dtype=kind, endpoint=True) for shape in _shapes(g))
    )
    wide = Arrays(*(array.astype(np.uint64) for array in arrays))
    with np.errstate(invalid="ignore"):  # the NaN of unwritten cells
        got = run(chosen, arrays)
    assert_same(got, DEFINITIONS[chosen.map](wide, g).astype(kind))


def _within(chosen: Plan, random: Random) -> None:
    """|error| <= terms * eps * sum of |products|, and rounding of the output (Higham 2002, section 3.1)."""
    g, code, map = chosen.geometry, chosen.dtype, chosen.map
    numbers = _NUMBERS[code]

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        size = np.ldexp(
            random.uniform(1, 2, shape), random.integers(*numbers.exponents, shape, endpoint=True)
        )
        return size * random.choice([-1, -1, 0, 1, 1], shape)

    by_parts = code[0] == "c"
    arrays = Arrays(
        *(stored(code, draw(shape) + 1j * draw(shape) if by_parts else draw(shape)) for shape in _shapes(g))
    )
    double = numbers is _DOUBLE
    kind = (
        (np.clongdouble if double else np.complex128)
        if by_parts
        else (np.longdouble if double else np.float64)
    )
    wide = Arrays(*(values(code, array).astype(kind) for array in arrays))
    exact = DEFINITIONS[map](wide, g)
    sizes = DEFINITIONS[map](Arrays(*(abs(array) for array in wide)), g)
    terms = (
        1
        + {
            "conv_transpose": g.in_channels // g.groups * math.prod(g.kernel),
            "conv": g.out_channels // g.groups * math.prod(g.kernel),
            "weight_gradient": g.batch * math.prod(g.input),
        }[map]
    )
    if chosen.algorithm == "winograd":  # relative to the largest value: see tests/core/test_kernels.py
        reach = abs(wide.weight).sum(axis=(0, *range(2, wide.weight.ndim))).max()
        sizes = np.full_like(sizes, 36 * abs(wide.x).max() * reach)
        terms += 8 + numbers.stored / numbers.sums  # its transformed weights are kept in their dtype
    bound = (4 if by_parts else 1) * terms * numbers.sums * sizes
    bound = bound + numbers.stored * (abs(exact) + bound) + terms * numbers.least
    with np.errstate(invalid="ignore"):
        got = values(code, run(chosen, arrays)).astype(kind)
        fine = abs(got - exact) <= bound
    over = abs(exact) + bound > numbers.largest
    fine |= over & np.isinf(got) & (np.signbit(got.real) == np.signbit(exact.real)) if not by_parts else over
    if not fine.all():
        at = tuple(int(i) for i in np.argwhere(~fine)[0])
        raise AssertionError(
            f"{(~fine).sum()} outputs, first {at}: {got[at]}, exactly {exact[at]}, bound {bound[at]}"
        )


def _shapes(g: Geometry) -> tuple[tuple[int, ...], ...]:
    return g.input_shape, g.weight_shape, (g.out_channels,), g.output_shape
