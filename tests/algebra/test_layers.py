"""Merging, folding and starting values: each against PyTorch's layers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tconv import TconvError, algebra

torch = pytest.importorskip("torch", reason="the identities are compared with PyTorch's layers")
nn = torch.nn
F = nn.functional
CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def whole(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-5, 6, shape, generator=generator).double()


def cropped(y: torch.Tensor, sides: tuple[tuple[int, int], ...]) -> torch.Tensor:
    """`y` less `sides`, of which negative ones add zeros."""
    return F.pad(y, [-n for pair in reversed(sides) for n in pair])


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 4])
@pytest.mark.parametrize("groups", [1, 2])
def test_merged_equals_upsample_and_conv(padding: int, factor: int, kernel: int, groups: int) -> None:
    conv = nn.Conv2d(4, 6, kernel, padding=padding, groups=groups, bias=False).double()
    with torch.no_grad():
        conv.weight.copy_(whole(1, *conv.weight.shape))
        x = whole(2, 2, 4, 5, 6)
        expected = nn.Sequential(nn.Upsample(scale_factor=factor, mode="nearest"), conv)(x)
        merged = algebra.merge_nearest(conv.weight.numpy(), factor, padding, groups=groups)
        full = F.conv_transpose2d(x, torch.from_numpy(merged.weight), stride=merged.stride, groups=groups)
    assert merged.padding == ((kernel - 1 - padding,) * 2,) * 2
    assert merged.weight.shape == (4, 6 // groups, kernel + factor - 1, kernel + factor - 1)
    assert torch.equal(cropped(full, merged.padding), expected)


def test_padding_of_k3_and_factor_2_is_two_less_the_padding() -> None:
    weight = np.array([[[1, 2, 4]]])  # (w0, w1, w2)
    for p in (0, 1, 2):
        merged = algebra.merge_nearest(weight, 2, p)
        assert merged.padding == ((2 - p, 2 - p),)
        np.testing.assert_array_equal(merged.weight, [[[4, 4 + 2, 2 + 1, 1]]])  # (w2, w2+w1, w1+w0, w0)


@pytest.mark.parametrize("axes", [1, 3])
def test_merged_with_dilation_and_uneven_sides(axes: int) -> None:
    weight, x = whole(1, 2, 3, *(3,) * axes), whole(2, 1, 3, *(4,) * axes)
    sides = ((1, 0), (0, 2), (2, 1))[:axes]
    up = F.interpolate(x, scale_factor=2, mode="nearest")
    expected = CONV[axes](cropped(up, tuple((-lo, -hi) for lo, hi in sides)), weight, dilation=2)
    merged = algebra.merge_nearest(weight.numpy(), 2, sides, dilation=2)
    full = TRANSPOSED[axes](x, torch.from_numpy(merged.weight), stride=2)
    assert torch.equal(cropped(full, merged.padding), expected)


@pytest.mark.parametrize(("axes", "factor", "groups"), list(product([1, 2, 3], [2, 3], [1, 2])))
def test_split_undoes_merge(axes: int, factor: int, groups: int) -> None:
    weight = whole(3, 4, 6 // groups, *(3,) * axes).numpy()
    for array in (weight.astype(np.int64), weight, (weight / 7).astype(np.float32)):
        merged = algebra.merge_nearest(array, factor, 1, groups=groups)
        back = algebra.split_nearest(merged.weight, factor, merged.padding, groups)
        assert back.factor == (factor,) * axes
        assert back.padding == ((1, 1),) * axes
        if array.dtype.kind == "i":
            np.testing.assert_array_equal(back.weight, array)
        else:
            np.testing.assert_allclose(back.weight, array, atol=2e-5)


def test_small_integers_do_not_wrap() -> None:
    weight = np.array([[[100, 100, -100]]], np.int8)
    merged = algebra.merge_nearest(weight, 2).weight
    np.testing.assert_array_equal(merged, [[[-100, 0, 200, 100]]])
    np.testing.assert_array_equal(algebra.split_nearest(merged, 2).weight, weight)
    np.testing.assert_array_equal(algebra.scale_outputs(weight, np.array([2])), [[[200, 200, -200]]])


def test_equal_gains_in_one_dimension_are_nearest_upsampling_and_a_convolution() -> None:
    weight = np.random.default_rng(0).normal(size=(3, 2, 7))
    with pytest.raises(TconvError, match="does not factor into nearest upsampling and a convolution"):
        algebra.split_nearest(weight, 3)
    flat = algebra.equal_phase_gains(weight, 3)
    conv = algebra.split_nearest(flat, 3)
    assert conv.weight.shape == (2, 3, 5)
    np.testing.assert_allclose(algebra.merge_nearest(conv.weight, 3).weight, flat, atol=1e-13)


def test_a_kernel_below_the_stride_does_not_split() -> None:
    with pytest.raises(TconvError, match="shorter than the stride"):
        algebra.split_nearest(np.ones((1, 1, 1)), 2)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_folded_batchnorm_equals_evaluation(groups: int, transposed: bool, affine: bool) -> None:
    torch.manual_seed(groups)
    layer = nn.ConvTranspose2d if transposed else nn.Conv2d
    net = nn.Sequential(
        layer(4, 8, 3, stride=2, groups=groups, bias=affine), nn.BatchNorm2d(8, affine=affine)
    ).double()
    norm = net[1]
    for tensor in (norm.running_mean, norm.running_var, *norm.parameters()):
        tensor.data.uniform_(0.5, 2.0)
    net.eval()
    x = torch.randn(2, 4, 7, 6, dtype=torch.float64)
    given = None if net[0].bias is None else net[0].bias.detach().numpy()
    weight, bias = algebra.fold_batchnorm(
        net[0].weight.detach().numpy(), given,
        mean=norm.running_mean.numpy(), variance=norm.running_var.numpy(),
        gamma=norm.weight.detach().numpy() if affine else None,
        beta=norm.bias.detach().numpy() if affine else None,
        epsilon=norm.eps, groups=groups, transposed=transposed,
    )  # fmt: skip
    call = F.conv_transpose2d if transposed else F.conv2d
    made = call(x, torch.from_numpy(weight), torch.from_numpy(bias), stride=2, groups=groups)
    torch.testing.assert_close(made, net(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_scales_move_into_the_weights(groups: int) -> None:
    weight, x = whole(4, 4, 6 // min(groups, 2) if groups < 4 else 2, 3), whole(5, 1, 4, 5)
    outputs = weight.shape[1] * groups
    a, b = whole(6, 4), whole(7, outputs)
    expected = F.conv_transpose1d(x * a[:, None], weight, stride=2, groups=groups) * b[:, None]
    made = algebra.scale_outputs(algebra.scale_inputs(weight.numpy(), a.numpy(), groups), b.numpy(), groups)
    assert torch.equal(F.conv_transpose1d(x, torch.from_numpy(made), stride=2, groups=groups), expected)


def test_what_does_not_fold_is_refused() -> None:
    ones = np.ones(2)
    weight = np.ones((2, 2, 3))
    with pytest.raises(TconvError, match=r"^mean has shape \(3,\); \(2,\), one per output channel"):
        algebra.fold_batchnorm(weight, None, mean=np.ones(3), variance=ones)
    with pytest.raises(TconvError, match=r"^variance \+ epsilon is -1 in channel 0; above 0"):
        algebra.fold_batchnorm(weight, None, mean=ones, variance=-ones, epsilon=0.0)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_icnr_starts_as_convolution_then_nearest(axes: int) -> None:
    small, x = whole(8, 3, 2, *(2,) * axes), whole(9, 1, 3, *(4,) * axes)
    made = TRANSPOSED[axes](x, torch.from_numpy(algebra.icnr(small.numpy(), 3)), stride=3)
    expected = F.interpolate(TRANSPOSED[axes](x, small), scale_factor=3, mode="nearest")
    assert torch.equal(made, expected)
    assert algebra.ripple(algebra.phase_gains(algebra.icnr(small.numpy(), 3), 3)) == 0
