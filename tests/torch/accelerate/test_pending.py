"""accelerate: what an example has shown to follow is fused, and undone where a call goes another way."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tconv.torch import accelerate
from tconv.torch.accelerate.pending import Following, Pending
from tests.torch.accelerate.helpers import norm

X = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(3))


def decorated(forward: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(forward)
    def around(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    return around


class Ways(nn.Module):
    """A forward that no trace shows, which goes one of many ways."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.bn, self.act = nn.ConvTranspose2d(4, 6, 4, 2, 1), norm(2, 6), nn.LeakyReLU(0.2)
        self.kept: list[Tensor] = []

    @decorated
    def forward(self, x: Tensor, way: str = "usual", *rest: Any) -> Any:
        if way == "input in place":
            x = x.clone()
        y = self.up(x)
        return getattr(self, way.replace(" ", "_"))(x, y)

    def usual(self, x: Tensor, y: Tensor) -> Any:
        assert y.shape == (x.shape[0], 6, 2 * x.shape[2], 2 * x.shape[3])
        assert (y.dim(), len(y), y.stride(3) in (1, 6)) == (4, len(x), True)
        return self.act(self.bn(y))

    def returned(self, x: Tensor, y: Tensor) -> Any:
        return y

    def both(self, x: Tensor, y: Tensor) -> Any:
        return {"raw": y, "more": [self.act(self.bn(y)), y + 1]}

    def middle(self, x: Tensor, y: Tensor) -> Any:
        z = self.bn(y)
        return z, self.act(z), z.sum()

    def other_slope(self, x: Tensor, y: Tensor) -> Any:
        return F.leaky_relu(self.bn(y), 0.7)

    def without_norm(self, x: Tensor, y: Tensor) -> Any:
        return self.act(y)

    def twice_normed(self, x: Tensor, y: Tensor) -> Any:
        return self.act(self.bn(self.bn(y)))

    def on_data(self, x: Tensor, y: Tensor) -> Any:
        return self.act(self.bn(y)) if y.mean() > 100 else torch.tanh(y)

    def in_place(self, x: Tensor, y: Tensor) -> Any:
        z = self.bn(y)
        y.mul_(2)
        return y, self.act(z)

    def input_in_place(self, x: Tensor, y: Tensor) -> Any:
        x.zero_()
        return y - 1

    def normed_then_input_in_place(self, x: Tensor, y: Tensor) -> Any:
        before = x.clone()
        z = self.bn(y)
        x.fill_(7)
        made = z * 2, self.act(z)
        x.copy_(before)
        return made

    def weight_in_place(self, x: Tensor, y: Tensor) -> Any:
        before = self.up.weight.detach().clone()
        self.up.weight.data.mul_(3)
        made = y + 0
        self.up.weight.data.copy_(before)
        return made

    def statistics_in_place(self, x: Tensor, y: Tensor) -> Any:
        self.bn.running_mean.add_(1)
        made = self.act(self.bn(y))
        self.bn.running_mean.sub_(1)
        return made

    def assigned(self, x: Tensor, y: Tensor) -> Any:
        y[0, 0] = 5
        return self.act(self.bn(y))

    def viewed(self, x: Tensor, y: Tensor) -> Any:
        flat = y.flatten(1)
        flat[0, :3] = 4
        return self.act(self.bn(y)), flat

    def as_numpy(self, x: Tensor, y: Tensor) -> Any:
        return torch.from_numpy(np.array(y.numpy())) + torch.from_numpy(np.asarray(y).copy())

    def joined(self, x: Tensor, y: Tensor) -> Any:
        return torch.cat([y, self.bn(y)], 1), torch.stack([y, y]), torch.where(y > 0, y, 0.0)

    def by_operator(self, x: Tensor, y: Tensor) -> Any:
        return torch.ops.aten.add.Tensor(y, 1), torch.ops.aten.relu(self.bn(y))

    def by_keyword(self, x: Tensor, y: Tensor) -> Any:
        out = torch.empty_like(y)
        return torch.add(input=y, other=y, out=out), F.leaky_relu(input=self.bn(input=y), negative_slope=0.2)

    def moved(self, x: Tensor, y: Tensor) -> Any:
        return y.double(), y.to("cpu").contiguous(), y.detach(), y.clone(), y.tolist()[0][0][0][0]

    def passed(self, x: Tensor, y: Tensor) -> Any:
        y = F.dropout(y, 0.5, self.training).contiguous().float()
        return self.act(self.bn(y))

    def scripted(self, x: Tensor, y: Tensor) -> Any:
        return _scripted(y)

    def pickled(self, x: Tensor, y: Tensor) -> Any:
        return pickle.loads(pickle.dumps(y)), copy.deepcopy(y)


