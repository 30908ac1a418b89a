"""Deconvolutional networks: the cost and its gradients, inference, learning, and the stack of layers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tconv.errors import TconvError
from tconv.nets import DeconvNet
from tconv.nets.deconvolutional import (
    Continuation,
    SparseLayer,
    all_connected,
    alternations,
    infer,
    learn_epoch,
    learn_filters,
    refine,
    singles_and_pairs,
)

draw = np.random.default_rng(3)
EXPONENTS = (1.0, 0.8)


def layer_of(p: float = 1.0, *, maps: int = 3, strength: float = 3.0) -> SparseLayer:
    """Six maps over three channels, by single channels and pairs."""
    connected = singles_and_pairs(maps)
    return SparseLayer.random(connected, kernel=3, strength=strength, p=p, seed=4, dtype=np.float64)


def picture(count: int = 2, channels: int = 3, size: tuple[int, int] = (9, 11)) -> np.ndarray:
    return draw.normal(size=(count, channels, *size))


def maps_for(layer: SparseLayer, y: np.ndarray) -> np.ndarray:
    return draw.normal(size=(len(y), *layer.maps_of(y.shape[2:])))


def test_rebuild_is_the_sum_of_convolutions() -> None:
    """Against scipy's convolution, map by map and channel by channel."""
    signal = pytest.importorskip("scipy.signal")
    layer, y = layer_of(), picture()
    z = maps_for(layer, y)
    expected = np.zeros_like(y)
    for n in range(2):
        for k, c in np.argwhere(layer.connected):
            expected[n, c] += signal.convolve2d(z[n, k], layer.filters[k, c], mode="valid")
    np.testing.assert_allclose(layer.rebuild(z), expected, rtol=1e-12, atol=1e-12)


def test_correlate_is_the_adjoint_of_rebuild() -> None:
    layer, y = layer_of(), picture()
    z = maps_for(layer, y)
    assert layer.correlate(y).shape == z.shape
    assert np.vdot(layer.rebuild(z), y) == pytest.approx(np.vdot(z, layer.correlate(y)), rel=1e-12)


@pytest.mark.parametrize("p", EXPONENTS)
def test_gradients_are_finite_differences_of_the_cost(p: float) -> None:
    layer, y = layer_of(p), picture()
    z = maps_for(layer, y)
    step = 1e-6

    def smooth(z: np.ndarray, filters: np.ndarray) -> float:
        bare = replace(layer, filters=filters)
        return float(bare.cost(z, y).sum() - (np.abs(z) ** p).sum())

    for _ in range(4):
        dz, df = draw.normal(size=z.shape), draw.normal(size=layer.filters.shape)
        df *= layer.connected[:, :, None, None]
        slope = (smooth(z + step * dz, layer.filters) - smooth(z - step * dz, layer.filters)) / (2 * step)
        assert np.vdot(layer.maps_gradient(z, y), dz) == pytest.approx(slope, rel=1e-6)
        slope = (smooth(z, layer.filters + step * df) - smooth(z, layer.filters - step * df)) / (2 * step)
        assert np.vdot(layer.filters_gradient(z, y), df) == pytest.approx(slope, rel=1e-6)


def test_the_largest_gain_is_a_bound_and_close() -> None:
    """Against the singular values of the matrix itself."""
    layer = layer_of()
    shape = layer.maps_of((6, 7))
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    matrix = layer.rebuild(units).reshape(len(units), -1)
    largest = np.linalg.norm(matrix, 2) ** 2
    assert largest <= layer.largest_gain((6, 7)) <= 1.5 * largest


@pytest.mark.parametrize("p", EXPONENTS)
def test_alternations_lower_the_cost_at_each_beta(p: float) -> None:
    layer, y = layer_of(p), picture()
    steps = list(alternations(layer, y, Continuation(first=0.5, last=8, rounds=6, iterations=3)))
    for before, after in pairwise(steps):
        if before.beta == after.beta:
            assert (after.cost(layer, y) <= before.cost(layer, y) * (1 + 1e-12)).all()
    assert [step.beta for step in steps] == [b for b in (0.5, 1, 2, 4, 8) for _ in range(6)]


