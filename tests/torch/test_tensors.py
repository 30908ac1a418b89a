"""Tensors of other kinds than the usual one, and what autograd lets one watch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.nn import functional
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_map_only

from tconv import TconvError
from tconv.torch import ConvTranspose2d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from tconv.torch.call_cache import memory_format

X, WEIGHT, BIAS = torch.randn(2, 4, 5, 6), torch.randn(4, 3, 3, 3), torch.randn(3)


class Wrapped(Tensor):
    """A tensor around another one: it has no memory of its own, and sees operators below autograd."""

    seen: list[str] = []  # noqa: RUF012

    @staticmethod
    def __new__(cls, inner: Tensor) -> Wrapped:
        return Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype, strides=inner.stride())

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.seen.append(str(func))
        given = tree_map_only(cls, lambda t: t.inner, (args, kwargs or {}))
        made = tree_map_only(Tensor, cls, func(*given[0], **given[1]))
        return return_and_correct_aliasing(func, args, kwargs or {}, made)


def test_a_tensor_without_memory_of_its_own() -> None:
    layer = ConvTranspose2d(4, 3, 3, stride=2, activation="relu")
    plain = X.clone().requires_grad_()
    expected = torch.autograd.grad(layer(plain).sum(), [plain, *layer.parameters()])
    Wrapped.seen.clear()
    x = Wrapped(X.clone()).requires_grad_()
    answer = layer(x)
    assert type(answer) is Wrapped
    made = torch.autograd.grad(answer.sum(), [x, *layer.parameters()])
    assert all(torch.equal(a.inner, b) for a, b in zip(made, expected, strict=True))
    names = {name.split(".")[1] for name in Wrapped.seen if name.startswith("tconv")}
    assert names == {"conv_transpose", "conv", "weight_gradient"}


@pytest.mark.parametrize("compiled", [False, True])
def test_two_tensors_in_one(compiled: bool) -> None:
    """PyTorch's example of a subclass that compilers take apart."""
    torch._dynamo.reset()
    layer = ConvTranspose2d(4, 3, 3, stride=2)
    call = torch.compile(layer, fullgraph=True, backend="aot_eager") if compiled else layer
    x = TwoTensor(X.clone(), 2 * X).requires_grad_()
    answer = call(x)
    answer.sum().backward()
    assert torch.equal(answer.a, layer(X))
    assert torch.equal(answer.b, layer(2 * X))
    assert torch.equal(layer.weight.grad.b, 2 * layer.weight.grad.a)
    assert torch.equal(x.grad.a, x.grad.b)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("last", [False, True])
def test_shapes_and_strides_of_sizes_known_by_name(axes: int, last: bool) -> None:
    """While a compiler traces they are those of the real answer."""
    call = {1: conv_transpose1d, 2: conv_transpose2d, 3: conv_transpose3d}[axes]
    x, weight = torch.ones(2, 4, *range(5, 5 + axes)), torch.ones(4, 3, *(3,) * axes)
    if last and axes > 1:
        x = x.to(memory_format=memory_format(axes + 2, True))
    real = call(x, weight, stride=2)
    environment = ShapeEnv()
    with FakeTensorMode(shape_env=environment) as mode:
        open_sizes = StatelessSymbolicContext(dynamic_sizes=[DimDynamic.DYNAMIC] * x.dim())
        fake = call(mode.from_tensor(x, symbolic_context=open_sizes), mode.from_tensor(weight), stride=2)
    assert all(not size.node.is_constant() for size in (fake.shape[0], *fake.shape[2:]))
    hints = [size if isinstance(size, int) else size.node.hint for size in (*fake.shape, *fake.stride())]
    assert hints == [*real.shape, *real.stride()]


class Noted(Tensor):
    """A subclass that notes the functions it is given to, with their keywords."""

    seen: list[tuple[Any, dict[str, Any]]] = []  # noqa: RUF012

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.seen.append((func, dict(kwargs or {})))
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_subclass_is_told_of_every_option() -> None:
    Noted.seen.clear()
    made = conv_transpose2d(X.as_subclass(Noted), WEIGHT, padding=((1, 0), (0, 1)), activation="relu")
    assert type(made) is Noted
    assert (conv_transpose2d, {"activation": "relu"}) in Noted.seen
    expected = conv_transpose2d(X, WEIGHT, padding=((1, 0), (0, 1)), activation="relu")
    assert torch.equal(made.as_subclass(Tensor), expected)


def test_parameters_buffers_and_subclasses_of_them() -> None:
    class Special(nn.Parameter):
        pass

    expected = conv_transpose2d(X, WEIGHT, BIAS, 2)
    for kind in (nn.Parameter, nn.Buffer, Special):
        made = conv_transpose2d(kind(X), kind(WEIGHT), kind(BIAS), stride=2)
        assert type(made) is Tensor
        assert torch.equal(made, expected)