def _twice(y: Tensor) -> Tensor:
    return torch.relu(y) * 2


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _scripted = torch.jit.script(_twice)


WAYS = [name for name, value in vars(Ways).items() if callable(value) and name not in ("__init__", "forward")]


def same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(found, Tensor):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    elif isinstance(found, dict):
        same(list(found.values()), list(expected.values()))
    elif isinstance(found, list | tuple):
        for a, b in zip(found, expected, strict=True):
            same(a, b)
    else:
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


def following(model: nn.Module) -> Following:
    found = model.up._accelerated.chain.following  # type: ignore[union-attr]
    assert isinstance(found, Following)
    return found


@pytest.fixture
def twins() -> tuple[Any, Any]:
    torch.manual_seed(0)
    model = Ways().eval()
    return model, copy.deepcopy(model)


MODES = [torch.no_grad, torch.inference_mode, torch.enable_grad]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_has_its_own_outputs(twins: tuple[Any, Any], way: str, mode: Any) -> None:
    model, twin = twins
    done = accelerate(model, X, report=False, seconds=0)
    assert done.rows[0].done == ["swapped", "BatchNorm2d folded", "leaky_relu() fused"]
    usual = [way, "usual", way] if way != "usual" else ["usual"]
    with mode():
        if mode is torch.enable_grad:
            for each in (model, twin):
                each.requires_grad_(way in ("usual", "middle", "both"))
        for each in usual:
            x = X.clone()
            same(model(x, each), twin(X.clone(), each))
    done.undo()
    with torch.no_grad():
        assert torch.equal(model(X), twin(X))


def test_the_usual_way_is_one_call(twins: tuple[Any, Any]) -> None:
    model, _ = twins
    accelerate(model, X, report=False, seconds=0)
    model.bn.forward = None  # is called, and must not compute
    del model.bn.forward
    with torch.no_grad():
        before = following(model).taken, following(model).missed
        made = model(X)
        assert (following(model).taken, following(model).missed) == (before[0] + 1, before[1])
        assert type(made) is Tensor
        model(X, "other_slope")
        assert following(model).missed == before[1] + 1


def test_another_way_taken_for_good_is_computed_once(twins: tuple[Any, Any]) -> None:
    model, twin = twins
    accelerate(model, X, report=False, seconds=0)
    with torch.no_grad():
        for _ in range(20):
            same(model(X, "other_slope"), twin(X, "other_slope"))
    assert following(model).missed < 10


def test_nothing_pending_leaves_the_model(twins: tuple[Any, Any]) -> None:
    model, twin = twins
    accelerate(model, X, report=False, seconds=0)
    with torch.no_grad():
        assert type(model(X, "returned")) is Tensor
        inner = model.up(X)  # called by itself, outside the model
        assert isinstance(inner, Pending)
        same(inner + 0, twin.up(X) + 0)
        assert inner.shape == twin.up(X).shape
        assert "tensor(" in repr(inner)


CHANGES = ["slope", "norm", "training", "hook", "hook on the layer", "weights", "load"]


@pytest.mark.parametrize("change", CHANGES)
def test_changes_after_the_example(twins: tuple[Any, Any], change: str) -> None:
    model, twin = twins
    accelerate(model, X, report=False, seconds=0)
    seen: list[Tensor] = []
    for each in (model, twin):
        if change == "slope":
            each.act.negative_slope = 0.6
        elif change == "norm":
            torch.manual_seed(5)
            each.bn = norm(2, 6).eval()
        elif change == "training":
            each.bn.train()
        elif change == "hook":
            each.bn.register_forward_hook(lambda module, given, output: seen.append(given[0].clone()))
        elif change == "hook on the layer":
            each.up.register_forward_hook(lambda module, given, output: output * 2)
        elif change == "weights":
            with torch.no_grad():
                each.up.weight.mul_(2)
                each.bn.bias.add_(1)
        else:
            torch.manual_seed(9)
            each.load_state_dict({k: v + 0.5 for k, v in each.state_dict().items()})
    with torch.no_grad():
        for _ in range(2):
            same(model(X), twin(X))
    for a, b in zip(seen[::2], seen[1::2], strict=True):
        same(a, b)


