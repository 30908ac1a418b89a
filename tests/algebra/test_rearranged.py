"""Weights arranged anew: flipped, with zeros stored, axis by axis; on every problem of the list."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest

from tconv import TconvError, algebra, filters, views
from tconv.algebra.arrays import Array
from tconv.geometry import Geometry
from tconv.testing import assert_same, integer_arrays, load_cases

CASES = [g for _, g in load_cases() if g.macs < 2e7]


def correlated(x: Array, weight: Array, dilation: tuple[int, ...], groups: int) -> Array:
    """The convolution of frameworks, stride 1, without padding: a sum over taps of shifted inputs."""
    n, c, *sizes = x.shape
    outputs, share, *kernel = weight.shape
    made = [i - d * (k - 1) for i, d, k in zip(sizes, dilation, kernel, strict=True)]
    y = np.zeros((n, groups, outputs // groups, *made), x.dtype)
    parted = x.reshape(n, groups, c // groups, *sizes)
    taps = weight.reshape(groups, outputs // groups, share, *kernel)
    for at in np.ndindex(*kernel):
        starts = [t * d for t, d in zip(at, dilation, strict=True)]
        window = tuple(slice(a, a + m) for a, m in zip(starts, made, strict=True))
        y += np.einsum("goc,ngc...->ngo...", taps[(..., *at)], parted[(..., *window)])
    return y.reshape(n, outputs, *made)


def padded(x: Array, sides: tuple[tuple[int, int], ...]) -> Array:
    """`x` with zeros around it; negative sides crop."""
    grown = np.pad(x, [(0, 0), (0, 0), *((max(lo, 0), max(hi, 0)) for lo, hi in sides)])
    ends = (
        slice(max(-lo, 0), size - max(-hi, 0)) for (lo, hi), size in zip(sides, grown.shape[2:], strict=True)
    )
    return grown[(slice(None), slice(None), *ends)]


def test_stride_one_is_a_convolution() -> None:
    checked = 0
    for g in CASES:
        if set(g.stride) != {1}:
            continue
        given = integer_arrays(g, np.int64, seed=checked)
        flipped = algebra.flip_stride_one(given.weight, g.padding, g.output_padding, g.dilation, g.groups)
        made = correlated(padded(given.x, flipped.padding), flipped.weight, g.dilation, g.groups)
        assert_same(made, views.scatter(given.x, given.weight, g))
        checked += 1
    assert checked >= 20


def test_zeros_stored_for_dilation_and_groups() -> None:
    dilated = grouped = 0
    for g in CASES:
        given = integer_arrays(g, np.int64)
        expected = views.scatter(given.x, given.weight, g)
        if set(g.dilation) != {1} and all(o < s for o, s in zip(g.output_padding, g.stride, strict=True)):
            made = algebra.spread_dilation(given.weight, g.dilation)
            without = replace(g, dilation=(1,) * g.axes, kernel=made.shape[2:])
            assert_same(views.scatter(given.x, made, without), expected)
            dilated += 1
        if g.groups > 1:
            dense = algebra.dense_groups(given.weight, g.groups)
            assert dense.shape == (g.in_channels, g.out_channels, *g.kernel)
            assert_same(views.scatter(given.x, dense, replace(g, groups=1)), expected)
            grouped += 1
    assert dilated >= 10
    assert grouped >= 10


def test_taps_of_zero_are_output_padding() -> None:
    checked = 0
    for g in CASES:
        if not any(g.output_padding):
            continue
        given = integer_arrays(g, np.int64)
        extra = [-(-o // d) for o, d in zip(g.output_padding, g.dilation, strict=True)]
        longer = algebra.append_taps(given.weight, extra)
        hi = [
            hi - o + e * d
            for (_, hi), o, e, d in zip(g.padding, g.output_padding, extra, g.dilation, strict=True)
        ]
        without = replace(
            g, kernel=longer.shape[2:], output_padding=(0,) * g.axes,
            padding=tuple((lo, h) for (lo, _), h in zip(g.padding, hi, strict=True)),
        )  # fmt: skip
        assert_same(views.scatter(given.x, longer, without), views.scatter(given.x, given.weight, g))
        checked += 1
    assert checked >= 10
    with pytest.raises(TconvError, match=r"^extra=-1 taps; 0 or more"):
        algebra.append_taps(np.ones((1, 1, 2)), -1)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_outer_products_come_apart(axes: int) -> None:
    """Layers an axis each, one after another, equal the whole: the first has the groups of its inputs."""
    rng = np.random.default_rng(axes)
    lines = [
        rng.choice([-4, -2, 1, 2, 4], (3, 2, *(3 if a == b else 1 for b in range(axes)))) for a in range(axes)
    ]
    weight = np.float64(prod(lines[1:], start=lines[0]))
    g = Geometry.make(
        in_channels=3, out_channels=6, input=(4, 3, 2)[:axes], kernel=(3,) * axes, stride=2, groups=3,
        padding=((1, 0), (0, 1), (1, 1))[:axes], output_padding=1,
    )  # fmt: skip
    x = integer_arrays(g, np.float64).x
    parts = algebra.split_axes(weight)
    assert [part.shape for part in parts] == [line.shape for line in lines]
    y = x
    for a, part in enumerate(parts):
        here = part if a == 0 else part.reshape(6, 1, *part.shape[2:])

        def only(values: tuple, other: object, a: int = a) -> tuple:
            return tuple(value if b == a else other for b, value in enumerate(values))

        along = Geometry.make(
            in_channels=y.shape[1], out_channels=6, input=y.shape[2:], kernel=here.shape[2:],
            groups=len(here), stride=only(g.stride, 1), padding=only(g.padding, (0, 0)),
            output_padding=only(g.output_padding, 0),
        )  # fmt: skip
        y = views.scatter(y, here, along)
    assert_same(y, views.scatter(x, weight, g))


def test_filters_made_axis_by_axis_come_apart() -> None:
    for name in filters.FILTERS:
        weight = np.float32(filters.make(name, 3, 2)[None, None])
        down, across = algebra.split_axes(weight)
        np.testing.assert_allclose(down * across, weight, rtol=3e-7, atol=1e-9)
    assert not algebra.split_axes(np.zeros((1, 1, 2, 2)))[1].any()


def test_what_is_no_outer_product_is_refused() -> None:
    ring = np.float32([[[[1, 1, 1], [1, 0, 1], [1, 1, 1]]]])
    with pytest.raises(TconvError, match=r"^filters \(3, 3\) are not outer products .* remainder is 1; "):
        algebra.split_axes(ring)
    almost = np.ones((2, 1, 2, 2), np.float32)
    almost[1, 0, 1, 1] += 1e-6
    with pytest.raises(TconvError, match=r"remainder is 9\.54e-07"):
        algebra.split_axes(almost)
    with pytest.raises(TconvError, match=r"^weights are int64; floating point would fit"):
        algebra.split_axes(np.ones((1, 1, 2, 2), int))
