"""Frequency responses, against NumPy's FFT and against signals that went through the layer."""

from __future__ import annotations

import numpy as np
import pytest

import tconv
from tconv.algebra.images import image_share
from tconv.algebra.response import frequencies, frequency_response, image_gains
from tconv.geometry import Geometry
from tconv.views import scatter

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 3, 4)])
def test_the_response_is_the_fourier_transform(shape: tuple[int, ...]) -> None:
    kernel = RANDOM.normal(size=shape)
    found = frequency_response(kernel, 17)[(slice(0, 16),) * len(shape)]  # 1/2 and -1/2 are one frequency
    assert found == pytest.approx(np.fft.fftshift(np.fft.fftn(kernel, (16,) * len(shape), range(len(shape)))))


def test_dilation_spreads_the_taps_and_many_filters_go_together() -> None:
    kernels = RANDOM.normal(size=(2, 3, 3, 4))
    spread = np.zeros((2, 3, 5, 10))
    spread[..., ::2, ::3] = kernels
    found = frequency_response(kernels, 9, axes=2, dilation=(2, 3))
    assert found.shape == (2, 3, 9, 9)
    assert found == pytest.approx(frequency_response(spread, 9, axes=2))
    assert image_gains(kernels, (3, 2), dilation=(2, 3)) == pytest.approx(image_gains(spread, (3, 2)))


@pytest.mark.parametrize("options", ["k3 s2", "k4 s2", "k5 s3", "k3 s3 d2"])
def test_gains_are_seen_in_what_becomes_of_a_constant(options: str) -> None:
    g = Geometry.parse(f"c1>1 i12 {options}")
    kernel = RANDOM.normal(size=g.weight_shape)
    (s,) = g.stride
    # Away from the borders, four whole periods: the images are lines 0, 4, 8, ... of the spectrum.
    inside = scatter(np.ones(g.input_shape), kernel, g)[0, 0][4 * s : 8 * s]
    lines = np.abs(np.fft.fft(inside)) / 4
    assert lines[::4] == pytest.approx(image_gains(kernel[0, 0], g.stride, dilation=g.dilation))


def test_energy_is_the_area_under_the_response() -> None:
    for kernel, stride in ((RANDOM.normal(size=(4,)), (3,)), (RANDOM.normal(size=(3, 4)), (2, 3))):
        samples = 2401  # a step of 1/2400: the edges 1/(2s) lie on samples
        power = np.abs(frequency_response(kernel, samples)) ** 2
        weights, inside = np.ones(1), np.ones(1)
        for s in stride:
            trapezium = np.ones(samples)
            trapezium[[0, -1]] = 0.5
            f = np.abs(frequencies(samples))
            kept = np.where(np.isclose(f, 1 / (2 * s)), 0.5, f < 1 / (2 * s))
            weights, inside = np.multiply.outer(weights, trapezium), np.multiply.outer(inside, kept)
        share = 1 - np.sum(power * inside[0]) / np.sum(power * weights[0])
        assert image_share(kernel[None, None], stride) == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_nearest_and_bilinear_are_even(stride: int) -> None:
    for name in ("nearest", "bilinear"):
        gains = image_gains(tconv.filters.make(name, stride, 2), (stride, stride))
        assert gains[0, 0] == pytest.approx(stride**2)
        assert gains.ravel()[1:] == pytest.approx(0, abs=1e-12)


def test_nonsense_is_one_line() -> None:
    for call, message in [
        (lambda: frequency_response([np.nan, 1.0]), "1 values are NaN or infinite"),
        (lambda: frequency_response([]), "none of length 0"),
        (lambda: frequency_response(["a"]), "numbers"),
        (lambda: image_gains([1.0], (2, 2)), "at least 2 axes"),
        (lambda: image_gains([1.0], (0,)), "at least 1"),
        (lambda: frequencies(1), "at least 2"),
    ]:
        with pytest.raises(tconv.TconvError, match=message) as fault:
            call()
        assert "\n" not in str(fault.value)
