"""The three maps as registered operators, for compilers, tracers and everything that dispatches.

tconv::conv_transpose   tconv::conv   tconv::weight_gradient
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._decomp import register_decomposition
from torch.utils.flop_counter import register_flop_formula

from tconv.ops.call_cache import moved_last
from tconv.torch import eager
from tconv.torch.call_cache import channels_last
from tconv.torch.composed import composed
from tconv.torch.errors import raising_runtime_errors
from tconv.torch.inductor import call_as_it_is
from tconv.torch.maps import Conv, ConvTranspose, Map, WeightGradient

__all__: list[str] = []

_LIBRARY: Any = torch.library.Library("tconv", "DEF")  # type: ignore[no-untyped-call]

Shape = Sequence[Any]  #: of ints, symbolic ones while a compiler traces


class Operator(NamedTuple):
    """What a map needs, in addition to its gradients, to be an operator."""

    map: type[Map]
    schema: str
    job: Callable[..., Any]
    shape: Callable[..., Shape]  #: of the output, from the operator's arguments
    #: Nominal, from the shapes of both factors and of the output.
    multiplications: Callable[[Shape, Shape, Shape], int]


def _transposed_shape(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Shape,
    padding: Shape,
    extra: Shape,
    dilation: Shape,
    groups: int,
) -> Shape:
    los, his = padding[: len(stride)], padding[-len(stride) :]
    axes = zip(x.shape[2:], weight.shape[2:], stride, los, his, extra, dilation, strict=True)
    sizes = [(i - 1) * s - lo - hi + d * (k - 1) + 1 + o for i, k, s, lo, hi, o, d in axes]
    return [x.shape[0], weight.shape[1] * groups, *sizes]


_LAYER = "SymInt[] stride, SymInt[] padding, "
OPERATORS = (
    Operator(
        ConvTranspose,
        f"(Tensor x, Tensor weight, Tensor? bias, {_LAYER} SymInt[] output_padding, SymInt[] dilation, "
        "SymInt groups)",
        eager.transposed_job,
        _transposed_shape,
        lambda x, weight, y: prod(x) * prod(weight[1:]),
    ),
    Operator(
        Conv,
        f"(Tensor y, Tensor weight, {_LAYER} SymInt[] dilation, SymInt groups, SymInt[] size)",
        eager.strided_job,
        lambda y, weight, *options: [y.shape[0], weight.shape[0], *options[-1]],
        lambda y, weight, x: prod(x) * prod(weight[1:]),
    ),
    Operator(
        WeightGradient,
        f"(Tensor x, Tensor y, SymInt[] kernel, {_LAYER} SymInt[] dilation, SymInt groups)",
        eager.correlated_job,
        lambda x, y, kernel, *options: [x.shape[1], y.shape[1] // options[-1], *kernel],
        lambda x, y, weight: prod(x) * prod(weight[1:]),
    ),
)


def _hashable(args: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(tuple(arg) if isinstance(arg, list) else arg for arg in args)


def _sizes(args: Sequence[Any]) -> Iterator[Any]:
    """Every size and option; some may be symbolic under a compiler."""
    for arg in args:
        if isinstance(arg, Tensor):
            yield from arg.shape
        elif isinstance(arg, list):
            yield from arg
        elif arg is not None:
            yield arg


def _below_autograd(map: type[Map]) -> type[Map]:
    """The map as the autograd kernel: the tensors' own kernel computes it, or a fake one."""

    class Below(map):  # type: ignore[misc, valid-type]
        @classmethod
        def forward(cls, *args: Any) -> Tensor:
            with torch._C._AutoDispatchBelowAutograd():
                return map.dispatched(*args)

    Below.__name__ = map.__name__
    return Below


def _register(operator: Operator) -> None:
    map, name = operator.map, operator.map.name
    below = _below_autograd(map)

    @raising_runtime_errors
    def compute(*args: Any) -> Tensor:
        return map.compute(*_hashable(args))

    @raising_runtime_errors
    def fake(*args: Any) -> Tensor:
        call_as_it_is(packet.default)
        if all(isinstance(size, int) for size in _sizes(args)):
            operator.job(*_hashable(args))  # checks all arguments, as a real run would
        shape = tuple(operator.shape(*args))
        last = map is not WeightGradient and channels_last(args[0])
        result: Tensor = args[0].new_empty(moved_last(shape, len(shape) - 2) if last else shape)
        return result.movedim(-1, 1) if last else result

    def differentiable(*args: Any) -> Tensor:
        result: Tensor = below.apply(*_hashable(args))  # type: ignore[no-untyped-call]
        return result

    def flops(first: Shape, second: Shape, *options: Any, out_shape: Shape, **_: Any) -> int:
        return 2 * operator.multiplications(first, second, out_shape)

    _LIBRARY.define(f"{name}{operator.schema} -> Tensor", tags=(torch.Tag.pt2_compliant_tag,))
    packet = getattr(torch.ops.tconv, name)
    _LIBRARY.impl(name, compute, "CPU")
    # Not torch.library.register_autograd, whose kernel silently drops tangents and refuses torch.func.
    _LIBRARY.impl(name, differentiable, "Autograd")
    torch.library.register_fake(f"tconv::{name}", fake, lib=_LIBRARY)
    torch.library.register_vmap(f"tconv::{name}", map.vmap, lib=_LIBRARY)
    register_decomposition(packet.default, type="meta")(fake)  # fake tensors prefer it to a decomposition
    register_flop_formula(packet)(flops)


for _operator in OPERATORS:
    _register(_operator)
# torch.onnx.export uses this table, so that a layer becomes a ConvTranspose without further arguments.
register_decomposition(torch.ops.tconv.conv_transpose.default)(composed)
