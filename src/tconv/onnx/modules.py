"""A PyTorch module looked through: it is called once, and each convolution and matrix product is seen.

What is recorded is what PyTorch's dispatcher carries out, so that functions count as layers do, and a layer
that is called twice counts twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.module_tracker import ModuleTracker

import tconv.torch  # noqa: F401  # registers the operators that a module may call
from tconv.diagnosis import ModelLayer
from tconv.diagnosis.diagnose import examine
from tconv.diagnosis.readers.source import Source
from tconv.diagnosis.text import said
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.onnx.counting import Work, conv_products
from tconv.onnx.inspection import Inspected, Inspection, notes_of

__all__ = ["inspect_module"]

#: In the names of operators that multiply in a way that neither this nor PyTorch's own counter knows.
_UNCOUNTED = ("lstm", "gru", "rnn", "fused")


def inspect_module(module: torch.nn.Module, example: Any) -> Inspection:
    """The inspection of a module, in evaluation, as it answers `example`.

    Raises:
        TconvError: no example, or one that the module does not take.
    """
    if example is None:
        raise TconvError("a PyTorch module needs an example: example=torch.zeros(1, 3, 64, 64) or so")
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
    except Exception as fault:  # whatever the module's own code raises
        raise TconvError(f"the module does not take the example: {said(fault)}") from fault
    layers = [
        ModelLayer(name=one.name, geometry=one.stand_in, weight=one.weight)
        for one in seen.layers
        if one.stand_in is not None
    ]
    return Inspection(
        source=type(module).__name__,
        about={"inputs": {name: str(list(x.shape)) for name, x in _tensors(args, named)}},
        layers=tuple(seen.layers),
        work=tuple(sorted(seen.work.values(), key=lambda work: -work.multiplications)),
        notes=tuple(notes_of(seen.work.values())),
        diagnosis=examine(Source(layers=tuple(layers)), type(module).__name__) if layers else None,
        rewritable=False,
    )


def _tensors(args: Any, named: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, value in [*((str(i), value) for i, value in enumerate(args)), *named.items()]:
        if isinstance(value, torch.Tensor):
            yield name, value


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Without dropout or running statistics, and then as it was."""
    before = {inner: inner.training for inner in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for inner, training in before.items():
            inner.training = training


class _Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What went through the dispatcher."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tracker = ModuleTracker()
        self.root = type(module).__name__
        self.layers: list[Inspected] = []
        self.work: dict[str, Work] = {}

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
            self._count(str(packet), flops // 2)
        elif any(part in name for part in _UNCOUNTED):
            self._count(str(packet), None)
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
        if not transposed:
            starts = [lo for lo, _ in sides]
            self._count("conv", conv_products(x.shape, weight.shape, answer.shape, stride, starts, dilation))
            return
        geometry = Geometry.make(
            batch=x.shape[0],
            in_channels=x.shape[1],
            out_channels=answer.shape[1],
            input=tuple(x.shape[2:]),
            kernel=tuple(weight.shape[2:]),
            stride=tuple(stride),
            padding=tuple(sides),
            dilation=tuple(dilation),
            groups=groups,
            output_size=tuple(answer.shape[2:]),
        )
        parents = [name for name in self.tracker.parents if name != "Global"]
        path = max(parents, key=lambda name: name.count("."), default=self.root)
        inside = path.removeprefix(self.root).lstrip(".")
        many = sum(layer.where == inside for layer in self.layers)
        dtype = str(weight.dtype).removeprefix("torch.")
        self.layers.append(
            Inspected(
                name=f"{inside or self.root}{f' #{many + 1}' if many else ''}",
                where=inside,
                problem=str(geometry),
                weights=f"{'x'.join(map(str, weight.shape))} {dtype}",
                dtype=dtype,
                why="",
                geometry=geometry,
                stand_in=geometry,
                weight=weight.float().numpy() if weight.dtype is torch.bfloat16 else weight.numpy(),
            )
        )
        self._count("conv_transpose", geometry.macs_exact)

    def _count(self, name: str, number: int | None) -> None:
        had = self.work.get(name, Work(operator=name, nodes=0, multiplications=0, open=0))
        self.work[name] = replace(
            had,
            nodes=had.nodes + 1,
            multiplications=had.multiplications + (number or 0),
            open=had.open + (number is None),
            counted=number is not None,
        )


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
    """The arguments of PyTorch's one operator for all of them."""
    return x, weight, stride, [(p, p) for p in padding], dilation, transposed, groups


def _tconv(
    x: Any, weight: Any, bias: Any, stride: Any, padding: Any, extra: Any, dilation: Any, groups: int, *_: Any
) -> tuple[Any, ...]:
    """Those of ours: padding is one number an axis, or those of the near ends, then those of the far ones."""
    axes = len(stride)
    return x, weight, stride, list(zip(padding[:axes], padding[-axes:], strict=True)), dilation, True, groups


_CONVOLUTIONS: Mapping[str, Callable[..., tuple[Any, ...]]] = MappingProxyType(
    {"aten.convolution.default": _pytorch, "tconv.conv_transpose.default": _tconv}
)
