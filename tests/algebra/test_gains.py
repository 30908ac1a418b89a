"""Gains of phases, and the smallest change that makes them equal: against the layer itself and a solver."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from tconv import TconvError, algebra, filters, views
from tconv.algebra.arrays import Array
from tconv.geometry import Geometry
from tconv.testing import load_cases

#: kernel, stride, dilation: even and uneven coverage, coprime dilation, one to three axes.
KERNELS = [
    ((4,), (2,), (1,)),
    ((3,), (2,), (1,)),
    ((7,), (3,), (1,)),
    ((5,), (2,), (3,)),
    ((4, 4), (2, 2), (1, 1)),
    ((3, 5), (2, 3), (1, 1)),
    ((1, 3), (1, 2), (1, 1)),
    ((4, 3, 2), (2, 3, 2), (1, 1, 1)),
]


def inside(weight: Array, stride: tuple[int, ...], dilation: tuple[int, ...], x: Array) -> Array:
    """One period of what the layer makes of constants x, far from the borders, as (out, *stride)."""
    axes = len(stride)
    i = [2 * d * k // s + 4 for k, s, d in zip(weight.shape[2:], stride, dilation, strict=True)]
    g = Geometry.make(
        in_channels=weight.shape[0], out_channels=weight.shape[1], input=i, kernel=weight.shape[2:],
        stride=stride, dilation=dilation,
    )  # fmt: skip
    given = np.broadcast_to(x.reshape(1, -1, *(1,) * axes), g.input_shape).astype(weight.dtype)
    y = views.scatter(np.ascontiguousarray(given), weight, g)[0]
    starts = [d * (k - 1) // s * s + s for k, s, d in zip(weight.shape[2:], stride, dilation, strict=True)]
    return y[(slice(None), *(slice(a, a + s) for a, s in zip(starts, stride, strict=True)))]


@pytest.mark.parametrize(("kernel", "stride", "dilation"), KERNELS)
def test_gains_are_what_the_layer_makes_of_a_constant(
    kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-9, 10, (2, 3, *kernel))
    gains = algebra.phase_gains(weight, stride, dilation)
    for channel, x in enumerate(np.eye(2, dtype=int)):
        np.testing.assert_array_equal(gains[channel], inside(weight, stride, dilation, x))
    every = algebra.constant_response(weight, stride, dilation)
    np.testing.assert_array_equal(every, inside(weight, stride, dilation, np.ones(2, int)))


def test_phase_taps_are_the_coverage_inside() -> None:
    checked = 0
    for _, g in load_cases():
        reach = [d * (k - 1) // s + 2 for k, s, d in zip(g.kernel, g.stride, g.dilation, strict=True)]
        big = Geometry.make(
            in_channels=1, out_channels=1, input=[2 * r for r in reach],
            kernel=g.kernel, stride=g.stride, dilation=g.dilation,
        )  # fmt: skip
        taps = algebra.phase_taps(g.kernel, g.stride, g.dilation)
        lines = [c[r * s : r * s + s] for c, r, s in zip(big.coverage(), reach, g.stride, strict=True)]
        for phase in product(*map(range, g.stride)):
            assert taps[phase] == np.prod([line[r] for line, r in zip(lines, phase, strict=True)]), g
        checked += 1
    assert checked >= 120


def test_groups_add_up_within_their_group() -> None:
    weight = np.arange(24).reshape(4, 2, 3)
    g = Geometry.parse("n1 c4>4 i9 k3 s2 g2")
    y = views.scatter(np.ones(g.input_shape, int), weight, g)[0]
    np.testing.assert_array_equal(algebra.constant_response(weight, 2, groups=2), y[:, 8:10])
    with pytest.raises(TconvError, match=r"^3 groups for a weight of shape \(4, 2, 3\); a divisor of 4"):
        algebra.constant_response(weight, 2, groups=3)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), KERNELS)
def test_equal_gains_are_exactly_flat_in_fractions(
    kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(1)
    numbers = rng.integers(-9, 10, (2, 2, *kernel))
    weight = np.vectorize(Fraction, otypes=[object])(numbers, 7)
    gains = algebra.phase_gains(algebra.equal_phase_gains(weight, stride, dilation), stride, dilation)
    flat = gains.reshape(2, 2, -1)
    assert all(isinstance(value, Fraction) for value in flat.ravel())
    assert (flat == flat[..., :1]).all()


@pytest.mark.parametrize(("kernel", "stride", "dilation"), KERNELS)
def test_response_to_constants_is_flat_in_float32(
    kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> None:
    """Each output channel, for a constant of its own in each input channel; bound: the weights' rounding."""
    rng = np.random.default_rng(2)
    weight = rng.normal(size=(3, 2, *kernel)).astype(np.float32)
    x = rng.normal(size=3)
    before = inside(weight.astype(float), stride, dilation, x)
    made = algebra.equal_phase_gains(weight, stride, dilation)
    assert made.dtype == np.float32
    after = inside(made.astype(float), stride, dilation, x).reshape(2, -1)
    bound = 2.0**-24 * np.einsum("c,cok->o", np.abs(x), np.abs(made).reshape(3, 2, -1))
    assert (np.ptp(after, axis=1) <= 2 * bound).all()
    assert (np.ptp(before.reshape(2, -1), axis=1) > 1e4 * bound).all()


