"""accelerate: calls of F.conv_transpose on parameters, and layers that do more than PyTorch's."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tconv.torch import accelerate
from tests.torch.accelerate.helpers import norm

FUNCTIONS = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


class Resampling(nn.Module):
    """A function on weights that the module holds, with what may follow it."""

    def __init__(self, axes: int, groups: int = 1, bias: bool = True, held: str = "parameter") -> None:
        super().__init__()
        self.function, self.groups = axes - 1, groups
        weight = torch.randn(4, 6 // groups, *(4,) * axes)
        if held == "parameter":
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)
        self.bias = nn.Parameter(torch.randn(6)) if bias else None
        self.bn = norm(axes, 6)


class One(Resampling):
    def forward(self, x: Tensor) -> Tensor:
        y = F.conv_transpose1d(x, self.weight, self.bias, 2, padding=1, groups=self.groups)
        return torch.tanh(self.bn(y))


class Two(Resampling):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight, self.bias, stride=(2, 1), groups=self.groups).relu()


class Three(Resampling):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose3d(x, weight=self.weight, bias=self.bias, stride=2) + 1


class Computed(Resampling):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight * 2)


class Branching(Resampling):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight) if x.sum() > 0 else x


def x_for(axes: int) -> Tensor:
    return torch.randn(2, 4, *(5,) * axes, generator=torch.Generator().manual_seed(1))


def same(model: nn.Module, twin: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        torch.testing.assert_close(model(x), twin(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("held", ["parameter", "buffer"])
@pytest.mark.parametrize(("make", "axes", "groups", "did"), [
    (One, 1, 2, ["computed by tconv", "BatchNorm1d folded", "tanh() fused"]),
    (Two, 2, 2, ["computed by tconv", "relu() fused"]),
    (Three, 3, 1, ["computed by tconv"]),
])  # fmt: skip
@pytest.mark.parametrize("by_example", [False, True])
def test_a_function_on_a_parameter(
    make: Any, axes: int, groups: int, did: list[str], held: str, by_example: bool
) -> None:
    torch.manual_seed(0)
    model, x = make(axes, groups, held=held).eval(), x_for(axes)
    twin = copy.deepcopy(model)
    done = accelerate(model, *([x] if by_example else []), report=False, seconds=0)
    (row,) = done.rows
    assert row.done == did
    same(model, twin, x)
    with torch.no_grad():
        for each in (model, twin):
            each.weight.mul_(2)
    same(model, twin, x)
    if held == "parameter":
        model.weight = twin.weight = nn.Parameter(torch.randn_like(twin.weight))
        same(model, twin, x)
    wide = copy.deepcopy(twin).double()
    exact = torch.autograd.grad(wide(x.double()).square().sum(), list(wide.parameters()), allow_unused=True)
    for mode in (True, False):
        model.train(mode), twin.train(mode)
        wide.train(mode)
        each = [
            torch.autograd.grad(net(x).square().sum(), list(net.parameters()), allow_unused=True)
            for net in (model, twin)
        ]
        for ours, theirs in zip(*each, strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None:
                torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-2)
    assert exact
    same(copy.deepcopy(model), twin, x)
    done.undo()
    with torch.no_grad():
        assert torch.equal(model(x), twin(x))


@pytest.mark.parametrize("make", [Computed, Branching])
def test_others_are_named(make: Any) -> None:
    (row,) = accelerate(make(2).eval(), report=False).rows
    assert row.what == "conv_transpose2d() in its forward"
    assert "tconv.torch.conv_transpose2d in its place would compute the same" in row.why[0]
    assert row.done == []


class Trimmed(nn.ConvTranspose1d):
    def forward(self, x: Tensor, output_size: Any = None) -> Tensor:
        return super().forward(x, output_size)[..., :-3]


class Scaled(nn.ConvTranspose2d):
    def forward(self, input: Tensor, gain: float = 2.0) -> Tensor:
        made = super().forward(input * gain)
        return made / gain if gain > 1 else F.relu(made)


class Net(nn.Module):
    def __init__(self, up: nn.Module, bn: nn.Module) -> None:
        super().__init__()
        self.up, self.bn = up, bn

    def forward(self, x: Tensor, *rest: Any) -> Tensor:
        return F.relu(self.bn(self.up(x, *rest)))


@pytest.mark.parametrize("weight_norm", [False, True])
def test_a_layer_that_trims_its_output(weight_norm: bool) -> None:
    torch.manual_seed(0)
    up: nn.Module = Trimmed(4, 6, 5, 3)
    model = Net(nn.utils.parametrizations.weight_norm(up) if weight_norm else up, norm(1, 6)).eval()
    twin, x = copy.deepcopy(model), x_for(1)
    for by_example, did in (
        (True, ["swapped", "only its slice computed", "BatchNorm1d folded", "relu() fused"]),
        (False, ["swapped"]),
    ):
        done = accelerate(model, *([x] if by_example else []), report=False, seconds=0)
        assert done.rows[0].done == did
        for size in (5, 9):
            same(model, twin, torch.randn(1, 4, size))
        with torch.no_grad():
            torch.testing.assert_close(model(x, (18,)), twin(x, (18,)), rtol=1e-4, atol=1e-4)
        again = accelerate(model, report=False)
        assert again.rows[0].why[0] == "accelerated already"
        done.undo()
        assert isinstance(model.up, Trimmed)
        with torch.no_grad():
            assert torch.equal(model(x), twin(x))


def test_a_layer_with_other_arguments() -> None:
    torch.manual_seed(0)
    model = Net(Scaled(4, 6, 3), norm(2, 6)).eval()
    twin, x = copy.deepcopy(model), x_for(2)
    accelerate(model, x, report=False, seconds=0)
    with torch.no_grad():
        for gain in (2.0, 0.5, 4.0):
            torch.testing.assert_close(model(x, gain), twin(x, gain), rtol=1e-4, atol=1e-4)
