"""Multiplications: exact here, where two well-known counters are not."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest

from tconv import views
from tconv.diagnosis import diagnose
from tconv.geometry import Geometry

torch = pytest.importorskip("torch", reason="the counters count PyTorch's layers")

PROBLEMS = [
    "n1 c8>4 i10x10 k4 s2 p1",
    "n1 c8>4 i10x10 k3 s2 p1 o1",
    "n1 c8>8 i10x10 k4 s2 p1 g8",
    "n1 c4>4 i9 k3 s3 p2 d2",
    "n1 c8>4 i5x5 k2 s2",
    "n1 c6>2 i4x4x4 k4 s2 p1 g2",
]


def counted_out(g: Geometry) -> int:
    """Every product of one channel pair counts 1 in the sum of the outputs; times the pairs."""
    one = replace(g, batch=1, in_channels=1, out_channels=1, groups=1)
    landed = int(views.scatter(np.ones(one.input_shape, int), np.ones(one.weight_shape, int), one).sum())
    return landed * g.batch * g.in_channels * g.out_channels // g.groups


def layer(g: Geometry) -> torch.nn.Module:
    kinds = {1: torch.nn.ConvTranspose1d, 2: torch.nn.ConvTranspose2d, 3: torch.nn.ConvTranspose3d}
    return kinds[g.axes](
        g.in_channels, g.out_channels, g.kernel, g.stride, [lo for lo, _ in g.padding], g.output_padding,
        groups=g.groups, bias=False, dilation=g.dilation,
    )  # fmt: skip


@pytest.mark.parametrize("problem", PROBLEMS)
def test_ours_is_exact(problem: str) -> None:
    g = Geometry.parse(problem)
    numbers = diagnose(g).as_dict()["layers"][0]["multiplications"]
    assert numbers["exact"] == counted_out(g)
    assert numbers["zero_insertion"] == prod(g.output) * prod(g.kernel) * g.in_channels * g.weight_shape[1]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_torchinfo_counts_every_output_with_every_tap(problem: str) -> None:
    """It overcounts by the product of the strides, where the output is input * stride."""
    torchinfo = pytest.importorskip("torchinfo", reason="the counter to compare with is not installed")
    g = Geometry.parse(problem)
    theirs = torchinfo.summary(layer(g), input_size=g.input_shape, verbose=0).total_mult_adds
    assert theirs == diagnose(g).as_dict()["layers"][0]["multiplications"]["zero_insertion"]
    assert theirs > 1.5 * counted_out(g)
    if all(o == i * s for o, i, s in zip(g.output, g.input, g.stride, strict=True)):
        assert theirs == prod(g.stride) * g.macs


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fvcore traces with torch.jit
@pytest.mark.parametrize("problem", PROBLEMS)
def test_fvcore_counts_what_is_cropped(problem: str) -> None:
    pytest.importorskip("fvcore", reason="the counter to compare with is not installed")
    from fvcore.nn import FlopCountAnalysis

    g = Geometry.parse(problem)
    theirs = FlopCountAnalysis(layer(g), torch.zeros(g.input_shape)).unsupported_ops_warnings(False).total()
    assert theirs == g.macs == diagnose(g).as_dict()["layers"][0]["multiplications"]["nominal"]
    assert (theirs > counted_out(g)) == any(lo or hi for lo, hi in g.padding)
