"""accelerate(model, *args, **kwargs), and several examples."""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tconv.errors import TconvError
from tconv.torch import accelerate

X = torch.randn(1, 3, 4, 4)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 4, 4, 2, 1)
        self.calls: list[Any] = []

    def forward(self, x: Tensor, gain: Any = 1.0, *, mask: Tensor | None = None, report: str = "") -> Any:
        self.calls.append((tuple(x.shape), gain, mask is not None, report))
        y = F.relu(self.up(x))
        return y * gain if mask is None else torch.tanh(y) * mask


SHAPE = (1, 3, 4, 4)
MASK = torch.ones(8, 8)
CALLS: list[tuple[tuple[Any, ...], dict[str, Any], list[Any]]] = [
    ((X,), {}, [(SHAPE, 1.0, False, "")]),
    ((X, 2.0), {}, [(SHAPE, 2.0, False, "")]),
    (((X, 2.0),), {}, [(SHAPE, 2.0, False, "")]),
    ((X,), {"mask": MASK}, [(SHAPE, 1.0, True, "")]),
    ((), {"x": X, "gain": 3.0}, [(SHAPE, 3.0, False, "")]),
    (({"x": X, "gain": 3.0},), {}, [(SHAPE, 3.0, False, "")]),
    ((), {"example": ((X,), {"report": "short"})}, [(SHAPE, 1.0, False, "short")]),
    (
        (X,),
        {"examples": [torch.cat([X, X]), {"x": X, "mask": MASK}]},
        [(SHAPE, 1.0, False, ""), ((2, 3, 4, 4), 1.0, False, ""), (SHAPE, 1.0, True, "")],
    ),
    ((None,), {}, []),
]


@pytest.mark.parametrize(("args", "kwargs", "calls"), CALLS)
def test_the_model_is_called_so(args: Any, kwargs: Any, calls: list[Any]) -> None:
    model = Net().eval()
    accelerate(model, *args, **kwargs, report=False, seconds=0)
    assert model.calls == calls * 2  # before and after


def test_several_examples_that_go_different_ways() -> None:
    torch.manual_seed(0)
    model = Net().eval()
    twin = copy.deepcopy(model)
    done = accelerate(model, examples=[X, ((X,), {"mask": MASK})], report=False, seconds=0)
    assert done.rows[0].done == ["swapped", "relu() fused"]
    with torch.no_grad():
        torch.testing.assert_close(model(X), twin(X))
        torch.testing.assert_close(model(X, mask=MASK), twin(X, mask=MASK))


@pytest.mark.parametrize("examples", [X, {"x": X}, 3])
def test_examples_that_are_no_list(examples: Any) -> None:
    with pytest.raises(TconvError, match="a list of tensors, tuples or dicts would fit"):
        accelerate(Net().eval(), examples=examples, report=False)


@dataclass
class Answer:
    score: Tensor
    more: Any = None


class Output(OrderedDict[str, Any]):
    """As transformers' and others' outputs, which PyTorch does not look into."""


@pytest.mark.parametrize(
    "wrap", [lambda y: Answer(y), lambda y: Output(a=Answer(y)), lambda y: [{"b": Output(y=y)}]]
)
def test_outputs_in_objects_are_compared(wrap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrapped(Net):
        def forward(self, x: Tensor) -> Any:  # type: ignore[override]
            return wrap(self.up(x))

    done = accelerate(Wrapped().eval(), X, report=False, seconds=0)
    assert done.apart is not None
    assert 0 < done.tolerance <= 1e-4  # something was compared