def test_arguments_by_name() -> None:
    made = conv_transpose2d(
        dilation=2, groups=1, output_padding=1, padding=1, stride=2, bias=BIAS, weight=WEIGHT, input=X
    )
    assert torch.equal(made, conv_transpose2d(X, WEIGHT, BIAS, 2, 1, 1, 1, 2))


def test_tensors_made_in_inference_mode() -> None:
    with torch.inference_mode():
        x = torch.ones(2, 4, 5, 6)
        assert conv_transpose2d(x, WEIGHT).is_inference()
    assert torch.equal(conv_transpose2d(x, WEIGHT), conv_transpose2d(torch.ones(2, 4, 5, 6), WEIGHT))
    weight = WEIGHT.clone().requires_grad_()
    for call in (conv_transpose2d, functional.conv_transpose2d):
        with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
            call(x, weight)
    # The weight is no inference tensor, and the input's gradient needs it alone.
    weight.detach_()
    y = conv_transpose2d(torch.ones(2, 4, 5, 6, requires_grad=True), weight)
    assert y.requires_grad


def test_what_is_saved_for_backward_can_be_packed() -> None:
    seen: list[Tensor] = []

    def pack(t: Tensor) -> Tensor:
        seen.append(t)
        return t.half()

    x, weight = torch.ones(1, 4, 3, 3, requires_grad=True), torch.ones(4, 3, 2, 2, requires_grad=True)
    with saved_tensors_hooks(pack, lambda t: t.float()):
        y = conv_transpose2d(x, weight)
    assert [t.shape for t in seen] == [x.shape, weight.shape]
    y.sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 12))
    with save_on_cpu():
        y = conv_transpose2d(x, weight.detach())
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(grad, torch.full_like(x, 12))


def test_hooks_and_retained_gradients() -> None:
    x = X.clone().requires_grad_()
    layer = ConvTranspose2d(4, 3, 3, activation="tanh")
    seen: list[tuple[int, ...]] = []
    layer.register_forward_hook(lambda module, given, made: made * 2)
    layer.register_full_backward_hook(lambda module, given, made: seen.append(made[0].shape))
    y = layer(x)
    y.retain_grad()
    y.sum().backward()
    assert torch.equal(y.grad, torch.ones_like(y))
    assert seen == [y.shape]


def test_many_layers_as_one() -> None:
    """torch.func's ensembles, whole and in pieces."""
    layers = [ConvTranspose2d(4, 3, 3, stride=2, activation="relu") for _ in range(5)]
    parameters, buffers = torch.func.stack_module_state(layers)
    base = copy.deepcopy(layers[0]).to("meta")

    def call(parameters: Any, buffers: Any, x: Tensor) -> Tensor:
        return torch.func.functional_call(base, (parameters, buffers), (x,))

    expected = torch.stack([layer(X) for layer in layers])
    for size in (None, 2, 1):
        made = torch.vmap(call, (0, 0, None), chunk_size=size)(parameters, buffers, X)
        torch.testing.assert_close(made, expected)
        many = torch.stack([X, -X, 2 * X, X + 1, X - 1])
        each = torch.vmap(call, (0, 0, 0), out_dims=1, chunk_size=size)(parameters, buffers, many)
        torch.testing.assert_close(
            each, torch.stack([layer(x) for layer, x in zip(layers, many, strict=True)], 1)
        )


#: Sizes of nothing -> what PyTorch 2.13 says of them.
NOTHING: dict[str, tuple[tuple[int, ...], tuple[int, ...], str]] = {
    "positions": ((2, 4, 0, 5), (4, 3, 3, 3), "input size 0 on axis 0"),
    "positions without a batch": ((4, 0, 5), (4, 3, 3, 3), "input size 0 on axis 0"),
    "input channels": ((2, 0, 5, 5), (0, 3, 3, 3), "0 input channels"),
    "output channels": ((2, 4, 5, 5), (4, 0, 3, 3), "0 output channels"),
    "kernel": ((2, 4, 5, 5), (4, 3, 0, 3), "kernel 0 on axis 0"),
    "a batch of no channels": ((0, 0, 5, 5), (0, 3, 3, 3), "0 input channels"),
}


@pytest.mark.parametrize("what", NOTHING)
def test_what_pytorch_refuses_for_being_nothing(what: str) -> None:
    shape, kernel, said = NOTHING[what]
    with pytest.raises(RuntimeError):
        functional.conv_transpose2d(torch.ones(shape), torch.ones(kernel))
    with pytest.raises(TconvError, match=said):
        conv_transpose2d(torch.ones(shape), torch.ones(kernel))


@pytest.mark.parametrize("groups", [1, 2])
def test_an_empty_batch_is_pytorchs(groups: int) -> None:
    x, weight = torch.ones(0, 4, 5, 5), torch.ones(4, 3, 3, 3)
    made, theirs = (
        call(x, weight, groups=groups) for call in (conv_transpose2d, functional.conv_transpose2d)
    )
    assert made.shape == theirs.shape
    assert torch.compile(lambda x: conv_transpose2d(x, weight), backend="aot_eager")(x).shape == (0, 3, 7, 7)
