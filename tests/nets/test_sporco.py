"""Inference against SPORCO's convolutional basis pursuit denoising (`ConvBPDN`), with the same filters.

SPORCO's convolution is circular and its cost is 1/2 |sum_k d_k * x_k - s|^2 + 1/strength sum_k |x_k|. On a
domain of the size of our maps, our pictures are the part of the circular convolution where nothing wraps. So
both problems are the same when SPORCO does not see the rest: by its simulation of a mask around ConvBPDN, or
by its solver that has a mask.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from tconv.nets.deconvolutional import Continuation, SparseLayer, all_connected, infer

SOLVERS = ("ConvBPDN", "ConvBPDNMaskDcpl")
KERNEL = 5
OPTIONS = {"Verbose": False, "MaxMainIter": 500, "RelStopTol": 1e-4, "AutoRho": {"Enabled": True}}


@pytest.fixture(scope="module")
def cbpdn() -> Any:
    pytest.importorskip("sporco", reason="SPORCO is not installed: pip install 'sporco>=0.2.1'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SPORCO's own, of its imports
        from sporco.admm import cbpdn

        return cbpdn


def problem(strength: float) -> tuple[SparseLayer, np.ndarray]:
    """Smooth random filters, and a picture of blocks and noise."""
    draw = np.random.default_rng(7)
    layer = SparseLayer.random(
        all_connected(6, 1), kernel=KERNEL, strength=strength, seed=7, dtype=np.float64
    )
    blocks = np.kron(draw.normal(size=(5, 6)), np.ones((8, 8)))[:37, :44]
    return layer, (blocks + 0.2 * draw.normal(size=blocks.shape))[None, None]


def sporco_maps(cbpdn: Any, solver: str, layer: SparseLayer, y: np.ndarray) -> np.ndarray:
    edge = KERNEL - 1
    seen = np.pad(np.ones(y.shape[2:]), ((edge, 0), (edge, 0)))
    image = np.pad(y[0, 0], ((edge, 0), (edge, 0)))
    dictionary = np.moveaxis(layer.filters[:, 0], 0, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if solver == "ConvBPDN":
            options = cbpdn.ConvBPDN.Options(OPTIONS)
            solve = cbpdn.AddMaskSim(cbpdn.ConvBPDN, dictionary, image, seen, 1 / layer.strength, opt=options)
        else:
            options = cbpdn.ConvBPDNMaskDcpl.Options(OPTIONS)
            solve = cbpdn.ConvBPDNMaskDcpl(dictionary, image, 1 / layer.strength, seen, options)
        found = solve.solve().squeeze()
    return np.moveaxis(found, -1, 0)[None, : len(layer.filters)]


def cost(layer: SparseLayer, maps: np.ndarray, y: np.ndarray) -> float:
    """The cost as its definition says, by scipy."""
    signal = pytest.importorskip("scipy.signal")
    rebuilt = sum(
        signal.convolve2d(z, f[0], mode="valid") for z, f in zip(maps[0], layer.filters, strict=True)
    )
    return float(layer.strength / 2 * np.sum((rebuilt - y[0, 0]) ** 2) + np.abs(maps).sum())


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("strength", [0.5, 2.0, 20.0])
def test_the_cost_is_that_of_sporco(cbpdn: Any, solver: str, strength: float) -> None:
    layer, y = problem(strength)
    truth = cost(layer, sporco_maps(cbpdn, solver, layer, y), y)
    ours = cost(layer, infer(layer, y, Continuation(refinement=300)), y)
    assert ours == pytest.approx(truth, rel=2e-3)
    published = infer(layer, y, Continuation(last=1000, rounds=60, iterations=4, refinement=0))
    assert cost(layer, published, y) == pytest.approx(truth, rel=0.01)


@pytest.mark.parametrize("strength", [0.5, 2.0, 20.0])
def test_the_cost_is_close_to_the_bound_of_the_dual_problem(strength: float) -> None:
    """Any u with |F'u| <= 1 proves that no maps cost less than u.y - |u|^2 / (2 strength)."""
    layer, y = problem(strength)
    maps = infer(layer, y, Continuation(refinement=400))
    u = strength * (y - layer.rebuild(maps))
    u /= max(1.0, np.abs(layer.correlate(u)).max())
    bound = np.vdot(u, y) - np.vdot(u, u) / (2 * strength)
    assert bound <= cost(layer, maps, y) <= 1.025 * bound
