"""What changes after `accelerate` in ways that PyTorch does not count, or that a trace has frozen."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tconv.torch import ConvTranspose2d
from tconv.torch.accelerate import accelerate
from tests.torch.accelerate import helpers
from tests.torch.accelerate.helpers import norm


def _changed(model: nn.Module, change: Callable[[Any], Any]) -> tuple[Tensor, Tensor]:
    """The answers of an accelerated model and of its twin, when both have changed after a first call."""
    twin, x = copy.deepcopy(model.eval()), torch.randn(1, 4, 6, 6)
    done = accelerate(model, report=False)
    assert any("folded" in text or "fused" in text for row in done.rows for text in row.done)
    with torch.no_grad():
        torch.testing.assert_close(model(x), twin(x), rtol=1e-4, atol=1e-5)
        before = twin(x)
        for each in model, twin:
            torch.manual_seed(7)
            with torch.enable_grad():
                change(each)
        assert not torch.allclose(twin(x), before)
        return model(x), twin(x)


def _sequence() -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(4, 8, 4, 2, 1), norm(2, 8), nn.LeakyReLU(0.5))


def _stepped(sequence: nn.Sequential) -> None:
    sequence[0].bias.grad = torch.ones(8)
    torch.optim.SGD([sequence[0].bias], lr=1.0, fused=True).step()


def _given_twice(sequence: nn.Sequential) -> None:
    for value in 5.0, 7.0:  # the second may lie where the first tensor lay
        sequence[0].bias.data = torch.full((8,), value)


@pytest.mark.parametrize(
    "change",
    [
        lambda sequence: sequence[0].bias.data.fill_(3),
        lambda sequence: sequence[0].weight.data[1, 2, 3, 0].fill_(30),
        lambda sequence: [tensor.data.clamp_(-0.1, 0.1) for tensor in sequence.parameters()],
        lambda sequence: sequence[1].weight.data.fill_(3),
        lambda sequence: sequence[1].bias.data.fill_(3),
        lambda sequence: sequence[0].bias.detach().numpy().fill(7),
        _stepped,
        _given_twice,
    ],
)
def test_a_write_that_pytorch_does_not_count_is_seen(change: Callable[[Any], Any]) -> None:
    torch.manual_seed(1)
    found, expected = _changed(_sequence(), change)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_an_output_size_that_is_set_later_holds() -> None:
    layer = ConvTranspose2d(4, 8, 3, 2, 1).eval()
    accelerate(layer, report=False)
    with torch.no_grad():
        assert layer(torch.ones(1, 4, 6, 6)).shape == (1, 8, 11, 11)
        layer.output_size = (12, 12)
        assert layer(torch.ones(1, 4, 6, 6)).shape == (1, 8, 12, 12)


class _Parts(nn.Module):
    """A layer with what follows it, and modules that hold numbers or others."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.ConvTranspose2d(4, 4, 3, padding=1), norm(2, 4), nn.Tanh()])
        self.stages = nn.ModuleList([nn.ModuleList([nn.Identity()])])
        self.net = nn.Module()
        self.net.up, self.net.scale = nn.ConvTranspose2d(4, 4, 3, padding=1), 1.0
        self.scale = 2.0


class _Loop(_Parts):
    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        for stage in self.stages:
            for block in stage:
                x = block(x)
        return x


class _Within(_Parts):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.net.up(x)) * self.net.scale


class _Otherwise(_Parts):
    """Its first argument is not called self."""

    def forward(this, x: Tensor) -> Tensor:
        return functional.relu(this.net.up(x)) * this.scale


def _other() -> nn.Module:
    made = nn.Module()
    made.up, made.scale = nn.ConvTranspose2d(4, 4, 3, padding=1), 3.0
    return made


def _rescaled(parts: _Parts) -> None:
    made = nn.Module()
    made.up, made.scale = parts.net.up, 5.0
    parts.net = made


def _later(self: nn.Module, x: Tensor) -> Tensor:
    return torch.relu(self.net.up(x)) * 9