def test_each_alternation_solves_its_linear_system() -> None:
    """Against NumPy's solver on the matrix, with as many iterations as there are numbers."""
    layer, y = layer_of(), picture(1, size=(4, 5))
    shape = layer.maps_of((4, 5))
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    matrix = layer.rebuild(units).reshape(len(units), -1).T
    (*_, step) = alternations(layer, y, Continuation(first=1, last=1, rounds=2, iterations=80, refinement=0))
    left = layer.strength * matrix.T @ matrix + step.beta * np.eye(len(units))
    right = layer.strength * matrix.T @ y.ravel() + step.beta * step.sparse.ravel()
    np.testing.assert_allclose(step.maps.ravel(), np.linalg.solve(left, right), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("p", EXPONENTS)
def test_refinement_lowers_the_cost_and_keeps_to_a_stationary_point(p: float) -> None:
    layer, y = layer_of(p), picture()
    rough = infer(layer, y, Continuation(refinement=0))
    costs = [layer.cost(refine(layer, y, rough, steps), y) for steps in range(12)]
    assert all((after <= before).all() for before, after in pairwise(costs))
    fine = refine(layer, y, rough, 3000)
    slope = layer.maps_gradient(fine, y)
    kept = fine != 0
    sparsity = p * np.abs(fine[kept]) ** (p - 1) * np.sign(fine[kept])
    assert np.abs(slope[kept] + sparsity).max() < 1e-6
    if p == 1:  # the minimum: no gradient at a zero exceeds the slope of |z|
        assert np.abs(slope[~kept]).max() <= 1 + 1e-6


def test_each_picture_of_a_batch_is_inferred_by_itself() -> None:
    layer, y = layer_of(), picture(3)
    together = infer(layer, y, Continuation())
    alone = np.concatenate([infer(layer, each[None], Continuation()) for each in y])
    np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("p", EXPONENTS)
def test_learning_lowers_the_error_and_keeps_norms_and_connections(p: float) -> None:
    layer, y = layer_of(p), picture(4)
    z = infer(layer, y, Continuation())
    costs = [layer.cost(z, y).sum()]
    for _ in range(5):
        layer = learn_filters(layer, z, y, 1)
        costs.append(layer.cost(z, y).sum())
        np.testing.assert_allclose(np.sum(layer.filters**2, axis=(1, 2, 3)), 1, rtol=1e-12)
        assert not layer.filters[~layer.connected].any()
        assert layer.filters[layer.connected].any(axis=(1, 2)).all()
    assert all(after < before for before, after in pairwise(costs))


def test_the_step_is_the_best_one_along_the_gradient() -> None:
    """Before the norms are restored, no other step lowers the error as much."""
    layer, y = layer_of(), picture(1)
    z = maps_for(layer, y)
    gradient = layer.filters_gradient(z, y)
    moved = learn_filters(layer, z, y, 1).filters

    def after(size: float) -> tuple[float, np.ndarray]:
        bare = layer.filters - size * gradient
        return float(replace(layer, filters=bare).cost(z, y)[0]), layer.with_filters(bare).filters

    optimize = pytest.importorskip("scipy.optimize")
    best = optimize.minimize_scalar(lambda size: after(size)[0], bracket=(0, 1e-4)).x
    np.testing.assert_allclose(moved, after(best)[1], atol=1e-6)


def test_filters_without_an_error_stay_as_they_are() -> None:
    layer, z = layer_of(), maps_for(layer_of(), picture())
    assert np.array_equal(learn_filters(layer, z, layer.rebuild(z), 3).filters, layer.filters)


def test_learning_finds_the_filters_that_made_the_pictures() -> None:
    """Sparse maps convolved with known filters: from a start nearby, learning comes close to them."""
    truth = SparseLayer.random(all_connected(3, 1), kernel=5, strength=40.0, seed=9, dtype=np.float64)
    spikes = draw.normal(size=(4, *truth.maps_of((24, 24)))) * (draw.random((4, 3, 28, 28)) < 0.02)
    pictures = truth.rebuild(spikes)
    noise = draw.normal(size=truth.filters.shape) * 0.1
    layer = truth.with_filters(truth.filters + noise)

    def likeness(layer: SparseLayer) -> float:
        return float(np.sum(layer.filters * truth.filters, axis=(1, 2, 3)).min())

    start = likeness(layer)
    for _ in range(8):
        layer = learn_epoch(layer, pictures, Continuation(refinement=40), 5).layer
    assert start < 0.95
    assert likeness(layer) > 0.98


def test_a_seed_determines_the_filters_and_an_epoch_only_depends_on_them() -> None:
    first, again, other = (
        SparseLayer.random(all_connected(4, 1), kernel=3, strength=2.0, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.filters, again.filters)
    assert not np.array_equal(first.filters, other.filters)
    y = picture(2, 1).astype(np.float32)
    seen: list[int] = []
    one = learn_epoch(first, y, Continuation(), 3, after_picture=lambda: seen.append(1))
    two = learn_epoch(again, y, Continuation(), 3)
    assert len(seen) == 2
    assert np.array_equal(one.layer.filters, two.layer.filters)
    assert one.layer.filters.dtype == np.float32
    assert (one.cost, one.error, one.density, one.used) == (two.cost, two.error, two.density, two.used)


def stack() -> DeconvNet:
    first = SparseLayer.random(all_connected(3, 1), kernel=5, strength=4.0, seed=0, dtype=np.float64)
    second = SparseLayer.random(singles_and_pairs(3), kernel=3, strength=9.0, seed=1, dtype=np.float64)
    return DeconvNet((first, second))


def test_the_maps_of_a_layer_are_the_input_of_the_next() -> None:
    net, y = stack(), picture(2, 1)
    first, second = net.infer(y)
    assert np.array_equal(first, infer(net.layers[0], y, net.continuation))
    assert np.array_equal(second, infer(net.layers[1], first, net.continuation))
    assert net.rebuild(second, 2).shape == net.rebuild(first, 1).shape == y.shape


@pytest.mark.parametrize("layer", [1, 2])
def test_a_projected_filter_is_what_one_unit_paints(layer: int) -> None:
    net = stack()
    painted = net.projected(layer)
    side = painted.shape[2]
    assert side == {1: 5, 2: 7}[layer]
    shape = (len(painted), len(painted), 30, 30)
    units = np.zeros(shape)
    units[range(len(painted)), range(len(painted)), 15, 15] = 1
    pictures = net.rebuild(units, layer)
    found = np.argwhere(np.abs(pictures).sum(axis=(0, 1)) > 1e-12)
    row, column = found.min(axis=0)
    np.testing.assert_allclose(
        pictures[:, :, row : row + side, column : column + side], painted, rtol=1e-12, atol=1e-14
    )
    assert np.abs(pictures).sum() == pytest.approx(np.abs(painted).sum())


def test_what_does_not_fit_is_refused_in_one_line() -> None:
    layer = layer_of()
    with pytest.raises(
        TconvError, match=r"pictures of shape \(1, 2, 9, 9\) do not fit a layer of 3 channels"
    ):
        infer(layer, np.zeros((1, 2, 9, 9)), Continuation())
    with pytest.raises(TconvError, match=r"layer 2 has 3 channels; 6, the maps below, would fit"):
        DeconvNet((layer, layer))
    with pytest.raises(TconvError, match=r"layer 3: this network has layers 1 to 2"):
        stack().projected(3)
    with pytest.raises(TconvError, match=r"p=1\.2"):
        replace(layer, p=1.2)
    with pytest.raises(TconvError, match=r"strength=0"):
        replace(layer, strength=0.0)
    with pytest.raises(TconvError, match=r"connected with no channel"):
        SparseLayer.random(np.zeros((1, 1), bool), kernel=3, strength=1.0)
    with pytest.raises(TconvError, match=r"must be positive and rise"):
        Continuation(growth=1.0)
    with pytest.raises(TconvError, match=r"at least 1, 1 and 0 would fit"):
        Continuation(rounds=0)
    with pytest.raises(TconvError, match=r"without layers"):
        DeconvNet(())
