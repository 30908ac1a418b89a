"""Measures of pictures against closed forms, brute force and planted patterns."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")
pytest.importorskip("torchmetrics")

import scipy.linalg  # noqa: E402

from tconv import conv_transpose  # noqa: E402
from tconv.demos.dcgan import spectrum  # noqa: E402
from tconv.demos.dcgan.layers import as_transposed, doublings  # noqa: E402
from tconv.demos.dcgan.measures import frechet, neighbours  # noqa: E402
from tconv.nets.dcgan import WAYS, Generator  # noqa: E402


def test_the_distance_of_two_normal_distributions_has_a_closed_form() -> None:
    """Along one axis it is (m1 - m2)^2 + (s1 - s2)^2."""
    draw = np.random.default_rng(0)
    points = draw.normal(size=(2000, 1))
    points = (points - points.mean()) / points.std(ddof=1)
    found = frechet((points * 2 + 1).astype(np.float32), (points[::-1] * 5 - 3).astype(np.float32))
    assert found == pytest.approx((1 + 3) ** 2 + (5 - 2) ** 2, rel=1e-5)


def test_the_distance_agrees_with_scipys_matrix_root() -> None:
    draw = np.random.default_rng(1)
    first = draw.normal(size=(500, 6)) @ draw.normal(size=(6, 6)) + draw.normal(size=6)
    second = draw.normal(size=(400, 6)) @ draw.normal(size=(6, 6))
    c1, c2 = np.cov(first.T), np.cov(second.T)
    gap = first.mean(0) - second.mean(0)
    root = scipy.linalg.sqrtm(c1 @ c2).real
    wanted = gap @ gap + np.trace(c1 + c2 - 2 * root)
    assert frechet(first, second) == pytest.approx(wanted, rel=1e-4)
    assert frechet(second, first) == pytest.approx(wanted, rel=1e-4)
    assert frechet(first, first) == pytest.approx(0, abs=1e-6)
    dead = [np.pad(points, ((0, 0), (0, 1))) for points in (first, second)]  # a feature that is never on
    assert frechet(*dead) == pytest.approx(wanted, rel=1e-4)


def test_neighbours_are_those_of_brute_force() -> None:
    draw = np.random.default_rng(2)
    pictures, among = (draw.integers(0, 256, (n, 8, 8), dtype=np.uint8) for n in (7, 50))
    among[13] = pictures[4]
    found = neighbours(pictures, among, chunk=9)
    gaps = np.sqrt(((pictures[:, None] / 255.0 - among / 255.0) ** 2).mean((2, 3)))
    assert found.indices.tolist() == gaps.argmin(1).tolist()
    np.testing.assert_allclose(found.distances, gaps.min(1), atol=1e-6)
    assert (found.indices[4], found.distances[4]) == (13, 0)


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_planted_pattern_is_seen_at_its_period_and_at_no_other(period: int) -> None:
    draw = np.random.default_rng(3)
    clean = draw.integers(60, 196, (400, 32, 32)).astype(np.float64)
    tile = np.zeros((period, period))
    tile[: period // 2, : period // 2] = 40
    planted = clean + np.tile(tile, (32 // period, 32 // period))
    real = spectrum.power(draw.integers(60, 196, (400, 32, 32), dtype=np.uint8))
    found = spectrum.excess(spectrum.power(planted.astype(np.uint8)), real, (2, 4, 8))
    assert found[period] > 3
    finer = [value for other, value in found.items() if other > period]
    assert all(0.7 < value < 1.4 for value in finer)


def test_blur_and_noise_are_no_pattern() -> None:
    draw = np.random.default_rng(4)
    real = draw.integers(0, 256, (600, 32, 32)).astype(np.float64)
    blurred = (real + np.roll(real, 1, 1) + np.roll(real, 1, 2) + np.roll(real, (1, 1), (1, 2))) / 4
    power = spectrum.power(real)
    noisy = spectrum.excess(spectrum.power(real + draw.normal(0, 60, real.shape)), power, (2, 4, 8))
    assert all(0.8 < value < 1.25 for value in noisy.values())
    # A blur has no power at all at the finest frequencies, so only coarser ones can be compared.
    found = spectrum.excess(spectrum.power(blurred), power, (4, 8))
    assert all(0.5 < value < 2 for value in found.values())


@pytest.mark.parametrize("way", WAYS)
def test_every_doubling_equals_its_transposed_convolution(way: str) -> None:
    generator = Generator(16, 1, width=3, way=way)
    x = torch.randn(2, 6, 4, 4, dtype=torch.float64)
    layer = generator.doublings[0].double()
    problem, weight = as_transposed(layer, 4)
    found = conv_transpose(
        x.numpy(),
        weight,
        stride=problem.stride,
        padding=problem.padding,
        output_padding=problem.output_padding,
    )
    np.testing.assert_allclose(found, layer(x).detach().numpy(), rtol=1e-9, atol=1e-12)


def test_nearest_neighbour_has_no_pattern_in_its_weights() -> None:
    torch.manual_seed(0)
    ripples = {way: doublings(Generator(32, 1, width=4, way=way)) for way in WAYS}
    for way, layers in ripples.items():
        assert [layer.period for layer in layers] == [8, 4, 2]
        assert all((layer.ripple < 1e-6) == (way == "nearest") for layer in layers)
        assert all(("T201" in layer.codes) == (way != "nearest") for layer in layers)
