"""accelerate: layers become tconv's where they are, with everything that hangs on them, and go back."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import tconv.torch as layers
from tconv import TconvError
from tconv.torch import accelerate
from tconv.torch.accelerate import choosing

KINDS = [
    (nn.ConvTranspose1d, layers.ConvTranspose1d, (5,)),
    (nn.ConvTranspose2d, layers.ConvTranspose2d, (5, 4)),
    (nn.ConvTranspose3d, layers.ConvTranspose3d, (3, 4, 2)),
]


class Own(nn.ConvTranspose2d):
    """A user's subclass, with something of its own."""

    scale = 3

    def doubled(self) -> int:
        return 2 * self.in_channels


class OwnForward(nn.ConvTranspose2d):
    def forward(self, input: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        return super().forward(input, output_size) + 1


class Another(nn.ConvTranspose2d):
    def forward(self, input: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        return input


def whole(module: nn.Module) -> nn.Module:
    """Weights that are small whole numbers, so that answers are exact."""
    for tensor in module.parameters():
        tensor.data = torch.randint(-4, 5, tensor.shape).to(tensor.dtype)
    return module


def same(model: nn.Module, x: torch.Tensor, expected: torch.Tensor) -> None:
    with torch.no_grad():
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("theirs", "ours", "size"), KINDS)
def test_the_same_object_becomes_ours_and_goes_back(theirs: type, ours: type, size: tuple) -> None:
    layer = whole(theirs(4, 6, 3, stride=2, groups=2))
    model = nn.ModuleDict({"a": nn.ModuleList([layer])})
    x = torch.randint(-3, 4, (2, 4, *size)).float()
    expected = layer(x)
    weight, keys = layer.weight, list(model.state_dict())
    done = accelerate(model, report=False)
    assert type(layer) is ours
    assert layer.weight is weight
    assert list(model.state_dict()) == keys
    assert torch.equal(layer(x), expected)
    layer.eval()
    with torch.no_grad():
        assert torch.equal(layer(x), expected)
        assert torch.equal(layer(x, output_size=expected.shape[2:]), expected)
        assert torch.equal(layer(x[:1].expand(3, *x.shape[1:])), expected[:1].expand(3, *expected.shape[1:]))
    before = dict(vars(layer))
    done.undo()
    assert type(layer) is theirs
    assert set(before) - set(vars(layer)) == {"_accelerated", "forward", "__prepare_scriptable__"}
    assert torch.equal(layer(x), expected)
    done.undo()  # nothing left to do
    assert type(layer) is theirs


def test_a_model_that_is_one_layer() -> None:
    layer = nn.ConvTranspose2d(2, 2, 2)
    with accelerate(layer, report=False) as done:
        assert type(layer) is layers.ConvTranspose2d
        assert done.model is layer
        assert [row.name for row in done.rows] == ["(the model)"]
    assert type(layer) is nn.ConvTranspose2d


def test_an_optimizer_made_before_goes_on() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.ConvTranspose2d(3, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 1))
    twin = copy.deepcopy(model)
    x = torch.randn(2, 3, 6, 6)
    steps = [(net, torch.optim.SGD(net.parameters(), 0.001)) for net in (model, twin)]
    accelerate(model, report=False)
    for _ in range(3):
        for net, optimizer in steps:
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
    for ours, theirs in zip(model.state_dict().values(), twin.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    same(model.eval(), x, twin.eval()(x))
    twin.load_state_dict(model.state_dict())
    model.load_state_dict(twin.state_dict())


def test_a_layer_in_two_places_and_a_subclass() -> None:
    torch.manual_seed(0)
    shared = Own(4, 4, 3, padding=1)
    model = nn.Sequential(shared, nn.ReLU(), shared).eval()
    x = torch.randn(1, 4, 5, 5)
    expected = model(x)
    done = accelerate(model, report=False)
    assert isinstance(shared, Own)
    assert isinstance(shared, layers.ConvTranspose2d)
    assert (shared.doubled(), shared.scale, type(shared).__name__) == (8, 3, "Own")
    assert [row.name for row in done.rows] == ["0, 2"]
    same(model, x, expected)
    restored = pickle.loads(pickle.dumps(shared))
    assert isinstance(restored, Own)
    same(restored, x, shared(x))
    same(copy.deepcopy(model), x, expected)
    done.undo()
    assert type(shared) is Own


def test_layers_that_stay() -> None:
    model = nn.ModuleDict({"own": Another(2, 2, 2), "eight": nn.ConvTranspose2d(2, 2, 2, device="meta")})
    model["patched"] = patched = nn.ConvTranspose2d(2, 2, 2)
    patched.forward = lambda x: x
    model["quiet"] = nn.ConvTranspose2d(2, 2, 2).to(torch.float8_e5m2)
    why = {row.name: row.why for row in accelerate(model, report=False).rows}
    assert why["own"] == [
        "Another has its own forward; with super().forward(...) in it the layer would be computed here"
    ]
    assert why["patched"] == ["its forward has been replaced"]
    assert why["quiet"] == ["the engine lacks torch.float8_e5m2"]
    assert type(model["own"]) is Another
    assert patched.forward(1) == 1
    assert type(model["eight"]) is layers.ConvTranspose2d


@pytest.mark.parametrize("lazy", [nn.LazyConvTranspose1d, nn.LazyConvTranspose2d, nn.LazyConvTranspose3d])
@pytest.mark.parametrize("shaped_by_us", [True, False])
def test_lazy_layers(lazy: type, shaped_by_us: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "in_turns", lambda sides, *_, **__: [[1.0] * 18] * len(sides))
    model = nn.Sequential(lazy(4, 3, stride=2), nn.Tanh()).eval()
    axes = int(lazy.__name__[-2])
    ours, theirs = KINDS[axes - 1][1], KINDS[axes - 1][0]
    x = torch.randn(1, 3, *(4,) * axes)
    done = accelerate(model, x if shaped_by_us else None, report=False)
    accelerated = model(x)
    assert type(model[0]) is ours
    done.undo()
    assert type(model[0]) is theirs
    torch.testing.assert_close(model(x), accelerated)


def test_a_lazy_layer_never_called_stays_lazy() -> None:
    layer = nn.LazyConvTranspose2d(4, 3)
    with accelerate(layer, report=False):
        assert isinstance(pickle.loads(pickle.dumps(layer)), nn.LazyConvTranspose2d)
    assert type(layer) is nn.LazyConvTranspose2d


WRAPPED = {
    "old weight_norm": lambda layer: nn.utils.weight_norm(layer),
    "weight_norm": lambda layer: parametrizations.weight_norm(layer),
    "old spectral_norm": lambda layer: nn.utils.spectral_norm(layer, dim=1),
    "spectral_norm": lambda layer: parametrizations.spectral_norm(layer),
    "orthogonal": lambda layer: parametrizations.orthogonal(layer),
}


class Doubled(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
@pytest.mark.parametrize("name", WRAPPED)
def test_parametrised_layers(name: str) -> None:
    torch.manual_seed(0)
    layer = WRAPPED[name](nn.ConvTranspose2d(4, 4, 2, stride=2))
    model = nn.Sequential(layer, nn.LeakyReLU(0.2))
    parametrised, x = type(layer), torch.randn(2, 4, 3, 3)
    model(x)
    model.eval()
    expected, keys = model(x), list(model.state_dict())
    done = accelerate(model, report=False)
    assert isinstance(layer, layers.ConvTranspose2d)
    assert list(model.state_dict()) == keys
    same(model, x, expected)
    with torch.no_grad():  # a change of what the weights come from is seen
        for parameter in layer.parameters():
            parameter.mul_(1.5)
    later = model(x)
    assert not torch.allclose(later, expected)
    same(model, x, later)
    model.train()
    twin = copy.deepcopy(model)
    model(x).sum().backward()
    done.undo()
    assert type(layer) is parametrised
    same(model.eval(), x, later) if "spectral" not in name else None
    twin(x).sum().backward()  # the copy is still ours
    assert isinstance(twin[0], layers.ConvTranspose2d)
    for mine, copied in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, copied.grad)


def test_parametrisations_that_come_and_go() -> None:
    layer = nn.ConvTranspose2d(2, 2, 2).eval()
    x = torch.randn(1, 2, 3, 3)
    done = accelerate(layer, report=False)
    same(layer, x, plain := layer(x).detach())
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert isinstance(layer, layers.ConvTranspose2d)
    same(layer, x, doubled := layer(x).detach())
    assert not torch.allclose(doubled, plain)
    done.undo()
    assert type(layer).__bases__ == (nn.ConvTranspose2d,)
    same(layer, x, doubled)
    done = accelerate(layer, report=False)
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    assert type(layer) is layers.ConvTranspose2d
    same(layer, x, doubled)
    done.undo()
    assert type(layer) is nn.ConvTranspose2d


def test_hooks_go_on_firing() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(2, 3, 2), nn.BatchNorm2d(3), nn.ReLU()).eval()
    model[1].running_mean.fill_(0.5)
    x, seen = torch.randn(1, 2, 4, 4), []
    with torch.no_grad():
        middle, expected = model[0](x), model(x)
        handle = model[0].register_forward_hook(lambda module, given, made: seen.append(made))
        done = accelerate(model, report=False)
        same(model, x, expected)
        torch.testing.assert_close(seen.pop(), middle)  # before BatchNorm and ReLU
        handle.remove()
        same(model, x, expected)
        assert seen == []
        for part in model:  # one that comes later, on any part
            handle = part.register_forward_hook(lambda module, given, made: seen.append(made))
            same(model, x, expected)
            assert len(seen) == 1
            seen.clear()
            handle.remove()
        handle = nn.modules.module.register_module_forward_hook(lambda *_: seen.append(1))
        same(model, x, expected)
        handle.remove()
        assert len(seen) == 4
        model[0].register_forward_pre_hook(lambda module, given: (given[0] * 2,))
        torch.testing.assert_close(model(x), model[2](model[1](model[0](x))))
        done.undo()
    assert len(model[0]._forward_pre_hooks) == 1


