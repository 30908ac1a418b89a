"""Every argument of PyTorch's functions and layers, with values of other kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import tconv.torch
from tconv.nets import FCN
from tests.odd import MODEST, ODD, refusals

CALL: dict[str, Any] = {
    "input": torch.ones(1, 2, 4), "weight": torch.ones(2, 2, 4), "bias": torch.ones(2), "stride": 2,
    "padding": 1, "output_padding": 0, "groups": 1, "dilation": 1, "activation": "relu",
}  # fmt: skip
LAYER: dict[str, Any] = {
    "in_channels": 2, "out_channels": 2, "kernel_size": 4, "stride": 2, "padding": 1, "output_padding": 0,
    "groups": 1, "bias": True, "dilation": 1, "padding_mode": "zeros", "device": None, "dtype": None,
    "output_size": None, "activation": None,
}  # fmt: skip
LAZY = {name: value for name, value in LAYER.items() if name != "in_channels"}


def _of_rank(axes: int) -> dict[str, Any]:
    return {**CALL, "input": torch.ones(1, 2, *[4] * axes), "weight": torch.ones(2, 2, *[4] * axes)}


CASES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    **{
        f"{kind}{axes}d": (getattr(tconv.torch, f"{kind}{axes}d"), given)
        for kind, given in (("ConvTranspose", LAYER), ("LazyConvTranspose", LAZY))
        for axes in (1, 2, 3)
    },
    **{
        f"conv_transpose{axes}d": (getattr(tconv.torch, f"conv_transpose{axes}d"), _of_rank(axes))
        for axes in (1, 2, 3)
    },
    "forward": (
        tconv.torch.ConvTranspose2d(2, 2, 4, 2, 1),
        {"input": torch.ones(1, 2, 4, 4), "output_size": None},
    ),
    "StreamingConvTranspose1d": (
        tconv.torch.StreamingConvTranspose1d,
        {"layer": nn.ConvTranspose1d(2, 2, 4, 2)},
    ),
    "chunk": (
        lambda chunk: tconv.torch.StreamingConvTranspose1d(nn.ConvTranspose1d(2, 2, 4, 2))(chunk),
        {"chunk": torch.ones(1, 2, 4)},
    ),
    "accelerate": (
        tconv.torch.accelerate,
        {"model": nn.Sequential(nn.ConvTranspose1d(2, 2, 4, 2), nn.ReLU()).eval(), "report": False},
    ),
    "init.bilinear_": (tconv.torch.init.bilinear_, {"weight": torch.ones(2, 1, 4, 4), "factor": 2}),
    "FCN": (
        FCN,
        {
            "num_classes": 2, "net": "fcn32s", "backbone": "small", "upsampling": "bilinear",
            "in_channels": 1, "width": 1, "dense": True,
        },
    ),
}  # fmt: skip
#: What functions return, and modules.
WITHOUT = {"Accelerated", "init", "operators", "team"}


def test_no_function_is_left_out() -> None:
    assert set(tconv.torch.__all__) - WITHOUT <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_odd_argument_is_answered_or_refused(name: str) -> None:
    call, given = CASES[name]
    refused, faults = refusals(call, given, MODEST if name == "conv_transpose1d" else ODD)
    assert faults == []
    assert refused > 10 * len(given)
