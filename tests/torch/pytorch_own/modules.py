"""PyTorch's own inputs for its ConvTranspose layers (ModuleInfo), and checks in the manner of its TestModule.

A check takes PyTorch's description of a layer, our class, one of its inputs and the dtype, and raises.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.testing._internal.common_modules import ModuleInfo, ModuleInput, module_db

import tconv.torch
from tests.torch.pytorch_own import DOUBLE, Check, near, register

__all__ = ["CHECKS", "MODULES", "inputs", "ours"]

#: Name -> PyTorch's description.
MODULES = {
    info.module_cls.__name__: info for info in module_db if "ConvTranspose" in info.module_cls.__name__
}

CHECKS: dict[str, Check] = {}
check = partial(register, CHECKS)
ALL = ("float32", "float64", "complex64", "complex128")  #: but for complex32, on which less is defined


def ours(info: ModuleInfo) -> type[nn.Module]:
    """What stands in its place here."""
    made: type[nn.Module] = getattr(tconv.torch, info.module_cls.__name__)
    return made


def inputs(info: ModuleInfo, dtype: torch.dtype, training: bool) -> list[ModuleInput]:
    """PyTorch's arguments for the layer and for its call."""
    return list(
        info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=training)
    )


def _built(kind: type[nn.Module], given: ModuleInput, dtype: torch.dtype, **options: Any) -> nn.Module:
    """A layer; a lazy one has seen an input."""
    torch.manual_seed(7)
    built = given.constructor_input
    layer = kind(*built.args, **{**built.kwargs, "dtype": dtype, **options})
    if isinstance(layer, nn.modules.lazy.LazyModuleMixin) and not options:
        with torch.no_grad():
            layer(*given.forward_input.args)
        assert type(layer) is kind.cls_to_become
    return layer


def _both(info: ModuleInfo, kind: type[nn.Module], given: ModuleInput, dtype: torch.dtype) -> Any:
    layers = [_built(each, given, dtype) for each in (kind, info.module_cls)]
    assert all(map(torch.equal, *(layer.parameters() for layer in layers)))
    (x,) = given.forward_input.args
    return (*layers, x)


def _answers(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """The answer and every gradient."""
    answer = layer(x)
    return [answer, *torch.autograd.grad(answer.abs().sum(), [x, *layer.parameters()])]


@check("TestModule.test_forward", ALL)
def _forward(info: ModuleInfo, kind: type[nn.Module], given: ModuleInput, dtype: torch.dtype) -> None:
    """Parameters, values and gradients, with PyTorch's layer and its reference."""
    layer, theirs, x = _both(info, kind, given, dtype)
    near(_answers(layer, x), _answers(theirs, x))
    if given.reference_fn is not None:
        near([layer(x)], [given.reference_fn(layer, x)])


@check("TestModule.test_forward (complex32)", ("complex32",))
def _passed_on(info: ModuleInfo, kind: type[nn.Module], given: ModuleInput, dtype: torch.dtype) -> None:
    """Values; the engine lacks this dtype, so PyTorch's operator computes them."""
    answers = []
    for each in (kind, info.module_cls):
        torch.manual_seed(7)
        layer = each(*given.constructor_input.args, dtype=dtype)
        answers.append(torch.view_as_real(layer(*given.forward_input.args)))
    assert torch.equal(*answers)


@check("TestModule.test_factory_kwargs", ALL)
def _factory(info: ModuleInfo, kind: type[nn.Module], given: ModuleInput, dtype: torch.dtype) -> None:
    """`device` and `dtype` at construction."""
    lazy = issubclass(kind, nn.modules.lazy.LazyModuleMixin)
    layer = _built(kind, given, dtype, device="cpu" if lazy else "meta")
    for parameter in layer.parameters():
        assert parameter.dtype is dtype
        assert parameter.device.type == ("cpu" if lazy else "meta")


@check("TestModule.test_pickle", ALL)
def _copies(info: ModuleInfo, kind: type[nn.Module], given: ModuleInput, dtype: torch.dtype) -> None:
    """Copies by `pickle`, `torch.save` and `copy.deepcopy`."""
    layer, _, x = _both(info, kind, given, dtype)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        torch.load(file, weights_only=False),
    ):
        assert type(other) is type(layer)
        assert torch.equal(other(x), layer(x))


@check("TestModule.test_repr", ("float32",))
def _told(info: ModuleInfo, kind: type[nn.Module], given: ModuleInput, dtype: torch.dtype) -> None:
    """The printed layer, with PyTorch's."""
    layer, theirs, _ = _both(info, kind, given, dtype)
    assert repr(layer) == str(layer) == repr(theirs)
    fresh = [each(*given.constructor_input.args) for each in (kind, info.module_cls)]
    assert repr(fresh[0]) == repr(fresh[1])


@check("TestModule.test_non_contiguous_tensors", ("float64",))
def _gaps(info: ModuleInfo, kind: type[nn.Module], given: ModuleInput, dtype: torch.dtype) -> None:
    """Inputs and parameters with gaps."""
    layer, theirs, x = _both(info, kind, given, dtype)
    wide = torch.stack([x, x], -1).detach()[..., 0].requires_grad_()
    assert not wide.is_contiguous()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.set_(torch.stack([parameter, parameter], -1)[..., 0])
            assert not parameter.is_contiguous()
    near(_answers(layer, wide), _answers(theirs, x))


@check("TestModule.test_memory_format", ALL)
def _memory(info: ModuleInfo, kind: type[nn.Module], given: ModuleInput, dtype: torch.dtype) -> None:
    """channels_last: values, gradients and the order in memory."""
    layer, theirs, x = _both(info, kind, given, dtype)
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.dim())
    if last is None or x.dim() - 2 != len(layer.kernel_size):
        return
    turned = x.detach().contiguous(memory_format=last).requires_grad_()
    near(_answers(layer.to(memory_format=last), turned), _answers(theirs, x))
    assert info.module_memformat_affects_out
    assert layer(turned).is_contiguous(memory_format=last)


@check("TestModule.test_to, test_to_empty", ("float32", "complex64"))
def _moved(info: ModuleInfo, kind: type[nn.Module], given: ModuleInput, dtype: torch.dtype) -> None:
    """To another dtype, to the meta device and back."""
    layer, theirs, x = _both(info, kind, given, dtype)
    double = torch.complex128 if dtype.is_complex else torch.float64
    near(_answers(layer.to(double), x.to(double)), _answers(theirs.to(double), x.to(double)))
    assert layer(x.to(double)).dtype is double
    empty = layer.to("meta").to_empty(device="cpu")
    empty.load_state_dict(theirs.state_dict())
    near([empty(x.to(double))], [theirs(x.to(double))])


def _of_all(layer: nn.Module) -> Callable[..., Tensor]:
    names = [name for name, _ in layer.named_parameters()]
    return lambda x, *values: torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))


@check("TestModule.test_grad", DOUBLE)
def _first(info: ModuleInfo, kind: type[nn.Module], given: ModuleInput, dtype: torch.dtype) -> None:
    """Gradients by finite differences, of parameters too."""
    layer, _, x = _both(info, kind, given, dtype)
    assert gradcheck(_of_all(layer), (x, *layer.parameters()), fast_mode=True)


@check("TestModule.test_gradgrad", DOUBLE)
def _second(info: ModuleInfo, kind: type[nn.Module], given: ModuleInput, dtype: torch.dtype) -> None:
    """Second gradients by finite differences, likewise."""
    layer, _, x = _both(info, kind, given, dtype)
    assert info.supports_gradgrad
    assert gradgradcheck(_of_all(layer), (x, *layer.parameters()), fast_mode=True)