def test_copies_and_pickles_have_answers_of_their_own() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.ConvTranspose1d(2, 3, 4, 2), nn.BatchNorm1d(3), nn.Tanh()).eval()
    x = torch.randn(1, 2, 5)
    expected = model(x).detach()
    accelerate(model, report=False)
    same(model, x, expected)
    twin = copy.deepcopy(model)
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    with torch.no_grad():
        model[0].weight.zero_()
        for other in (twin, loaded):
            assert type(other[0]) is layers.ConvTranspose1d
            same(other, x, expected)
            other[0].weight.mul_(2)
            assert not torch.allclose(other(x), expected)
        assert torch.equal(model(x)[..., 1], model(x)[..., 2])
    accelerate(loaded, report=False)
    loaded[0].weight.data.div_(2)
    same(loaded, x, expected)


def test_what_is_no_module() -> None:
    with pytest.raises(TconvError, match=r"model is a dict; a torch.nn.Module would fit"):
        accelerate({}, report=False)  # type: ignore[arg-type]


def test_accelerating_twice() -> None:
    model = nn.Sequential(nn.ConvTranspose1d(2, 2, 2), nn.ReLU()).eval()
    first = accelerate(model, report=False)
    second = accelerate(model, report=False)
    assert second.rows[0].why == ["accelerated already"]
    second.undo()
    assert type(model[0]) is layers.ConvTranspose1d
    first.undo()
    assert type(model[0]) is nn.ConvTranspose1d
    assert "forward" not in vars(model)
