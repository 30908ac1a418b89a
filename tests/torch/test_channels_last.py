"""PyTorch's channels_last and channels_last_3d tensors: read and written as they lie."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.library import opcheck

from tconv import _core
from tconv.geometry import Geometry
from tconv.ops.execute import execute
from tconv.torch import ConvTranspose2d, conv_transpose2d, eager
from tconv.torch.call_cache import channels_last
from tests.torch.helpers import CASES, MIXED, OURS, THEIRS, options, tensors

FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}
SOME = {name: g for name, g in CASES.items() if g.axes > 1 and g.batch}
OPS = torch.ops.tconv


def turned(tensor: Tensor) -> Tensor:
    """A copy with channels last in memory."""
    return tensor.clone(memory_format=FORMATS[tensor.dim() - 2])


@pytest.mark.parametrize("name", SOME)
def test_answers_gradients_and_strides_are_pytorchs(name: str) -> None:
    g = SOME[name]
    x, weight, bias, y = tensors(g)
    made = []
    for functions, order in ((OURS, turned), (THEIRS, turned)):
        inputs = [t.requires_grad_() for t in (order(x), weight.clone(), bias.clone())]
        answer = functions[g.axes](*inputs, **options(g))
        for grad in (y, turned(y)):  # in either order
            grads = torch.autograd.grad(answer, inputs, grad, retain_graph=True)
            made.append((answer, *grads))
    for ours, theirs in zip(made[:2], made[2:], strict=True):
        assert all(map(torch.equal, ours, theirs))
        for one, other in zip(ours[:2], theirs[:2], strict=True):
            if g.axes == 2:  # over three axes PyTorch keeps the order for some shapes and dtypes alone
                assert one.stride() == other.stride()
            assert one.stride() == turned(one).stride()


@pytest.mark.parametrize(
    "shape",
    [(2, 3, 4, 5), (2, 3, 1, 1), (2, 1, 4, 5), (1, 3, 4, 1), (3, 1, 1, 1), (2, 3, 4)],
)
def test_which_tensors_are_channels_last(shape: tuple[int, ...]) -> None:
    """As PyTorch takes them: by the strides of its answer to a convolution with one weight a channel."""
    tensor = torch.ones(shape)
    each = [tensor, tensor.transpose(-1, -2).contiguous().transpose(-1, -2)]
    if len(shape) > 3:
        each.append(turned(tensor))
    for x in each:
        weight = torch.ones(shape[1], 2, *(2,) * (len(shape) - 2))
        theirs = THEIRS[len(shape) - 2](x, weight)
        ours = OURS[len(shape) - 2](x, weight)
        assert ours.stride() == theirs.stride()
        assert channels_last(x) == channels_last(ours)


def test_no_copy_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine reads and writes the very memory of the tensors, forward and backward."""
    seen: list[tuple[int, ...]] = []

    def watched(chosen: Any, *addresses: int) -> None:
        assert chosen.layout == "channels_last"
        seen.append(addresses)
        execute(chosen, *addresses)

    monkeypatch.setattr(eager, "execute", watched)
    g = Geometry.parse("n2 c8>6 i5x7 k4 s2 p1")
    x, weight, _, y = tensors(g)
    x, y = turned(x).requires_grad_(), turned(y)
    weight.requires_grad_()
    answer = conv_transpose2d(x, weight, None, stride=2, padding=1)
    for_x, for_weight = torch.autograd.grad(answer, (x, weight), y)
    assert seen == [
        (x.data_ptr(), weight.data_ptr(), None, answer.data_ptr()),
        (y.data_ptr(), weight.data_ptr(), None, for_x.data_ptr()),
        (x.data_ptr(), y.data_ptr(), None, for_weight.data_ptr()),
    ]


def test_a_large_answer_comes_from_the_cache() -> None:
    layer = ConvTranspose2d(8, 32, 2, 2, bias=False)
    _core.empty_cache()
    with torch.no_grad():
        made = layer(turned(torch.ones(1, 8, 200, 200)))  # 20 MB
    assert made.is_contiguous(memory_format=torch.channels_last)
    del made
    assert _core.cached_bytes() >= 20_000_000


def test_halves_keep_the_order() -> None:
    x, weight, bias, _ = tensors(MIXED, torch.bfloat16)
    made = conv_transpose2d(turned(x), weight, bias, **options(MIXED))
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(made, conv_transpose2d(x, weight, bias, **options(MIXED)))


def test_operators() -> None:
    x, weight, bias, y = (t.requires_grad_() for t in tensors(MIXED))
    shared = [2, 3], [1, 1], [1, 2], 2
    stride, padding, dilation, groups = shared
    last_x, last_y = (turned(t.detach()).requires_grad_() for t in (x, y))
    opcheck(OPS.conv_transpose, (last_x, weight, bias, stride, padding, [1, 0], dilation, groups))
    opcheck(OPS.conv, (last_y, weight, *shared, [4, 3]))
    opcheck(OPS.weight_gradient, (last_x, last_y, [3, 4], *shared))
    opcheck(OPS.weight_gradient, (last_x, y, [3, 4], *shared))


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled(dynamic: bool) -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), ConvTranspose2d(4, 2, 4, 2, 1))
    plain = plain.to(memory_format=torch.channels_last)
    compiled = torch.compile(plain, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for size in ((2, 3, 8, 6), (3, 3, 5, 7)):
        x = turned(torch.randn(size))
        made, expected = compiled(x), plain(x)
        assert torch.equal(made, expected)
        assert made.stride() == expected.stride()
        assert made.is_contiguous(memory_format=torch.channels_last)
        grads = (
            torch.autograd.grad(call(x).square().sum(), list(plain.parameters()))
            for call in (compiled, plain)
        )
        assert all(map(torch.equal, *grads))


def test_transforms_take_them_too() -> None:
    x, weight, _, y = tensors(MIXED)
    call = lambda t: conv_transpose2d(t, weight, **options(MIXED)).square().sum()  # noqa: E731
    assert torch.equal(torch.func.grad(call)(turned(x)), torch.func.grad(call)(x))
    each = torch.vmap(lambda t: conv_transpose2d(t, weight, **options(MIXED)))
    assert torch.equal(each(turned(x)), each(x))
    inputs = turned(x).requires_grad_(), x.clone().requires_grad_()
    made, expected = (
        torch.autograd.grad(
            conv_transpose2d(t, weight, **options(MIXED)), t, y.expand(3, *y.shape), is_grads_batched=True
        )
        for t in inputs
    )
    assert torch.equal(*made, *expected)


def test_a_model_made_channels_last_stays_so() -> None:
    model = nn.Sequential(ConvTranspose2d(4, 8, 4, 2, 1), nn.ReLU(), ConvTranspose2d(8, 3, 3, 2))
    x = torch.randn(2, 4, 6, 5)
    expected = model(x)
    made = model.to(memory_format=torch.channels_last)(turned(x))
    assert made.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(made, expected)
    made.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
