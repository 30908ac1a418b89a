"""torch.compile: one whole graph, no graph for each size, and the answers of the uncompiled model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch._inductor import config as inductor
from torch._inductor.lowering import lowerings
from torch.nn import functional

from tconv.torch import ConvTranspose2d, conv_transpose1d, conv_transpose2d
from tests.torch.helpers import LAYERS, SIZES, Everything

# PyTorch warns of its own use of torch.jit when forward-mode differentiation is first imported.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script.*` is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def steps(model: Callable[[Tensor], Tensor], x: Tensor, of: nn.Module) -> list[Tensor]:
    """The answer and the gradients of a training step."""
    x = x.clone().requires_grad_()
    answer = model(x)
    return [answer, *torch.autograd.grad(answer.square().sum(), [x, *of.parameters()])]


def close(made: list[Tensor], expected: list[Tensor]) -> None:
    assert len(made) == len(expected)
    for a, b in zip(made, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-4, atol=2e-5)


def test_a_training_step_is_one_graph_for_all_sizes() -> None:
    model, counter = Everything(), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=counter)
    for size in SIZES:
        x = torch.randn(size)
        close(steps(compiled, x, model), steps(model, x, model))
    (graph,) = (each.graph for each in counter.graphs if each.graph.find_nodes(op="placeholder"))
    assert len(graph.find_nodes(op="call_function", target=torch.ops.tconv.conv_transpose)) == LAYERS


def test_sizes_that_are_declared_dynamic_stay_so() -> None:
    """`mark_dynamic` is an error where a size is taken for a constant."""
    model = Everything().eval()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = torch.randn(SIZES[0])
    for axis in (0, 2, 3):
        torch._dynamo.mark_dynamic(x, axis)
    close([compiled(x)], [model(x)])
    with torch._dynamo.config.patch(error_on_recompile=True):
        for size in SIZES[1:]:
            other = torch.randn(size)
            close([compiled(other)], [model(other)])


def test_nothing_breaks_the_graph() -> None:
    assert torch._dynamo.explain(Everything())(torch.randn(SIZES[0])).graph_break_count == 0


@pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor needs a C++ compiler")
@pytest.mark.parametrize("ci", ["", "true"])  # under CI it checks that nothing with a decomposition is called
def test_the_usual_backend(ci: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inductor, which fuses what stands around the layers; with channels last in memory."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.delitem(lowerings, torch.ops.tconv.conv_transpose.default, raising=False)
    torch.manual_seed(4)
    model = nn.Sequential(
        ConvTranspose2d(4, 6, 3, stride=2, groups=2),
        nn.Softplus(),
        ConvTranspose2d(6, 2, 4, activation="tanh"),
    )
    compiled = torch.compile(model, fullgraph=True)
    x = torch.randn(SIZES[0]).to(memory_format=torch.channels_last)
    # No pool of processes that outlives the test, and nothing that an earlier run has compiled.
    with inductor.patch(compile_threads=1, fx_graph_cache=False):
        made = steps(compiled, x, model)
    close(made, steps(model, x, model))
    assert all(t.is_contiguous(memory_format=torch.channels_last) for t in made[:2])


X, WEIGHT = torch.randn(2, 3, 5, 6), torch.randn(3, 2, 3, 3)
LAYER = ConvTranspose2d(3, 2, 3, 2, 1, activation="relu")


def low(x: Tensor) -> Tensor:
    with torch.autocast("cpu"):
        return LAYER(x)


def one(call: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: call(x, WEIGHT, stride=2).tanh().sum((1, 2, 3))


CALLS: dict[str, Callable[[Any], Callable[[Tensor], Tensor]]] = {
    "autocast": lambda call: low,
    "no gradient": lambda call: torch.no_grad()(lambda x: LAYER(x)),
    "options from sizes": lambda call: (
        lambda x: call(x, WEIGHT, stride=x.shape[-1] // 3, output_padding=x.shape[-2] - 4)
    ),
    "lists": lambda call: lambda x: call(x, WEIGHT, stride=[2, 2], padding=[1, 0]),
    "vmap": lambda call: torch.vmap(lambda x: call(x, WEIGHT, stride=2)),
    "grad": lambda call: torch.func.grad(lambda x: one(call)(x).sum()),
    "jacrev": lambda call: torch.func.jacrev(one(call)),
    "jacfwd": lambda call: torch.func.jacfwd(one(call)),
    "hessian": lambda call: torch.func.hessian(lambda x: one(call)(x[:1, :, :2, :2]).sum()),
}


@pytest.mark.parametrize("name", CALLS)
def test_inside_other_transforms(name: str) -> None:
    call = CALLS[name](conv_transpose2d)
    compiled = torch.compile(call, fullgraph=True, dynamic=True, backend="aot_eager")
    torch.testing.assert_close(compiled(X), call(X))
    torch.testing.assert_close(call(X), CALLS[name](functional.conv_transpose2d)(X))


def test_a_batch_whose_size_only_data_tell() -> None:
    def chosen(x: Tensor, mask: Tensor) -> Tensor:
        return conv_transpose2d(x[mask.nonzero().squeeze(1)], WEIGHT, stride=2)

    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        compiled = torch.compile(chosen, fullgraph=True, dynamic=True, backend="aot_eager")
        for mask in (torch.tensor([1, 0]), torch.tensor([1, 1])):
            assert torch.equal(compiled(X, mask), chosen(X, mask))


def test_what_does_not_fit_is_refused_while_compiling() -> None:
    bad = torch.compile(lambda x: conv_transpose1d(x, WEIGHT), fullgraph=True, backend="aot_eager")
    with pytest.raises(torch._dynamo.exc.TorchRuntimeError, match=r"weight has shape \(3, 2, 3, 3\)"):
        bad(X[0])
