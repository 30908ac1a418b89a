"""The energy of images: against the filter's spectrum on a fine grid, and known limits."""

from __future__ import annotations

import numpy as np
import pytest

from tconv import TconvError, algebra, filters
from tconv.algebra.arrays import Array


def by_spectrum(weight: Array, stride: int, dilation: int, rho: float, points: int = 1 << 15) -> float:
    """The share by the midpoint rule over |W(w)|^2 S(s w), one axis."""
    w = 2 * np.pi * (np.arange(points) + 0.5) / points - np.pi
    taps = np.arange(weight.shape[-1])
    spectrum = np.exp(-1j * dilation * np.outer(w, taps)) @ weight.reshape(-1, weight.shape[-1]).T
    input_power = (1 - rho**2) / (1 - 2 * rho * np.cos(stride * w) + rho**2)  # Fourier sum of rho^|n|
    power = (np.abs(spectrum) ** 2).sum(1) * input_power
    return float(power[np.abs(w) > np.pi / stride].sum() / power.sum())


@pytest.mark.parametrize(("k", "s", "d"), [(4, 2, 1), (3, 2, 1), (9, 3, 1), (5, 4, 3), (2, 5, 1), (4, 1, 2)])
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.95])
def test_it_is_the_integral_over_the_images(k: int, s: int, d: int, rho: float) -> None:
    weight = np.random.default_rng(k).normal(size=(2, 3, k))
    expected = by_spectrum(weight, s, d, rho)
    assert algebra.image_share(weight, s, d, rho) == pytest.approx(expected, abs=2e-5)
    assert (expected == 0) == (s == 1)


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_axes_multiply(rho: float) -> None:
    """A separable filter keeps the product of what its lines keep."""
    lines = [np.array([1.0, 2.0, 1.0, 0.5]), np.array([1.0, -1.0, 3.0])]
    kept = [1 - algebra.image_share(line[None, None], 2, 1, rho) for line in lines]
    both = algebra.image_share(np.multiply.outer(*lines)[None, None], 2, 1, rho)
    assert both == pytest.approx(1 - kept[0] * kept[1], abs=1e-12)


def test_of_a_constant_it_is_the_square_of_the_ripple() -> None:
    weight = np.random.default_rng(5).normal(size=(3, 2, 4, 5))
    share = algebra.image_share(weight, (2, 3), 1, 1.0)
    assert share == pytest.approx(algebra.ripple(algebra.phase_gains(weight, (2, 3))) ** 2, abs=1e-12)
    nearly = algebra.image_share(weight, (2, 3), 1, 0.9999)
    assert nearly == pytest.approx(share, abs=1e-3)


def test_better_interpolation_has_fewer_images() -> None:
    nearest, bilinear, bicubic = (
        algebra.image_share(filters.make(name, 2, 2)[None, None], 2, 1, 0.95)
        for name in ("nearest", "bilinear", "bicubic")
    )
    assert max(bilinear, bicubic) < nearest / 5
    assert algebra.image_share(np.ones((1, 1, 2)), 2) == pytest.approx(1 / 2 - 1 / np.pi, abs=1e-12)


def test_nothing_and_nonsense() -> None:
    assert algebra.image_share(np.zeros((1, 1, 4)), 2) == 0
    assert algebra.image_share(np.ones((1, 1, 4)), 1) == 0
    assert algebra.image_share(np.ones((1, 1, 1, 1)), 2) == pytest.approx(0.75)  # one tap passes everything
    with pytest.raises(TconvError, match=r"^correlation=1.5; 0 \(white noise\) to 1 \(a constant\)"):
        algebra.image_share(np.ones((1, 1, 4)), 2, 1, 1.5)
