"""accelerate: what an example has shown to follow is fused, and undone where a call goes another way."""

from __future__ import annotations

import copy
import threading
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tconv.torch import accelerate
from tconv.torch.accelerate.pending import Following, Pending
from tests.torch.accelerate.helpers import norm
from tests.torch.accelerate.ways import WAYS, Ways, X, same


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