@pytest.mark.parametrize(("kernel", "stride", "dilation"), KERNELS)
def test_the_change_is_the_smallest(
    kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> None:
    """Against the minimum-norm solution of "all phases' sums equal the first's", by numpy's lstsq."""
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(1, 1, *kernel))
    taps = np.array(list(np.ndindex(*kernel)))
    residues = np.ravel_multi_index(((taps * dilation) % stride).T, stride)
    rows = [1.0 * (residues == r) - 1.0 * (residues == 0) for r in range(1, int(np.prod(stride)))]
    constraint = np.array(rows)
    smallest = np.linalg.lstsq(constraint, -constraint @ weight.ravel(), rcond=None)[0]
    change = algebra.equal_phase_gains(weight, stride, dilation) - weight
    np.testing.assert_allclose(change.ravel(), smallest, atol=1e-12)
    assert np.linalg.norm(change) > 0.1


def test_the_rule_holds_with_a_gain_given() -> None:
    weight = np.array([[[1.0, 5.0, 2.0]], [[0.0, 1.0, 1.0]]])
    made = algebra.equal_phase_gains(weight, 2, gain=np.array([[2.0], [3.0]]))
    np.testing.assert_array_equal(algebra.phase_gains(made, 2), [[[2, 2]], [[3, 3]]])


def test_flat_weights_stay() -> None:
    for name in filters.FILTERS:
        weight = filters.make(name, 2, 2)[None, None]
        np.testing.assert_allclose(algebra.equal_phase_gains(weight, 2), weight, atol=1e-15)
        assert algebra.ripple(algebra.phase_gains(weight, 2)) < 1e-15


def test_a_phase_without_taps_is_refused() -> None:
    with pytest.raises(TconvError, match=r"1 of 2 phases have no tap"):
        algebra.equal_phase_gains(np.ones((1, 1, 1)), 2)
    with pytest.raises(TconvError, match=r"1 of 2 phases have no tap"):
        algebra.equal_phase_gains(np.ones((1, 1, 3)), 2, 2)


@pytest.mark.parametrize("shape", [(2, 3), (1, 1, 0), (1, 1, 1, 1, 1, 1)])
def test_what_is_no_weight_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TconvError, match="weight has shape"):
        algebra.phase_gains(np.ones(shape), 1)


def test_complex_gains() -> None:
    weight = np.array([[[1 + 1j, 2.0, 3j]]])
    np.testing.assert_array_equal(algebra.phase_gains(weight, 2), [[[1 + 4j, 2]]])
    gains = algebra.phase_gains(algebra.equal_phase_gains(weight, 2), 2)
    assert abs(gains[0, 0, 0] - gains[0, 0, 1]) < 1e-15
