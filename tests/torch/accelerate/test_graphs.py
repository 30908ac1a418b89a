"""accelerate: what torch.fx shows is used where the forward is all that a trace shows, and nowhere else."""

from __future__ import annotations

import copy
import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tconv.torch as layers
from tconv.torch import accelerate
from tests.torch.accelerate.helpers import norm

SLOPE = 0.2


class Net(nn.Module):
    """Parts for the forwards below."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.bn, self.relu = nn.ConvTranspose2d(4, 4, 3, 2, 1, 1, groups=2), norm(2, 4), nn.ReLU()
        self.conv, self.last = nn.Conv2d(4, 4, 3, padding=1), nn.ConvTranspose2d(4, 2, 4, 2, 1)
        self.more = nn.ModuleList([nn.ConvTranspose2d(4, 4, 3, padding=1) for _ in range(2)])
        self.slope, self.flag, self.kept = 0.3, True, []


class Functions(Net):
    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """A docstring is no call."""
        x = F.leaky_relu(self.bn(self.up(x)), SLOPE)
        x = F.relu(self.conv(F.interpolate(x, scale_factor=2, mode="nearest")), inplace=True)
        return torch.sigmoid(self.last(x))


class Modules(Net):
    def forward(self, x: Tensor) -> Tensor:
        for layer in self.more:
            x = self.relu(layer(x))
        y = self.relu(self.bn(self.up(x)))
        return self.last(y).tanh()


class Methods(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.relu(self.up(x)), self.slope)

    def tail(self, x: Tensor, slope: float) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0)
        return F.hardtanh(self.conv(x), -slope, slope) if self.flag else x


class UsedTwice(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x)
        z = F.interpolate(x, scale_factor=2)
        return self.relu(y) + y + self.conv(z) + z


class Sized(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.up(x, output_size=(9, 9)))
        z = self.conv(F.interpolate(x, size=(9, 9)))
        w = self.conv(F.interpolate(x, scale_factor=2, mode="bilinear"))
        return y + z + F.interpolate(w, size=(9, 9))


class Branch(Net):
    def forward(self, x: Tensor, raw: bool = False) -> Tensor:
        y = self.up(x)
        if raw:
            return y
        return self.relu(y)


class Training(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.up(x))
        return y if self.training else self.relu(self.last(y))


class Without(Net):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.relu(self.up(x))


class Data(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x)
        return self.relu(y) if y.sum() > 0 else y


class Effects(Net):
    def forward(self, x: Tensor) -> Tensor:
        self.kept = self.up(x)
        return self.relu(self.kept)


class Random(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.up(x)) + torch.rand(4, 1, 1)


class Buffer(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.up(x)) if self.bn.num_batches_tracked > 100 else self.up(x)


class Item(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.up(x)) * float(self.bn.running_mean[0])


class Kept(Net):
    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.ones(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.up(x)) * self.gain


class Mode(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.up(x)) * int(torch.is_grad_enabled())


class Filtered(Net):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.relu(self.up(x)) for k in range(3) if k > 1]).sum(0)


class Helped(Net):
    def forward(self, x: Tensor) -> Tensor:
        return helper(self.up(x))


def helper(x: Tensor) -> Tensor:
    return x if x.shape[0] == 1 else F.relu(x)


class Around(nn.Module):
    """Another forward, in a module of another's."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) if x.ndim else x


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def found_with_gradients(model: nn.Module, *inputs: Tensor) -> bool:
    return bool(copy.deepcopy(model)(*inputs).requires_grad)


def compared(model: nn.Module, *inputs: Tensor) -> layers.Accelerated:
    """Accelerated, with the same answers in evaluation and in training, and gradients."""
    model.eval()
    twin = copy.deepcopy(model)
    done = accelerate(model, report=False)
    for training in (False, True, False):
        model.train(training), twin.train(training)
        with torch.no_grad():
            torch.manual_seed(1)
            found = model(*inputs)
            torch.manual_seed(1)
            torch.testing.assert_close(found, twin(*inputs), rtol=1e-4, atol=1e-5)
        if not found_with_gradients(model, *inputs):
            continue
        torch.manual_seed(1)
        ours = torch.autograd.grad(model(*inputs).sum(), list(model.parameters()), allow_unused=True)
        torch.manual_seed(1)
        theirs = torch.autograd.grad(twin(*inputs).sum(), list(twin.parameters()), allow_unused=True)
        # A bias before a BatchNorm in training has the gradient 0, and rounding as large as its terms are.
        largest = max(float(b.abs().max()) for b in theirs if b is not None)
        for a, b in zip(ours, theirs, strict=True):
            if a is not None or b is not None:
                torch.testing.assert_close(a, b, rtol=1e-3, atol=max(1e-4, 1e-5 * largest))
    return done


X = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(3))


def told(done: layers.Accelerated) -> dict[str, tuple[list[str], list[str]]]:
    return {row.name: (row.done, row.why) for row in done.rows}


