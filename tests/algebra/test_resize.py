"""Linear resize and overlap-add as what they equal, against NumPy's interpolation and the definition."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tconv import TconvError, algebra, filters, views
from tconv.geometry import Geometry


def whole(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-5, 6, shape)


def resized(x: np.ndarray, factors: tuple[int, ...], centred: bool) -> np.ndarray:
    """NumPy's own linear interpolation along one axis after another; it repeats the edges."""
    for axis, f in enumerate(factors):
        at = np.arange(x.shape[axis] * f) / f
        at = at + (0.5 / f - 0.5) if centred else at
        x = np.apply_along_axis(lambda line, at=at: np.interp(at, np.arange(len(line)), line), axis, x)
    return x


def layer(x: np.ndarray, found: algebra.Resize) -> np.ndarray:
    padded = np.pad(x, found.edge, mode="edge")
    geometry = Geometry.make(
        in_channels=1, out_channels=1, input=padded.shape, kernel=found.kernel.shape, stride=found.stride,
        padding=found.padding,
    )  # fmt: skip
    return views.scatter(padded[None, None], found.kernel[None, None], geometry)[0, 0]


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("factors", [*[(f,) for f in range(1, 9)], (2, 3), (1, 4), (2, 1, 3)])
def test_edge_padding_and_layer_equal_linear_interpolation(factors: tuple[int, ...], centred: bool) -> None:
    found = algebra.linear_resize(factors, len(factors), centred=centred)
    for sizes in product((1, 2, 5), repeat=len(factors)):
        x = whole(1, *sizes).astype(float)
        np.testing.assert_allclose(layer(x, found), resized(x, factors, centred), rtol=0, atol=1e-14)


@pytest.mark.parametrize("factor", range(2, 9))
def test_centred_kernels_are_the_bilinear_filters(factor: int) -> None:
    found = algebra.linear_resize(factor, 2)
    np.testing.assert_array_equal(found.kernel, filters.bilinear(factor, 2))
    cropped = filters.options("bilinear", factor)["padding"] + factor
    assert found.padding == ((cropped, cropped),) * 2
    assert found.edge == ((1, 1), (1, 1))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(("kernel", "stride"), [(8, 2), (8, 4), (8, 8), (7, 3), (2, 3), (1, 1)])
def test_frames_added_equal_the_layer(kernel: int, stride: int, outputs: int, groups: int) -> None:
    weight, x = whole(2, 4, outputs, kernel), whole(3, 2, 4, 5)
    for lo, hi in [(0, 0), (1, 0), (1, 3), (-1, -2)]:
        geometry = Geometry.make(
            batch=2, in_channels=4, out_channels=outputs * groups, input=5, kernel=kernel, stride=stride,
            padding=((lo, hi),), groups=groups,
        )  # fmt: skip
        made = algebra.to_frames(weight, stride, ((lo, hi),), groups)
        columns = x.reshape(2, groups, 4 // groups, 5)
        frames = (made.matrix @ columns).reshape(2, groups, made.pieces, outputs, stride, 5)
        blocks = np.zeros((2, groups, outputs, 5 + made.pieces - 1, stride), int)
        for j in range(made.pieces):
            blocks[:, :, :, j : j + 5] += frames[:, :, j].swapaxes(-1, -2)
        line = blocks.reshape(2, groups * outputs, -1)
        before, behind = made.crop
        line = np.pad(line, ((0, 0), (0, 0), (max(-before, 0), max(-behind, 0))))
        line = line[..., max(before, 0) : line.shape[-1] - max(behind, 0)]
        np.testing.assert_array_equal(line, views.scatter(x, weight, geometry))


def test_what_has_no_frames_is_refused() -> None:
    with pytest.raises(TconvError, match=r"^frames of a weight of shape \(1, 1, 2, 2\)"):
        algebra.to_frames(np.ones((1, 1, 2, 2)), 2)
    with pytest.raises(TconvError, match=r"^stride=0; at least 1"):
        algebra.to_frames(np.ones((1, 1, 2)), 0)
