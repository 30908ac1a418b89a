"""A PyTorch module, inspected by one call in which each convolution and matrix product is recorded.

The operators of PyTorch's dispatcher are recorded, so functions count as layers do, and a layer called twice
counts twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.jit import ScriptModule
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.module_tracker import ModuleTracker

from tconv.algebra.arrays import Array
from tconv.errors import TconvError, said
from tconv.geometry import Geometry
from tconv.models.convolutions import conv_layer, conv_products
from tconv.models.layer import ModelLayer
from tconv.models.model import Model

__all__ = ["Product", "places", "watch"]

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

#: Parts of the names of operators whose multiplications neither this file nor PyTorch's counter knows.
_UNCOUNTED = ("lstm", "gru", "rnn", "fused")


class Product(NamedTuple):
    """A call of an operator that multiplies."""

    operator: str
    multiplications: int | None  #: None if not known


def places(model: nn.Module) -> dict[nn.Module, list[str]]:
    """Every submodule of a model that can be changed, and its names; the model itself has the name ""."""
    found: dict[nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if not isinstance(module, ScriptModule):  # compiled: it cannot be changed
            found.setdefault(module, []).append(name)
    return found


def watch(module: nn.Module, example: Any) -> tuple[Model, list[Product]]:
    """The layers of a module called with `example` in evaluation, and all its products.

    Raises:
        TconvError: no example, or one that the module does not accept.
    """
    if example is None:
        raise TconvError("a PyTorch module needs an example, such as example=torch.zeros(1, 3, 64, 64)")
    seen = _Seen(module)
    args = (
        example if isinstance(example, tuple | list) else () if isinstance(example, Mapping) else (example,)
    )
    named = example if isinstance(example, Mapping) else {}
    try:
        with _evaluating(module), torch.no_grad(), seen.tracker, seen:
            module(*args, **named)
    except TconvError:
        raise
    except Exception as fault:  # the module's code may raise anything
        raise TconvError(f"the module does not accept the example: {said(fault)}") from fault
    inputs = {name: tuple(x.shape) for name, x in _tensors(args, named)}
    return Model(source=type(module).__name__, layers=tuple(seen.layers), inputs=inputs), seen.products


def _tensors(args: Any, named: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, value in [*((str(i), value) for i, value in enumerate(args)), *named.items()]:
        if isinstance(value, torch.Tensor):
            yield name, value


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """The module in evaluation mode; afterwards its modes are restored."""
    before = {inner: inner.training for inner in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for inner, training in before.items():
            inner.training = training


class _Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The operators that the dispatcher has run."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tracker = ModuleTracker()
        self.module, self.root = module, type(module).__name__
        self.layers: list[ModelLayer] = []
        self.products: list[Product] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        answer = func(*args, **kwargs or {})
        name: str = str(func)
        packet = func._overloadpacket
        if name in _CONVOLUTIONS:
            self._convolution(answer, *_CONVOLUTIONS[name](*args, **kwargs or {}))
        elif packet in flop_registry:
            flops = flop_registry[packet](*args, **kwargs or {}, out_val=answer)
            self.products.append(Product(str(packet), flops // 2))
        elif any(part in name for part in _UNCOUNTED):
            self.products.append(Product(str(packet), None))
        return answer

    def _convolution(
        self,
        answer: torch.Tensor,
        x: torch.Tensor,
        weight: torch.Tensor,
        stride: list[int],
        sides: list[tuple[int, int]],
        dilation: list[int],
        transposed: bool,
        groups: int,
    ) -> None:
        name, where = self._names(transposed)
        if not transposed:
            starts = [lo for lo, _ in sides]
            many = conv_products(x.shape, weight.shape, answer.shape, stride, starts, dilation)
            self.products.append(Product("conv", many))
            made = conv_layer(
                name, _array(weight), sizes=tuple(x.shape[2:]), stride=tuple(stride), padding=tuple(sides),
                dilation=tuple(dilation), groups=groups,
            )  # fmt: skip
            if made is not None:
                self.layers.append(replace(made[1]["layer"], where=where, dtype=_dtype(weight)))
            return
        geometry = Geometry.make(
            batch=x.shape[0], in_channels=x.shape[1], out_channels=answer.shape[1], input=tuple(x.shape[2:]),
            kernel=tuple(weight.shape[2:]), stride=tuple(stride), padding=tuple(sides),
            dilation=tuple(dilation), groups=groups, output_size=tuple(answer.shape[2:]),
        )  # fmt: skip
        self.layers.append(
            ModelLayer(
                name=name,
                geometry=geometry,
                weight=_array(weight),
                where=where,
                input=tuple(x.shape),
                dtype=_dtype(weight),
            )
        )
        self.products.append(Product("conv_transpose", geometry.macs_exact))

    def _names(self, transposed: bool) -> tuple[str, str]:
        """A unique name for the layer that is called, and the path of the module that calls it."""
        parents = [name for name in self.tracker.parents if name != "Global"]
        path = max(parents, key=lambda name: name.count("."), default=self.root)
        inside = path.removeprefix(self.root).lstrip(".")
        many = sum(layer.where == inside and layer.conv != transposed for layer in self.layers)
        called = not transposed and not isinstance(self.module.get_submodule(inside), _CONVS)
        return f"{inside or self.root}{' conv' if called else ''}{f' #{many + 1}' if many else ''}", inside


def _dtype(weight: torch.Tensor) -> str:
    return str(weight.dtype).removeprefix("torch.")


def _array(weight: torch.Tensor) -> Array:
    array: Array = (weight.float() if weight.dtype is torch.bfloat16 else weight).numpy()
    return array


def _pytorch(
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    extra: Any,
    groups: int,
) -> tuple[Any, ...]:
    """The arguments of PyTorch's common operator for all convolutions."""
    return x, weight, stride, [(p, p) for p in padding], dilation, transposed, groups


def _tconv(
    x: Any, weight: Any, bias: Any, stride: Any, padding: Any, extra: Any, dilation: Any, groups: int, *_: Any
) -> tuple[Any, ...]:
    """The arguments of tconv's operator: padding is one number per axis, or all starts, then all ends."""
    axes = len(stride)
    return x, weight, stride, list(zip(padding[:axes], padding[-axes:], strict=True)), dilation, True, groups


_CONVOLUTIONS: Mapping[str, Callable[..., tuple[Any, ...]]] = MappingProxyType(
    {"aten.convolution.default": _pytorch, "tconv.conv_transpose.default": _tconv}
)
