"""accelerate: activations other than ReLU, as modules and as functions, with the slopes of a PReLU."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tconv.torch import accelerate

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu by tanh": lambda y: F.gelu(y, approximate="tanh"),
    "silu": F.silu,
    "silu in place": lambda y: F.silu(y, inplace=True),
    "elu": lambda y: F.elu(y, 0.5),
    "elu_": lambda y: F.elu_(y),
    "hardswish": lambda y: F.hardswish(y, True),
    "softplus": lambda y: F.softplus(y, 2, 3),
    "mish": F.mish,
    "prelu": lambda y: F.prelu(y, torch.tensor([0.1, -0.2, 0.3, 0.0])),
}
X = torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(1))


def slopes(count: int = 4) -> nn.PReLU:
    made = nn.PReLU(count)
    nn.init.uniform_(made.weight, -1, 1)
    return made


class Apart(nn.Module):
    """A branching forward: what follows the layer is known from an example alone."""

    def __init__(self, step: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.up, self.step = nn.ConvTranspose2d(3, 4, 4, 2, 1), step

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x)
        return self.step(y) if x.shape[0] < 9 else y


def gradients(model: nn.Module, x: Tensor) -> list[Tensor]:
    wanted = [each for each in model.parameters() if each.requires_grad]
    return [*torch.autograd.grad(model(x).square().sum(), wanted)]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", ["straight", "branching"])
def test_functions(name: str, kind: str) -> None:
    torch.manual_seed(0)

    class Straight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(3, 4, 4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return FUNCTIONS[name](self.up(x))

    model = (Straight() if kind == "straight" else Apart(FUNCTIONS[name])).eval()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        done = accelerate(model, X, report=False, seconds=0)
        torch.testing.assert_close(model(X), twin(X), rtol=1e-5, atol=1e-6)
    if kind == "branching" or name != "prelu":  # a tensor that the code makes
        assert any("fused" in what for row in done.rows for what in row.done), done.rows
    for actual, expected in zip(gradients(model, X), gradients(twin, X), strict=True):
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("kind", ["straight", "branching"])
@pytest.mark.parametrize("training", [False, True])
def test_slopes_that_are_learned(kind: str, count: int, training: bool) -> None:
    torch.manual_seed(count)
    step = slopes(count)
    model: Any = nn.Sequential(nn.ConvTranspose2d(3, 4, 4, 2, 1), step) if kind == "straight" else Apart(step)
    model.train(training)
    twin = copy.deepcopy(model)
    done = accelerate(model, X, report=False, seconds=0)
    if kind == "straight" or not training:
        assert ["swapped", "PReLU fused"] in [row.done for row in done.rows] or kind == "branching"
    for frozen in (False, True):  # layers alone, so that only the slopes are learned
        for each in (model, twin):
            layer = next(part for part in each.modules() if isinstance(part, nn.ConvTranspose2d))
            layer.requires_grad_(not frozen)
        for actual, expected in zip(gradients(model, X), gradients(twin, X), strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-4)
    with torch.no_grad():
        for each in (model, twin):
            part = next(part for part in each.modules() if isinstance(part, nn.PReLU))
            part.weight.mul_(-3)  # as an optimizer does
        torch.testing.assert_close(model(X), twin(X), rtol=1e-5, atol=1e-6)


def test_numbers_that_do_not_fit_any_more() -> None:
    """What the module itself computes or refuses."""
    torch.manual_seed(0)
    for step, change in (
        (nn.Softplus(), {"beta": -1.0}),
        (nn.GELU(), {"approximate": "other"}),
        (slopes(), {"weight": nn.Parameter(torch.ones(3))}),
    ):
        model = nn.Sequential(nn.ConvTranspose2d(3, 4, 4, 2, 1), step).eval()
        twin = copy.deepcopy(model)
        accelerate(model, report=False)
        with torch.no_grad():
            torch.testing.assert_close(model(X), twin(X), rtol=1e-5, atol=1e-6)
            for each in (model, twin):
                for name, value in change.items():
                    setattr(each[1], name, value)
            if isinstance(step, nn.Softplus):
                torch.testing.assert_close(model(X), twin(X))
            else:
                for each in (model, twin):
                    with pytest.raises(RuntimeError):
                        each(X)
