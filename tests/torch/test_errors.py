"""For code that was written for PyTorch: RuntimeErrors, outputs without cells, torch.jit.script."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import tconv
from tconv import TconvError
from tconv.torch import ConvTranspose2d, LazyConvTranspose2d, accelerate, conv_transpose2d
from tests.torch.helpers import OURS, THEIRS

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.:DeprecationWarning")

X, WEIGHT = torch.ones(1, 2, 3, 3), torch.ones(3, 2, 1, 1)
REFUSED: dict[str, Callable[[], Any]] = {
    "function": lambda: conv_transpose2d(X, WEIGHT),
    "no tensor": lambda: conv_transpose2d(X.numpy(), WEIGHT),
    "gradient": lambda: conv_transpose2d(X, WEIGHT.clone().requires_grad_()),
    "layer": lambda: ConvTranspose2d(3, 2, 1)(X),
    "output size": lambda: ConvTranspose2d(2, 2, 1)(X, output_size=(9, 9)),
    "padding mode": lambda: ConvTranspose2d(2, 2, 1, padding=9, padding_mode="reflect")(X),
    "construction": lambda: ConvTranspose2d(3, 2, 1, groups=2),
    "lazy construction": lambda: LazyConvTranspose2d(3, 1, groups=2),
    "lazy": lambda: LazyConvTranspose2d(3, 1, groups=3)(X),
    "operator": lambda: torch.ops.tconv.conv_transpose(X, WEIGHT, None, [1, 1], [0, 0], [0, 0], [1, 1], 1),
    "meta": lambda: torch.ops.tconv.conv(
        X.to("meta"), WEIGHT[:, :1].to("meta"), [1, 1], [0, 0], [1, 1], 1, [3, 3]
    ),
    "below zero": lambda: conv_transpose2d(X, torch.ones(2, 1, 1, 1), padding=2),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_pytorchs_except_clause_catches_it(call: Callable[[], Any]) -> None:
    with pytest.raises(RuntimeError) as caught:
        call()
    assert isinstance(caught.value, TconvError)
    assert isinstance(caught.value, ValueError)
    copied = pickle.loads(pickle.dumps(caught.value))
    assert (type(copied), str(copied)) == (type(caught.value), str(caught.value))
    assert "\n" not in str(copied)


def test_the_message_is_that_of_arrays() -> None:
    with pytest.raises(TconvError) as arrays:
        tconv.conv_transpose(X.numpy(), WEIGHT.numpy())
    with pytest.raises(RuntimeError) as tensors:
        conv_transpose2d(X, WEIGHT)
    assert str(arrays.value) == str(tensors.value)
    assert not isinstance(arrays.value, RuntimeError)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("padding", [1, (1, 0), (0, 1)])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_an_output_without_cells(axes: int, padding: Any, last: bool, two_threads: None) -> None:
    """PyTorch has it where gradients are recorded, and by oneDNN alone, which it calls on several threads."""
    padding = padding if isinstance(padding, int) else (*padding, *(0,) * axes)[:axes]
    if padding in [(0,), (0, 0, 0)] or (last and axes == 1):
        return
    x = torch.randn(2, 4, *(2,) * axes)
    if last:
        x = x.to(memory_format=torch.channels_last if axes == 2 else torch.channels_last_3d)
    made = []
    for call in (OURS[axes], THEIRS[axes]):
        given = [t.clone().requires_grad_() for t in (x, torch.ones(4, 3, *(1,) * axes), torch.ones(6))]
        y = call(*given, padding=padding, groups=2)
        y.sum().backward()
        made.append([y.detach(), *(t.grad for t in given)])
    assert made[0][0].numel() == 0
    assert all(not t.any() for t in made[0][1:])
    torch.testing.assert_close(*made)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_an_output_without_cells_elsewhere(activation: Any) -> None:
    layer = ConvTranspose2d(3, 2, 1, padding=1, activation=activation)
    x = torch.randn(2, 3, 2, 2)
    with torch.no_grad():
        assert layer(x).shape == layer(x, output_size=(0, 0)).shape == (2, 2, 0, 0)
        assert layer(x[0]).shape == (2, 0, 0)
        assert torch.func.vmap(layer)(x).shape == (2, 2, 0, 0)
    assert layer.bfloat16()(x.bfloat16()).dtype is torch.bfloat16
    layer.float()
    torch._dynamo.reset()
    y = torch.compile(layer, fullgraph=True, backend="aot_eager")(x)
    y.sum().backward()
    assert y.shape == (2, 2, 0, 0)
    assert layer.weight.grad is not None
    assert not layer.weight.grad.any()
    inputs = [t.requires_grad_() for t in (x.double(), layer.weight.detach().double())]
    call = lambda *t: conv_transpose2d(*t, padding=1, activation=activation)  # noqa: E731
    assert torch.autograd.gradgradcheck(call, inputs)


def test_an_accelerated_layer_without_cells() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(3, 2, 1, padding=1), nn.ReLU()).eval()
    with accelerate(model, report=False), torch.no_grad():
        assert model(torch.ones(1, 3, 2, 2)).shape == (1, 2, 0, 0)
        assert model(torch.ones(1, 3, 3, 3)).shape == (1, 2, 1, 1)


def test_scripting_is_refused_in_one_line() -> None:
    upsampling = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 3)).eval()
    done = accelerate(upsampling, report=False)
    outside = nn.Sequential(nn.ReLU(), upsampling)
    for model in (ConvTranspose2d(3, 2, 4), nn.Sequential(ConvTranspose2d(3, 2, 4)), upsampling, outside):
        for each in (model, copy.deepcopy(model)):
            with pytest.raises(
                RuntimeError, match=r"^torch\.jit\.script cannot compile .* would fit"
            ) as caught:
                torch.jit.script(each)
            assert "\n" not in str(caught.value)
    x = torch.ones(1, 3, 4, 4)
    with torch.no_grad():
        expected = upsampling(x)
        assert torch.jit.trace(ConvTranspose2d(3, 2, 4), x)(x).shape == (1, 2, 7, 7)
        torch.testing.assert_close(torch.jit.script(pickle.loads(pickle.dumps(upsampling)))(x), expected)
        done.undo()
        torch.testing.assert_close(torch.jit.script(upsampling)(x), expected)