@pytest.mark.parametrize(
    ("made", "change"),
    [
        (_Loop, lambda parts: parts.blocks.append(nn.Sigmoid())),
        (_Loop, lambda parts: parts.stages[0].append(nn.Sigmoid())),
        (_Loop, lambda parts: parts.stages.append(nn.ModuleList([nn.Sigmoid()]))),
        (_Loop, lambda parts: setattr(parts, "blocks", nn.ModuleList([*parts.blocks[:2], nn.Sigmoid()]))),
        (_Loop, lambda parts: parts.blocks.insert(1, nn.Tanh())),
        (_Within, lambda parts: setattr(parts, "net", _other())),
        (_Within, _rescaled),
        (_Otherwise, lambda parts: setattr(parts, "scale", 3.0)),
    ],
)
def test_modules_that_come_later_are_seen(made: type[_Parts], change: Callable[[Any], Any]) -> None:
    torch.manual_seed(2)
    found, expected = _changed(made(), change)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_forward_that_its_class_gets_later_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    found, expected = _changed(_Within(), lambda parts: monkeypatch.setattr(type(parts), "forward", _later))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


class _Alias(_Parts):
    def forward(self, x: Tensor) -> Tensor:
        net = self.net
        return torch.relu(self.net.up(x)) * net.scale


class _Item(_Parts):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.net.up(x)) * self.blocks[0].in_channels


def _scaled(parts: _Parts, x: Tensor) -> Tensor:
    return x * parts.scale


class _Helped(_Parts):
    def forward(self, x: Tensor) -> Tensor:
        return _scaled(self, torch.relu(self.net.up(x)))


@pytest.mark.parametrize(
    ("made", "name"), [(_Alias, "scale"), (_Item, "in_channels"), (_Helped, "scale")], ids=lambda it: str(it)
)
def test_numbers_of_modules_in_local_names_are_not_frozen(made: type[_Parts], name: str) -> None:
    parts, x = made().eval(), torch.randn(1, 4, 5, 5)
    done = accelerate(parts, report=False)
    told = [text for row in done.rows for text in row.why]
    assert any(f".{name} of something local" in text for text in told), told
    with torch.no_grad():
        before = parts(x)
        parts.scale, parts.net.scale, parts.blocks[0].in_channels = 20.0, 10.0, 40
        torch.testing.assert_close(parts(x), before * 10)


class _Numbers:
    """Somebody's settings."""

    scale = 1.0


NUMBERS, SCALE = _Numbers(), torch.tensor(1.0)


class _Settings(_Parts):
    def __init__(self) -> None:
        super().__init__()
        self.numbers = _Numbers()

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.net.up(x)) * self.numbers.scale
        return x * NUMBERS.scale * _Numbers.scale * helpers.SCALE


def _set(model: Any) -> None:
    model.numbers.scale = 2.0


def _replaced(model: Any) -> None:
    model.numbers = _Numbers()
    model.numbers.scale = 2.0


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: _set,
        lambda patch: _replaced,
        lambda patch: lambda model: patch.setattr(_Numbers, "scale", 2.0),
        lambda patch: lambda model: patch.setattr(NUMBERS, "scale", 2.0),
        lambda patch: lambda model: patch.setattr(helpers, "SCALE", 2.0),
    ],
)
def test_settings_are_read_again(
    change: Callable[[pytest.MonkeyPatch], Callable[[Any], Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helpers, "SCALE", 1.0, raising=False)
    torch.manual_seed(4)
    found, expected = _changed(_Settings(), change(monkeypatch))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


class _GlobalTensor(_Parts):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.net.up(x)) * SCALE


def test_a_global_tensor_is_not_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, x = _GlobalTensor().eval(), torch.randn(1, 4, 5, 5)
    held = set(vars(parts))
    done = accelerate(parts, report=False)
    assert "a tensor, SCALE, that is not a buffer" in " ".join(str(done).split())
    with torch.no_grad():
        before = parts(x)
        monkeypatch.setitem(globals(), "SCALE", torch.tensor(10.0))
        torch.testing.assert_close(parts(x), before * 10)
    assert set(vars(parts)) == held