def test_threads_go_their_own_ways(twins: tuple[Any, Any]) -> None:
    model, twin = twins
    accelerate(model, X, report=False, seconds=0)
    ways = ["usual", "both", "middle", "in_place", "on_data", "returned", "usual", "other_slope"]
    wrong: list[BaseException] = []

    def work(way: str, scale: float) -> None:
        try:
            with torch.no_grad():
                expected = twin(X * scale, way)
                for _ in range(10):
                    same(model(X * scale, way), expected)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(way, 1.0 + k)) for k, way in enumerate(ways)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Sliced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose1d(3, 4, 6, 3)

    def forward(self, x: Tensor, way: str = "usual") -> Any:
        y = self.up(x)
        end = y.shape[-1] - 2
        z = y[..., 1:end]
        if way == "usual":
            return z
        if way == "both":
            return y, z
        if way == "write to the slice":
            z.mul_(2)
            return y
        if way == "write to the whole":
            y.mul_(2)
            return z, z.sum()
        if way == "write to both":
            z.add_(1)
            y.mul_(2)
            z.sub_(3)
            return y, z
        if way == "channels":
            return y[:, 1:3, 1:end], y[..., ::2], y[:, :, None], y[..., -5:], y[0]
        return y[..., :end][..., 1:]

    WAYS = ("usual", "both", "write to the slice", "write to the whole", "write to both", "channels", "steps")


@pytest.mark.parametrize("way", Sliced.WAYS)
def test_slices_share_memory_with_the_whole(way: str) -> None:
    torch.manual_seed(0)
    model = Sliced().eval()
    twin, x = copy.deepcopy(model), torch.randn(2, 3, 7)
    done = accelerate(model, x, report=False, seconds=0)
    assert done.rows[0].done == ["swapped", "only its slice computed"]
    with torch.no_grad():
        for size in (7, 12):
            x = torch.randn(1, 3, size)
            same(model(x, way), twin(x, way))
        assert model(x).is_contiguous()


