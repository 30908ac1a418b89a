"""The fixed interpolations against PyTorch's resize, and what makes them interpolations."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest

from tconv import filters
from tconv.errors import TconvError
from tconv.filters import FILTERS, bicubic, bilinear, nearest, options
from tconv.geometry import Geometry
from tconv.views import scatter

FACTORS = [1, 2, 3, 4, 5, 8]
BY_NAME = {"nearest": nearest, "bilinear": bilinear, "bicubic": bicubic}
#: PyTorch's mode for each filter and rank; it has no tricubic and no 1-D bicubic.
MODES = {
    ("nearest", 1): "nearest",
    ("nearest", 2): "nearest",
    ("nearest", 3): "nearest",
    ("bilinear", 1): "linear",
    ("bilinear", 2): "bilinear",
    ("bilinear", 3): "trilinear",
    ("bicubic", 2): "bicubic",
}


def upsample(name: str, factor: int, x: np.ndarray) -> tuple[np.ndarray, Geometry]:
    geometry = Geometry.make(in_channels=1, out_channels=1, input=x.shape[2:], **options(name, factor))
    return scatter(x, BY_NAME[name](factor, x.ndim - 2)[None, None], geometry), geometry


def test_every_filter_is_tested() -> None:
    assert set(BY_NAME) == set(FILTERS)
    assert {name for name, _ in MODES} == set(FILTERS)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", BY_NAME)
def test_the_output_is_input_times_factor_and_phases_sum_to_one(name: str, rank: int, factor: int) -> None:
    kernel = BY_NAME[name](factor, rank)
    chosen = options(name, factor)
    assert kernel.dtype == np.float64
    assert kernel.shape == (chosen["kernel"],) * rank
    geometry = Geometry.make(in_channels=1, out_channels=1, input=(5,) * rank, **chosen)
    assert geometry.output == (5 * factor,) * rank
    for start in np.ndindex(*(factor,) * rank):
        phase = kernel[tuple(slice(r, None, factor) for r in start)]
        assert phase.sum() == pytest.approx(1, abs=1e-14)
    np.testing.assert_array_equal(kernel, np.flip(kernel))


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(("name", "rank"), MODES)
def test_inside_it_is_pytorchs_resize(name: str, rank: int, factor: int) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch's interpolate; install tconv[torch]")
    sizes = (9, 8, 7)[:rank]
    x = np.random.default_rng(factor).normal(size=(1, 1, *sizes))
    ours, _ = upsample(name, factor, x)
    mode = MODES[name, rank]
    theirs = torch.nn.functional.interpolate(
        torch.tensor(x), scale_factor=factor, mode=mode, align_corners=None if mode == "nearest" else False
    ).numpy()
    assert ours.shape == theirs.shape
    # Where all taps lie inside; PyTorch's cubic weights are rounded as they are, ours to 1e-15.
    border = {"nearest": 0, "bilinear": 1, "bicubic": 2}[name] * factor
    inside = (..., *(slice(border, size * factor - border) for size in sizes))
    np.testing.assert_allclose(ours[inside], theirs[inside], rtol=0, atol=1e-13)
    assert ours[inside].size > 0
    if factor > 1 and border:
        assert np.abs(ours - theirs).max() > 1e-3  # a border of zeros is not a border of repeated edges


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("name", BY_NAME)
def test_after_padding_by_edge_values_it_is_a_resize_everywhere(name: str, factor: int) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch's interpolate; install tconv[torch]")
    x = np.random.default_rng(factor).normal(size=(1, 1, 5, 4))
    ours, _ = upsample(name, factor, np.pad(x, [(0, 0), (0, 0), (2, 2), (2, 2)], mode="edge"))
    mode = MODES[name, 2]
    theirs = torch.nn.functional.interpolate(
        torch.tensor(x), scale_factor=factor, mode=mode, align_corners=None if mode == "nearest" else False
    ).numpy()
    cut = slice(2 * factor, -2 * factor)
    np.testing.assert_allclose(ours[..., cut, cut], theirs, rtol=0, atol=1e-13)


@pytest.mark.parametrize("factor", range(1, 33))
def test_bilinear_options_are_those_of_fcn(factor: int) -> None:
    assert options("bilinear", factor) == {
        "kernel": 2 * factor - factor % 2,
        "stride": factor,
        "padding": ceil((factor - 1) / 2),
    }


@pytest.mark.parametrize("factor", range(1, 12))
def test_bilinear_is_the_tent_of_fcns_code(factor: int) -> None:
    """Centre factor - 1 for odd sizes, factor - 0.5 for even ones; 1 - |t - centre| / factor."""
    size = 2 * factor - factor % 2
    centre = factor - 1 if size % 2 else factor - 0.5
    tent = [1 - abs(t - centre) / factor for t in range(size)]
    np.testing.assert_allclose(bilinear(factor, 2), np.outer(tent, tent), rtol=0, atol=1e-15)


def test_bicubic_is_keys_cubic_with_a_three_quarters() -> None:
    """W(x) = (a+2)x^3 - (a+3)x^2 + 1 up to 1, then a x^3 - 5a x^2 + 8a x - 4a up to 2; at 1/4 ... 7/4."""
    quarters = [225, 67, -27, -9]  # 256 W(x) by hand
    np.testing.assert_array_equal(bicubic(2, 1) * 256, quarters[::-1] + quarters)


@pytest.mark.parametrize("name", BY_NAME)
def test_factor_one_changes_nothing(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(1, 1, 4, 5))
    ours, _ = upsample(name, 1, x)
    np.testing.assert_array_equal(ours, x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bilinear(0, 2), "bilinear filter for factor 0; the factor must be at least 1"),
        (lambda: bilinear(1.5, 2), "factor=1.5 is a float; it must be an int"),
        (lambda: nearest(2, 4), "nearest filter of rank 4; 1, 2 or 3 would fit"),
        (lambda: bicubic(2, 0), "bicubic filter of rank 0"),
        (lambda: bicubic(True, 1), "factor=True is a bool"),
        (lambda: filters.make("bilinaer", 2, 2), "filter 'bilinaer' is unknown; did you mean 'bilinear'"),
        (lambda: options("sinc!", 2), "filter 'sinc!' is unknown; nearest, bilinear, bicubic would fit"),
    ],
)
def test_bad_requests_are_refused(call, message: str) -> None:
    with pytest.raises(TconvError, match=message):
        call()
