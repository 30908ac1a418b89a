"""Bilinear starting values: the layer upsamples each channel as torch's interpolation does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tconv
from tconv import TconvError
from tconv.torch import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, conv_transpose3d
from tconv.torch.init import bilinear_

MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}
LAYERS = {1: ConvTranspose1d, 2: ConvTranspose2d, 3: ConvTranspose3d}


def upsampled(x: Tensor, layer: nn.Module, factor: int) -> Tensor:
    """The layer on `x` with its edge repeated once, less what the edge added."""
    axes = x.dim() - 2
    edged = functional.pad(x, (1, 1) * axes, mode="replicate")
    cut = [slice(factor, -factor)] * axes
    return layer(edged)[(..., *cut)]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("per_channel", [False, True])
def test_it_is_bilinear_interpolation(axes: int, factor: int, per_channel: bool) -> None:
    channels = 3
    options = tconv.filters.options("bilinear", factor)
    layer = LAYERS[axes](
        channels, channels, options["kernel"], options["stride"], options["padding"],
        groups=channels if per_channel else 1, bias=False, dtype=torch.float64,
    )  # fmt: skip
    for given in (None, factor):
        nn.init.constant_(layer.weight, 77.0)
        assert bilinear_(layer.weight, given) is layer.weight
        x = torch.randn(2, channels, *range(3, 3 + axes), dtype=torch.float64)
        expected = functional.interpolate(x, scale_factor=factor, mode=MODES[axes], align_corners=False)
        torch.testing.assert_close(upsampled(x, layer, factor), expected)


def test_groups_of_several_channels() -> None:
    weight = bilinear_(torch.empty(6, 3, 4))  # two groups of three
    for channel in range(6):
        assert torch.equal(weight[channel, channel % 3], torch.tensor([0.25, 0.75, 0.75, 0.25]))
        assert weight[channel].sum() == 2


def test_each_axis_has_its_own_factor() -> None:
    weight = bilinear_(torch.empty(1, 1, 1, 4, 5, dtype=torch.float64))  # 1, 2 and 3 times
    x = torch.randn(1, 1, 4, 5, 6, dtype=torch.float64)
    made = conv_transpose3d(
        functional.pad(x, (1, 1) * 3, mode="replicate"), weight, stride=(1, 2, 3), padding=(0, 1, 1)
    )
    expected = functional.interpolate(x, scale_factor=(1, 2, 3), mode="trilinear", align_corners=False)
    torch.testing.assert_close(made[:, :, 1:-1, 2:-2, 3:-3], expected)


def test_the_weight_stays_a_parameter() -> None:
    layer = ConvTranspose2d(2, 2, 4, 2, 1, dtype=torch.float16)
    bilinear_(layer.weight)
    assert layer.weight.requires_grad
    assert layer.weight.grad_fn is None
    assert layer.weight.dtype is torch.float16
    assert layer.weight[0, 0, 1, 1] == 0.5625


@pytest.mark.parametrize(("shape", "factor", "pieces"), [
    ((2, 2, 3, 3), None, ["kernel 3", "2*factor - factor % 2", "such as 1 or 4"]),
    ((2, 2, 6), None, ["kernel 6", "such as 5 or 8"]),
    ((2, 2, 4, 7), None, ["kernel 7", "such as 5 or 8"]),
    ((2, 2, 4, 4), 3, ["kernel 4 upsamples 2 times, not 3", "kernel 5 would fit"]),
    ((2, 2, 4, 5), 2, ["kernel 5 upsamples 3 times, not 2", "kernel 4 would fit"]),
    ((2, 2, 4), 0, ["factor", "0", "at least 1"]),
    ((2, 2, 0), None, ["kernel 0"]),
    ((2, 2), None, ["(2, 2)", "1 to 3 kernel axes"]),
    ((2, 3, 4), None, ["(2, 3, 4)", "(c, c/groups, *kernel)"]),
])  # fmt: skip
def test_what_is_no_bilinear_layer(shape: tuple[int, ...], factor: int | None, pieces: list[str]) -> None:
    weight = torch.full(shape, 7.0)
    with pytest.raises(TconvError) as caught:
        bilinear_(weight, factor)
    for piece in pieces:
        assert piece in str(caught.value)
    assert "\n" not in str(caught.value)
    assert torch.equal(weight, torch.full(shape, 7.0))  # untouched