def test_functions() -> None:
    model = Functions()
    done = compared(model, X)
    assert told(done) == {
        "up": (["swapped", "BatchNorm2d folded", "leaky_relu() fused"], []),
        "interpolate + conv": (["merged into one layer", "relu() fused"], []),
        "last": (["swapped", "sigmoid() fused"], []),
        "more.0": (["swapped"], ["Functions.forward does not call it"]),
        "more.1": (["swapped"], ["Functions.forward does not call it"]),
    }
    with torch.no_grad():
        torch.testing.assert_close(model(X, skip=X), model(X))
        twin = copy.deepcopy(model)
        twin.up.weight.zero_()
        assert not torch.allclose(twin(X), model(X))
        torch.testing.assert_close(twin(X), type(twin).forward(twin, X))


def test_modules_in_a_loop() -> None:
    assert told(compared(Modules(), X)) == {
        "up": (["swapped", "BatchNorm2d folded", "ReLU fused"], []),
        "last": (["swapped", "tanh() fused"], []),
        "more.0": (["swapped", "ReLU fused"], []),
        "more.1": (["swapped", "ReLU fused"], []),
    }


def test_methods_and_numbers_are_read_again() -> None:
    model = Methods()
    rows = told(compared(model, X))
    assert rows["interpolate + conv"] == (["merged into one layer", "hardtanh() fused"], [])
    with torch.no_grad():
        for slope, flag in ((0.3, True), (0.1, True), (0.1, False)):
            model.slope, model.flag = slope, flag
            torch.testing.assert_close(model(X), Methods.forward(model, X), rtol=1e-4, atol=1e-5)
        model.up = nn.ConvTranspose2d(4, 4, 2)  # another module in its place
        torch.testing.assert_close(model(X), Methods.forward(model, X), rtol=1e-4, atol=1e-5)


def test_a_global_number_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Functions()
    compared(model, X)
    with torch.no_grad():
        before = model(X)
        monkeypatch.setitem(globals(), "SLOPE", 0.9)
        torch.testing.assert_close(model(X), Functions.forward(model, X))
        assert not torch.allclose(model(X), before)


ONE_WAY = r" \(line \d+\), of which a trace shows one way$"
REASONS: list[tuple[type[Net], str]] = [
    (
        UsedTwice,
        "its output has 2 uses in UsedTwice; if only a BatchNorm or an activation reads it, they are fused$",
    ),
    (Branch, f"Branch.forward has a branch{ONE_WAY}"),
    (Without, f"Without.forward has a with block{ONE_WAY}"),
    (Data, f"Data.forward has a branch{ONE_WAY}"),
    (Effects, f"Effects.forward has a change of .kept{ONE_WAY}"),
    (Random, "Random.forward computes what a trace would freeze$"),
    (Buffer, "torch.fx cannot trace Buffer: symbolically traced variables cannot be used"),
    (Item, "torch.fx cannot trace Item: "),
    (Kept, f"Kept.forward has a tensor, gain, that is not a buffer{ONE_WAY}"),
    (Mode, f"Mode.forward has a call without arguments{ONE_WAY}"),
    (Filtered, f"Filtered.forward has a branch{ONE_WAY}"),
    (Helped, f"helper has a branch{ONE_WAY}"),
]


@pytest.mark.parametrize(("make", "reason"), REASONS)
def test_what_is_not_done_and_why(make: type[Net], reason: str) -> None:
    model = make()
    row = compared(model, X).rows[0]
    assert (row.name, row.done) == ("up", ["swapped"])
    assert re.search(reason, row.why[0]), row.why
    assert type(model.up) is layers.ConvTranspose2d


def test_sizes_that_are_asked_for() -> None:
    model = Sized()
    model.up = nn.ConvTranspose2d(4, 4, 3, 2)
    rows = told(compared(model, X[..., :4, :4]))
    assert rows["up"] == (["swapped"], ["it is called with more than its input"])
    assert rows["interpolate"] == ([], ["size= is given, not scale_factor="])
    assert "interpolate_1" not in rows  # bilinear


def test_training_is_a_number_like_others() -> None:
    model = Training()
    assert told(compared(model, X))["up"] == (["swapped", "relu() fused"], [])
    assert model.train()(X).shape == (2, 4, 10, 10)


def test_a_module_in_a_module_that_cannot_be_traced() -> None:
    done = compared(Around(nn.Sequential(Functions())), X)
    assert told(done)["inner.0.up"][0] == ["swapped", "BatchNorm2d folded", "leaky_relu() fused"]
    alone = compared(Around(nn.ConvTranspose2d(4, 2, 2)), X)
    (row,) = alone.rows
    assert re.search(f"^what follows is not known: Around.forward has a branch{ONE_WAY}", row.why[0])


def test_slices_of_a_sequence_are_not_fused() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(4, 4, 2), nn.Tanh(), nn.ConvTranspose2d(4, 4, 2)).eval()
    with torch.no_grad():
        raw, expected = model[:1](X), model(X)
        accelerate(model, report=False)
        torch.testing.assert_close(model[:1](X), raw)
        torch.testing.assert_close(model[0](X), raw)
        torch.testing.assert_close(model(X), expected)
