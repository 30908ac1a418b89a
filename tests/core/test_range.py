"""Numbers over the whole range of every dtype, infinities and NaN, against the sums of the terms that exist.

Also run by `make sanitize`, with matrix registers emulated.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from tconv._core import WinogradPlan
from tconv.geometry import Geometry
from tconv.planning import LAYOUTS, Layout, MapName, Plan, isas, plan
from tconv.planning.problem import MAPS
from tconv.testing import Arrays
from tests.core.helpers import (
    DTYPES,
    candidates,
    channels_last,
    made,
    parts,
    rounded,
    run,
    stored,
    values,
    with_box,
)


class Range(NamedTuple):
    """Exponents of the smallest and the largest numbers of a dtype, and its bits."""

    smallest: int
    largest: int
    bits: int


SINGLE, DOUBLE = Range(-149, 127, 24), Range(-1074, 1023, 53)
RANGES = {"f32": SINGLE, "c64": SINGLE, "f64": DOUBLE, "c128": DOUBLE}
RANGES |= {"f16": Range(-24, 15, 11), "bf16": Range(-133, 127, 8)}

GEOMETRIES = [
    Geometry.parse(text)
    for text in (
        "n2 c3>5 i7x6 k3 s2 p1",
        "n1 c5>3 i6x5 k4 s2 p1 o1",
        "n1 c33>18 i5x4 k2 s2",
        "n1 c4>6 i4x5 k3 p1 d2 g2",
        "n2 c2>3 i9 k16 s8 p3",
        "n1 c3>2 i3x4x3 k3 s2 p1",
        "n1 c2>2 i8 k5 s3 p-2",
        "n1 c18>34 i1x2 k2 s2",
    )
]

Numbers = Callable[[tuple[int, ...]], np.ndarray]


def define(geometry: Geometry, map: MapName, arrays: Arrays) -> np.ndarray:
    """The map, one kernel element at a time; what does not exist is not multiplied."""
    g = geometry.groups
    x = arrays.x.reshape(geometry.batch, g, -1, *geometry.input)
    y = arrays.y.reshape(geometry.batch, g, -1, *geometry.output)
    weight = arrays.weight.reshape(g, -1, geometry.out_channels // g, *geometry.kernel)
    out = np.zeros_like({"conv_transpose": y, "conv": x, "weight_gradient": weight}[map])
    for element in itertools.product(*(range(size) for size in geometry.kernel)):
        at_x, at_y = [], []
        for axis, k in enumerate(element):
            i = np.arange(geometry.input[axis])
            u = i * geometry.stride[axis] + k * geometry.dilation[axis] - geometry.padding[axis][0]
            kept = (u >= 0) & (u < geometry.output[axis])
            at_x.append(i[kept])
            at_y.append(u[kept])
        here, there, own = (..., *np.ix_(*at_x)), (..., *np.ix_(*at_y)), (..., *element)
        if map == "conv_transpose":
            out[there] += np.einsum("ngi...,gio->ngo...", x[here], weight[own])
        elif map == "conv":
            out[here] += np.einsum("ngo...,gio->ngi...", y[there], weight[own])
        else:
            flat = (side.reshape(*side.shape[:3], -1) for side in (x[here], y[there]))
            out[own] = np.einsum("ngip,ngop->gio", *flat)
    shape = {"conv_transpose": geometry.output_shape, "conv": geometry.input_shape}
    return out.reshape(shape.get(map, geometry.weight_shape))


def power(exponents: np.ndarray) -> np.ndarray:
    return np.ldexp(np.longdouble(1), exponents)


def around(draw: np.random.Generator, low: float, high: float) -> Numbers:
    """Numbers of either sign with exponents from `low` to `high`, log-uniform, and some zeros."""

    def numbers(shape: tuple[int, ...]) -> np.ndarray:
        exponents = draw.integers(int(low), int(high) + 1, shape)
        signs = draw.choice([-1, -1, -1, 1, 1, 1, 0], shape)
        return signs * power(exponents) * draw.uniform(1, 2, shape)

    return numbers


def sprinkled(numbers: Numbers, draw: np.random.Generator, share: float, special: list[float]) -> Numbers:
    def some(shape: tuple[int, ...]) -> np.ndarray:
        made = numbers(shape)
        return np.where(
            draw.random(shape) < share, draw.choice(np.array(special, np.longdouble), shape), made
        )

    return some


def pairs(code: str, draw: np.random.Generator) -> dict[str, tuple[Numbers, Numbers]]:
    """Two operands of a map, in ways in which an algorithm could fail."""
    r = RANGES[code]
    whole = around(draw, r.smallest, r.largest)
    centre = draw.uniform(max(r.smallest, -r.largest) + 8, r.largest - 8)
    usual = around(draw, -4, 4)
    most, least = power(np.array(r.largest)) * (2 - power(np.array(1 - r.bits))), power(np.array(r.smallest))
    special = [np.inf, -np.inf, np.nan, most, -most, least, -least, 0.0, -0.0]
    largest = sprinkled(usual, draw, 0.3, [most, -most, most * (1 - power(np.array(-7)))])
    tiny = sprinkled(usual, draw, 0.3, [least, -least, least * 2.0 ** (r.bits - 1)])
    return {
        "anything": (whole, whole),
        "anything and special numbers": (
            sprinkled(whole, draw, 0.02, special),
            sprinkled(whole, draw, 0.02, special),
        ),
        "a large and a small factor": (
            around(draw, centre - 8, centre + 8),
            around(draw, max(r.smallest, -centre - 8), min(r.largest, -centre + 8)),
        ),
        "some infinite": (sprinkled(usual, draw, 0.02, [np.inf, -np.inf]), usual),
        "some special": (sprinkled(usual, draw, 0.02, special), sprinkled(usual, draw, 0.01, special)),
        "one infinite factor": (usual, sprinkled(usual, draw, 0.01, [np.inf])),
        "the largest": (largest, around(draw, -12, -9)),
        "times the largest": (around(draw, -12, -9), largest),
        "the smallest": (tiny, around(draw, r.largest - 8, r.largest - 4)),
        "times the smallest": (around(draw, r.largest - 8, r.largest - 4), tiny),
        "one value": (lambda shape: np.full(shape, np.nan, np.longdouble), usual),
    }


def kinds(geometry: Geometry, map: MapName, isa: str, layout: Layout, code: str) -> list[Plan]:
    """The cheapest plan of each kind but Winograd's, which mixes the numbers of a window, and small boxes."""
    found = {}
    for candidate in sorted(
        candidates(geometry, map, isa, layout, code), key=lambda candidate: candidate.cost
    ):
        if not isinstance(candidate.part, WinogradPlan):
            part = candidate.part
            ways = (getattr(part, name, None) for name in ("lanes", "im2col", "gathered"))
            kind = type(part), parts(candidate), *ways
            found.setdefault(kind, candidate)
    small = [with_box(candidate, lambda size: -(-size // 2)) for candidate in found.values()]
    plans = [made(geometry, map, isa, candidate, code, layout) for candidate in (*found.values(), *small)]
    return [*plans, plan(geometry, map, dtype=code, isa=isa, layout=layout, algorithm="reference")]


class Expected(NamedTuple):
    exact: np.ndarray
    size: np.ndarray  #: the sum of the sizes of the finite terms
    lost: np.ndarray  #: the most that a weight gradient in matrix registers may lose of subnormal parts

    def plus(self, other: Expected, sign: int = 1) -> Expected:
        return Expected(self.exact + sign * other.exact, self.size + other.size, self.lost + other.lost)


def expected(geometry: Geometry, map: MapName, arrays: Arrays) -> Expected:
    """Of real numbers, in their own precision, which is wider than the engine's."""
    sizes = Arrays(*(np.where(np.isfinite(array), abs(array), 0) for array in arrays))
    part = Arrays(*(np.minimum(array, array.dtype.type(2.0**-125)) for array in sizes))
    lost = define(geometry, map, sizes._replace(x=part.x)) + define(geometry, map, sizes._replace(y=part.y))
    return Expected(define(geometry, map, arrays), define(geometry, map, sizes), lost)


def terms(geometry: Geometry, map: MapName) -> int:
    taps = int(np.prod(geometry.kernel))
    return {
        "conv_transpose": taps * geometry.in_channels,
        "conv": taps * geometry.out_channels,
        "weight_gradient": geometry.batch * int(np.prod(geometry.input)),
    }[map]


def sums_of(code: str) -> Range:
    return DOUBLE if code in ("f64", "c128") else SINGLE


def bound(chosen: Plan, count: int, wanted: Expected) -> np.ndarray:
    """The error before the last rounding: of `count` roundings, and of what is below the smallest numbers."""
    sums, wide = sums_of(chosen.dtype), wanted.size.dtype.type
    relative, absolute = (count + 2) * wide(2.0) ** (1 - sums.bits), count * wide(2.0) ** sums.smallest
    if not getattr(chosen.core.part, "parts", 0):
        return relative * wanted.size + absolute
    relative += wide(2.0**-20)  # products below 2^-21 of a term are omitted
    if chosen.map == "weight_gradient":
        return relative * wanted.size + wanted.lost + count * wide(2.0**-120)
    return relative * wanted.size + count * wide(2.0**-100)


def check(chosen: Plan, got: np.ndarray, wanted: Expected, count: int) -> None:
    """Holds where partial sums cannot overflow; there, infinities and NaN are those of the terms."""
    real = {"c64": "f32", "c128": "f64"}.get(chosen.dtype, chosen.dtype)
    error, exact = bound(chosen, count, wanted), wanted.exact
    claimed = wanted.size < np.ldexp(wanted.size.dtype.type(1), sums_of(chosen.dtype).largest)
    with np.errstate(invalid="ignore"):
        low, high = rounded(real, exact - error), rounded(real, exact + error)
        right = np.where(np.isnan(exact), np.isnan(got), (low <= got) & (got <= high))
    wrong = claimed & ~right
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        pytest.fail(
            f"{chosen.geometry} {chosen.map} {chosen.kernel} {chosen.layout} {chosen.core.part}: "
            f"{wrong.sum()} of {wrong.size}, first {at}: {got[at]}, where {exact[at]} +- {error[at]} is right"
        )


def operands(geometry: Geometry, map: MapName, pair: tuple[Numbers, Numbers]) -> Arrays:
    """Arrays of which the two that the map reads are drawn."""
    shapes = {"x": geometry.input_shape, "weight": geometry.weight_shape, "y": geometry.output_shape}
    read = {"conv_transpose": ("x", "weight"), "conv": ("y", "weight"), "weight_gradient": ("x", "y")}[map]
    made = {name: np.zeros(shape, np.longdouble) for name, shape in shapes.items()}
    for name, numbers in zip(read, pair, strict=True):
        made[name] = numbers(shapes[name])
    return Arrays(made["x"], made["weight"], np.zeros(1, np.longdouble), made["y"])


def packed_before(chosen: Plan, arrays: Arrays) -> np.ndarray:
    """The output where weights are packed separately."""
    if chosen.map == "weight_gradient" or not chosen.runner.packed_bytes:
        return run(chosen, arrays)
    packed = chosen.runner.pack(arrays.weight)
    source = arrays.x if chosen.map == "conv_transpose" else arrays.y
    shape = chosen.geometry.output_shape if chosen.map == "conv_transpose" else chosen.geometry.input_shape
    last = chosen.layout == "channels_last"
    out = np.zeros((shape[0], *shape[2:], shape[1]) if last else shape, source.dtype)
    chosen.runner.run(channels_last(source) if last else source, packed, None, out)
    return np.moveaxis(out, -1, 1) if last else out


@pytest.mark.parametrize(
    ("geometry", "code"),
    [
        pytest.param(geometry, code, id=f"{code} {geometry}")
        for geometry, code in itertools.product(GEOMETRIES, RANGES)
        if code[0] != "c" or geometry in GEOMETRIES[:1] + GEOMETRIES[3:5]
    ],
)
@pytest.mark.filterwarnings("ignore:.*encountered")
def test_every_number_is_within_the_bound(geometry: Geometry, code: str) -> None:
    real = {"c64": "f32", "c128": "f64"}.get(code, code)
    draw = np.random.default_rng(GEOMETRIES.index(geometry))
    wide = np.longdouble if real == "f64" else np.float64
    for map, pair in itertools.product(MAPS, pairs(real, draw).values()):
        drawn = [operands(geometry, map, pair) for _ in range(1 if code == real else 2)]
        kept = [Arrays(*(stored(real, array) for array in one)) for one in drawn]
        re, *im = [Arrays(*(values(real, array).astype(wide) for array in one)) for one in kept]
        with np.errstate(all="ignore"):
            wanted = [expected(geometry, map, re)]
            if im:  # four real products
                left = {"conv": "y"}.get(map, "x")
                right = {"weight_gradient": "y"}.get(map, "weight")
                cross = {left: getattr(im[0], left)}, {right: getattr(im[0], right)}
                wanted = [
                    wanted[0].plus(expected(geometry, map, im[0]), -1),
                    expected(geometry, map, re._replace(**cross[0])).plus(
                        expected(geometry, map, re._replace(**cross[1]))
                    ),
                ]
        arrays = kept[0]
        if im:
            arrays = Arrays(
                *(np.stack(both, -1).view(DTYPES[code])[..., 0] for both in zip(*kept, strict=True))
            )
        count = terms(geometry, map) * len(wanted)
        for isa, layout in itertools.product(isas(), LAYOUTS):
            for chosen in kinds(geometry, map, isa, layout, code):
                got = run(chosen, arrays)
                again = packed_before(chosen, arrays)
                np.testing.assert_array_equal(got, again)
                number = values(code, got)
                for part, one in zip((number.real, number.imag), wanted, strict=False):
                    check(chosen, part.astype(wide), one, count)


@pytest.mark.parametrize("code", ["f32", "f64", "f16", "bf16"])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.filterwarnings("ignore:.*encountered")
def test_bias_and_activation_follow_infinities(geometry: Geometry, code: str) -> None:
    """An infinite weight, at borders that it does not reach, and some infinities in x."""
    draw = np.random.default_rng(7)
    usual = around(draw, -2, 2)
    one = operands(geometry, "conv_transpose", (sprinkled(usual, draw, 0.01, [-np.inf]), usual))
    one.weight[(0,) * one.weight.ndim] = np.inf
    bias = usual((geometry.out_channels,))
    arrays = Arrays(*(stored(code, array) for array in (one.x, one.weight, bias, one.y)))
    wide = Arrays(*(values(code, array).astype(np.longdouble) for array in arrays))
    sums = expected(geometry, "conv_transpose", wide)
    shift = wide.bias.reshape(-1, *[1] * geometry.axes)
    exact = sums.exact + shift
    wanted = Expected(np.where(exact < 0, exact / 2, exact), sums.size + abs(shift), sums.lost)
    for isa, layout in itertools.product(isas(), LAYOUTS):
        for candidate in candidates(geometry, "conv_transpose", isa, layout, code):
            if not isinstance(candidate.part, WinogradPlan):
                chosen = made(geometry, "conv_transpose", isa, candidate, code, layout, ("leaky_relu", 0.5))
                got = values(code, run(chosen, arrays, arrays.bias)).astype(np.longdouble)
                check(chosen, got, wanted, terms(geometry, "conv_transpose") + 2)


@pytest.mark.parametrize("dtype", [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)])
@pytest.mark.parametrize("geometry", GEOMETRIES[:5], ids=str)
def test_integers_wrap_in_their_own_width(geometry: Geometry, dtype: str) -> None:
    """Against Python's integers, which do not."""
    draw = np.random.default_rng(8)
    info = np.iinfo(dtype)
    shapes = geometry.input_shape, geometry.weight_shape, (1,), geometry.output_shape
    arrays = Arrays(*(draw.integers(info.min, info.max, shape, dtype, endpoint=True) for shape in shapes))
    for array in arrays:
        array.flat[0], array.flat[-1] = info.min, info.max
    whole = Arrays(*(array.astype(object) for array in arrays))
    for map, layout in itertools.product(MAPS, LAYOUTS):
        chosen = plan(geometry, map, dtype=dtype.replace("uint", "u").replace("int", "i"), layout=layout)
        wrapped = (define(geometry, map, whole) - int(info.min)) % 2**info.bits + int(info.min)
        source, weight, shape = {
            "conv_transpose": (arrays.x, arrays.weight, geometry.output_shape),
            "conv": (arrays.y, arrays.weight, geometry.input_shape),
            "weight_gradient": (arrays.x, arrays.y, geometry.weight_shape),
        }[map]
        last, layer = layout == "channels_last", map != "weight_gradient"
        if last:
            source, weight = channels_last(source), weight if layer else channels_last(weight)
            shape = (shape[0], *shape[2:], shape[1]) if layer else shape
        out = np.ones(shape, dtype)
        chosen.runner.run(source, weight, None, out)
        assert (np.moveaxis(out, -1, 1) if last and layer else out).tolist() == wrapped.tolist()
