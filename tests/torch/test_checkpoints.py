"""Fused activations where saved tensors are packed or recomputed, against PyTorch's own layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tconv.torch import ConvTranspose2d, conv_transpose2d
from tests.torch.helpers import MIXED, options, randoms
from tests.torch.test_activation import ACTIVATIONS, of

# PyTorch warns of its own use of torch.jit when forward-mode differentiation is first imported.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

EVERY = [None, *ACTIVATIONS]
Call = Callable[..., Tensor]


def ours(activation: Any) -> Call:
    fitting = activation and of(activation, MIXED)
    return lambda *t: conv_transpose2d(*t, **options(MIXED), activation=fitting)


def theirs(activation: Any) -> Call:
    after = ACTIVATIONS.get(activation, lambda z: z)
    return lambda *t: after(functional.conv_transpose2d(*t, **options(MIXED)))


def checkpointed(reentrant: bool) -> Callable[[Call], Call]:
    return lambda call: lambda *t: checkpoint(call, *t, use_reentrant=reentrant)


def gradients(call: Call, around: Any = nullcontext) -> list[Tensor]:
    """By backward, as a reentrant checkpoint needs it."""
    inputs = [t.requires_grad_() for t in randoms(MIXED)[:3]]
    with around():
        y = call(*inputs)
    y.square().sum().backward()
    return [y, *(t.grad for t in inputs if t.grad is not None)]


@pytest.mark.parametrize("activation", EVERY, ids=str)
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(activation: Any, reentrant: bool) -> None:
    made, expected = gradients(checkpointed(reentrant)(ours(activation))), gradients(theirs(activation))
    assert len(made) == 4
    torch.testing.assert_close(made, expected)


@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_each_saved_tensor_is_unpacked_once(activation: Any) -> None:
    """By hooks that count; in a double backward, too, where the gradients' gradients save more."""
    unpacked: Counter[int] = Counter()
    held: list[Tensor] = []

    def pack(t: Tensor) -> int:
        held.append(t.detach().clone())
        return len(held) - 1

    def unpack(at: int) -> Tensor:
        unpacked[at] += 1
        return held[at]

    made = gradients(ours(activation), lambda: saved_tensors_hooks(pack, unpack))
    assert unpacked
    assert set(unpacked.values()) == {1}
    torch.testing.assert_close(made, gradients(theirs(activation)))
    torch.testing.assert_close(gradients(ours(activation), save_on_cpu), made)


@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_double_backward_of_a_checkpoint(activation: Any) -> None:
    def twice(call: Call) -> list[Tensor]:
        inputs = [t.requires_grad_() for t in randoms(MIXED)[:3]]
        first = torch.autograd.grad(call(*inputs).square().sum(), inputs, create_graph=True)
        return [*first, *torch.autograd.grad(sum(t.square().sum() for t in first), inputs)]

    torch.testing.assert_close(twice(checkpointed(False)(ours(activation))), twice(theirs(activation)))


@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_vmap_of_gradients(activation: Any) -> None:
    x, weight, bias, _ = randoms(MIXED)

    def gradient(call: Call) -> Tensor:
        def loss(weight: Tensor, x: Tensor) -> Tensor:
            return call(x[None], weight, bias).square().sum()

        return torch.func.vmap(torch.func.grad(loss), (None, 0))(weight, x)

    torch.testing.assert_close(gradient(ours(activation)), gradient(theirs(activation)))


@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_a_compiled_checkpoint(activation: Any) -> None:
    torch._dynamo.reset()
    layer = ConvTranspose2d(3, 3, 4, 2, 1, activation=activation).double()
    compiled = torch.compile(checkpointed(False)(layer), backend="aot_eager")
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    made, expected = (
        torch.autograd.grad(call(x).square().sum(), [*layer.parameters()]) for call in (compiled, layer)
    )
    torch.testing.assert_close(made, expected)