class Uses(nn.Module):
    """Modules that call a layer in ways that an example shows."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.up, self.bn, self.way = nn.ConvTranspose2d(4, 4, 3, padding=1), norm(2, 4), way
        self.kept: Any = None

    @decorated
    def forward(self, x: Tensor) -> Any:
        return getattr(self, self.way)(x)

    def two_uses(self, x: Tensor) -> Any:
        y = self.up(x)
        return F.relu(y) + y

    def twice_alike(self, x: Tensor) -> Any:
        return F.relu(self.up(F.relu(self.up(x))))

    def twice_unlike(self, x: Tensor) -> Any:
        return torch.tanh(self.up(F.relu(self.up(x))))

    def returned_too(self, x: Tensor) -> Any:
        y = self.up(x)
        return F.relu(y), y

    def stored(self, x: Tensor) -> Any:
        self.kept = self.up(x)
        return F.relu(self.kept)

    def only_returned(self, x: Tensor) -> Any:
        return self.up(x)

    def in_place(self, x: Tensor) -> Any:
        return F.relu(self.up(x), inplace=True)

    def in_place_kept(self, x: Tensor) -> Any:
        y = self.up(x)
        y.relu_()
        return y

    def normed_in_place(self, x: Tensor) -> Any:
        return F.relu_(self.bn(self.up(x)))

    def layer_norm(self, x: Tensor) -> Any:
        return F.layer_norm(self.up(x), (5, 5))


TOLD: dict[str, tuple[list[str], str]] = {
    "two_uses": ([], "its output has 2 uses (relu(), +)"),
    "twice_alike": (["relu() fused"], ""),
    "twice_unlike": ([], "its 2 calls are followed by different steps"),
    "returned_too": ([], "its output is kept or returned, too"),
    "stored": ([], "its output is kept or returned, too"),
    "only_returned": ([], ""),
    "in_place": (["relu() fused"], ""),
    "in_place_kept": ([], "its output is kept or returned, too"),
    "normed_in_place": (["BatchNorm2d folded", "relu_() fused"], ""),
    "layer_norm": ([], "layer_norm() follows"),
}


@pytest.mark.parametrize("way", TOLD)
def test_what_an_example_shows(way: str) -> None:
    torch.manual_seed(0)
    model, x = Uses(way).eval(), X[..., :5, :5]
    before = sum(type(each) is Pending for each in gc.get_objects())
    twin = copy.deepcopy(model)
    done = accelerate(model, x, report=False, seconds=0)
    did, why = TOLD[way]
    assert done.rows[0].done == ["swapped", *did]
    assert " ".join(done.rows[0].why).startswith(why)
    assert bool(done.rows[0].why) == bool(why)
    with torch.no_grad():
        for _ in range(2):
            same(model(x), twin(x))
        same(copy.deepcopy(model)(x), twin(x))
    gc.collect()
    assert sum(type(each) is Pending for each in gc.get_objects()) <= before


def test_inputs_from_numpy_are_copied(twins: tuple[Any, Any]) -> None:
    model, twin = twins
    accelerate(model, X, report=False, seconds=0)
    array = X.numpy().copy()
    with torch.no_grad():
        y = model.up(torch.from_numpy(array))
        array[:] = 0
        same(y * 1, twin.up(X))
        same(model(torch.from_numpy(X.numpy().copy())), twin(X))


def test_channels_last_and_other_sizes(twins: tuple[Any, Any]) -> None:
    model, twin = twins
    accelerate(model, X, report=False, seconds=0)
    with torch.no_grad():
        for size in (6, 9):
            x = torch.randn(1, 4, size, size).to(memory_format=torch.channels_last)
            assert model.up(x).stride() == twin.up(x).stride()
            same(model(x), twin(x))
            same(model(x, "both"), twin(x, "both"))
        same(model.double()(X.double()), twin.double()(X.double()))
    assert following(model).taken >= 3


def test_compilers_transforms_and_autocast_see_the_parts(twins: tuple[Any, Any]) -> None:
    model, twin = twins
    accelerate(model, X, report=False, seconds=0)
    with torch.no_grad():
        same(torch.func.vmap(model)(X[None]), torch.func.vmap(twin)(X[None]))
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(model(X), twin(X), rtol=0.05, atol=0.05)
        with torch.profiler.profile():
            same(model(X), twin(X))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(model, X)
        same(traced(X), twin(X))


@pytest.mark.parametrize("seed", range(12))
def test_random_programs(seed: int) -> None:
    """A program learnt on one way, run on others with another input, always has PyTorch's outputs."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Program(rng).eval()
    twin = copy.deepcopy(model)
    accelerate(model, X, 0, report=False, seconds=0)
    with torch.no_grad():
        for way in range(Program.WAYS):
            x = torch.randn(1, 4, 5, 7)
            same(model(x, way), twin(x, way))


class Program(nn.Module):
    """Random steps after a layer, the same ones up to a random place on each way."""

    WAYS = 5
    STEPS: tuple[Callable[[Any, Tensor], Any], ...] = (
        lambda self, y: self.bn(y),
        lambda self, y: self.act(y),
        lambda self, y: torch.sigmoid(y),
        lambda self, y: y[..., 1:],
        lambda self, y: y[:, :, 1:-1, 2:],
        lambda self, y: F.hardtanh(y, -0.5, 0.5, True),
        lambda self, y: y.relu_(),
        lambda self, y: (self.kept.append(y), self.kept.pop(0))[-1] if len(self.kept) > 1 else y,
        lambda self, y: y * 2,
        lambda self, y: y.add_(1),
        lambda self, y: F.dropout(y, 0.5, False),
        lambda self, y: self.drop(y),
        lambda self, y: y if y.sum() > 0 else -y,
    )

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self.up, self.bn = nn.ConvTranspose2d(4, 4, 4, 2), norm(2, 4)
        self.act, self.drop = nn.LeakyReLU(0.3, inplace=bool(rng.integers(2))), nn.Dropout2d()
        self.kept: list[Tensor] = []
        first = list(rng.integers(0, 7, 5))
        self.programs = [
            [*first[: rng.integers(0, 5)], *rng.integers(0, len(self.STEPS), 3)] for _ in range(self.WAYS)
        ]
        self.shows = list(rng.integers(0, 2, 8))

    @decorated
    def forward(self, x: Tensor, way: int) -> Any:
        y = self.up(x)
        shown = []
        for number, step in enumerate(self.programs[way]):
            if way and self.shows[number % 8]:
                shown.append(y)
            y = self.STEPS[step](self, y)
        return y, shown
