"""accelerate looks through containers, in sequences and in forwards that can be read."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tconv.torch import accelerate
from tests.torch.accelerate.helpers import norm

X = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(3))


class NormAct(nn.Module):
    def __init__(self, slope: float = 0.1) -> None:
        super().__init__()
        self.bn, self.slope = norm(2, 4), slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.bn(x), self.slope)


class Doubling(nn.Module):
    """Conv containers as in detectors."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.act = nn.ConvTranspose2d(4, 4, 2, 2), norm(2, 4), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Around(nn.Module):
    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.up, self.tail = nn.ConvTranspose2d(4, 4, 3, padding=1), nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.up(x)) + 1


def up() -> nn.Module:
    return nn.ConvTranspose2d(4, 4, 4, 2, 1)


def synced() -> nn.Module:
    made = nn.SyncBatchNorm(4)
    made.load_state_dict(norm(2, 4).state_dict())
    return made


BN = "BatchNorm2d folded"
FOUND: list[tuple[Callable[[], nn.Module], dict[str, list[str]]]] = [
    (lambda: nn.Sequential(up(), nn.Sequential(norm(2, 4), nn.ReLU())), {"0": [BN, "ReLU fused"]}),
    (
        lambda: nn.Sequential(
            nn.Sequential(nn.ReLU(), up()), nn.Identity(), nn.Dropout(), norm(2, 4), nn.Tanh()
        ),
        {"0.1": [BN, "Tanh fused"]},
    ),
    (
        lambda: nn.Sequential(
            nn.Sequential(up(), norm(2, 4)), nn.Sequential(nn.Sequential(nn.Sigmoid()), nn.Conv2d(4, 2, 3))
        ),
        {"0.0": [BN, "Sigmoid fused"]},
    ),
    (lambda: nn.Sequential(up(), synced(), nn.ReLU6()), {"0": ["SyncBatchNorm folded", "ReLU6 fused"]}),
    (lambda: nn.Sequential(up(), NormAct()), {"0": [BN, "leaky_relu() fused"]}),
    (lambda: nn.Sequential(Doubling(), nn.ReLU()), {"0.conv": [BN, "ReLU fused"]}),
    (lambda: Around(norm(2, 4), nn.ReLU()), {"up": [BN, "ReLU fused"]}),
    (lambda: Around(NormAct()), {"up": [BN, "leaky_relu() fused"]}),
    (
        lambda: nn.Sequential(
            nn.Sequential(nn.Upsample(scale_factor=2)), nn.Sequential(nn.Conv2d(4, 3, 3), nn.ReLU())
        ),
        {"0.0 + 1.0": ["ReLU fused"]},
    ),
]


def outputs(model: nn.Module, x: Tensor = X) -> Tensor:
    with torch.no_grad():
        made: Tensor = model(x)
    return made


def pair(make: Callable[[], nn.Module]) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    model = make().eval()
    return model, copy.deepcopy(model)


@pytest.mark.parametrize(("make", "did"), FOUND)
def test_containers_are_looked_through(make: Callable[[], nn.Module], did: dict[str, list[str]]) -> None:
    model, twin = pair(make)
    done = accelerate(model, report=False)
    assert {row.name: row.done[1:] for row in done.rows} == did
    assert not any(row.why for row in done.rows)
    torch.testing.assert_close(outputs(model), outputs(twin), rtol=1e-4, atol=1e-5)
    model.train(), twin.train()
    torch.manual_seed(1)
    found = model(X)
    torch.manual_seed(1)
    torch.testing.assert_close(found, twin(X), rtol=1e-4, atol=1e-5)
    model.eval(), twin.eval()
    torch.testing.assert_close(outputs(model), outputs(twin), rtol=1e-4, atol=1e-5)
    done.undo()
    assert torch.equal(outputs(model), outputs(twin))


def noted(seen: list[Tensor], module: nn.Module, given: Any, output: Tensor) -> None:
    seen.append(output)


@pytest.mark.parametrize(("make", "did"), FOUND)
def test_hooks_on_every_module_are_called(make: Callable[[], nn.Module], did: dict[str, list[str]]) -> None:
    model, twin = pair(make)
    accelerate(model, report=False)
    for name in dict(twin.named_modules()):
        seen: list[Tensor] = []
        note = partial(noted, seen)
        handles = [each.get_submodule(name).register_forward_hook(note) for each in (model, twin)]
        torch.testing.assert_close(outputs(model), outputs(twin), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(seen[0], seen[1], rtol=1e-4, atol=1e-5)
        assert len(seen) == 2
        for handle in handles:
            handle.remove()


def changed_member(model: nn.Sequential) -> None:
    model[1][1] = nn.Tanh()


def appended(model: nn.Sequential) -> None:
    model[1].append(nn.Tanh())


def dropout(model: nn.Sequential) -> None:
    model[1][2].train()


def statistics(model: nn.Sequential) -> None:
    model[1][0].train()


@pytest.mark.parametrize("change", [changed_member, appended, dropout, statistics])
def test_changes_of_a_container(change: Callable[[nn.Module], None]) -> None:
    model, twin = pair(
        lambda: nn.Sequential(up(), nn.Sequential(norm(2, 4), nn.Identity(), nn.Dropout(0.5), nn.ReLU()))
    )
    accelerate(model, report=False)
    for each in (model, twin):
        change(each)
    torch.manual_seed(4)
    found = outputs(model)
    torch.manual_seed(4)
    torch.testing.assert_close(found, outputs(twin), rtol=1e-4, atol=1e-5)


def test_a_number_of_an_opened_module() -> None:
    model, twin = pair(lambda: nn.Sequential(up(), NormAct()))
    accelerate(model, report=False)
    model[1].slope = twin[1].slope = 0.9  # type: ignore[index]
    torch.testing.assert_close(outputs(model), outputs(twin), rtol=1e-4, atol=1e-5)


def test_what_follows_is_named_by_what_it_holds() -> None:
    model, _ = pair(lambda: nn.Sequential(up(), nn.Sequential(nn.Identity(), nn.Conv2d(4, 4, 1))))
    assert accelerate(model, report=False).rows[0].why == ["Conv2d follows"]
