"""From shapes, dtypes and options of tensors to a plan, cached under them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from tconv.errors import TconvError
from tconv.geometry.normalize import padding_pairs, per_axis, whole
from tconv.ops.arrays import CODES
from tconv.ops.call_cache import Options as ArrayOptions
from tconv.ops.call_cache import PlannedCall, moved_last, planned_call, planned_gradient
from tconv.planning import LAYOUTS, Activation, Plan

__all__ = [
    "DTYPES",
    "Ints",
    "TensorCall",
    "channels_last",
    "correlated",
    "memory_format",
    "nested",
    "options",
    "spelled_out",
    "strided",
    "tensor_call",
    "transposed",
]

Ints: TypeAlias = tuple[int, ...]
Pairs: TypeAlias = tuple[tuple[int, int], ...]
Dtypes: TypeAlias = tuple[torch.dtype, ...]


#: PyTorch's dtypes -> ours, in planning.DTYPES.
DTYPES: dict[torch.dtype, str] = {getattr(torch, name): code for name, code in CODES.items()}


class TensorCall(NamedTuple):
    """A plan, with the shape and dtype of its output."""

    plan: Plan
    shape: Ints  #: in memory order
    dtype: torch.dtype
    array: np.dtype[np.generic]  #: of its memory in NumPy, where bfloat16 is uint16
    last: bool  #: whether the output's channels come last in memory
    formats: tuple[torch.memory_format, torch.memory_format]  #: in which both factors are read


_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def memory_format(dim: int, last: bool) -> torch.memory_format:
    """PyTorch's name of the memory format of tensors with `dim` axes."""
    return _LAST[dim] if last else torch.contiguous_format


def channels_last(tensor: torch.Tensor) -> bool:
    """Whether PyTorch treats `tensor` (n, c, ...) as channels_last."""
    format = _LAST.get(tensor.dim())
    if format is None or not tensor.is_contiguous(memory_format=format):
        return False
    # With one channel or one position both orders are the same; the strides decide.
    return not tensor.is_contiguous() or bool(  # of sizes that may be symbolic under a compiler
        tensor.stride(1) == 1 != tensor.stride(0) and tensor.stride(-1) == tensor.shape[1]
    )


def spelled_out(
    axes: int, stride: object, padding: object, output_padding: object, dilation: object, groups: object
) -> tuple[Ints, Ints, Ints, Ints, int]:
    """(stride, padding, output_padding, dilation, groups): one int per axis, except groups.

    Where the sides differ padding has two per axis, those at the near ends first, as in ONNX: padding[:axes]
    and padding[-axes:] are the near and the far ends of both forms.
    """

    def each(name: str, value: object) -> Ints:
        if isinstance(value, tuple | list) and len(value) == 1:  # in PyTorch one stands for all axes
            value = value[0]
        return per_axis(name, value, axes)

    return (
        each("stride", stride),
        _cropped(padding, axes) if nested(padding) else each("padding", padding),
        each("output_padding", output_padding),
        each("dilation", dilation),
        whole("groups", groups),
    )


def nested(padding: object) -> bool:
    """Whether `padding` contains (lo, hi) pairs."""
    return isinstance(padding, tuple | list) and any(isinstance(entry, tuple | list) for entry in padding)


def _cropped(padding: object, axes: int) -> Ints:
    lows, highs = zip(*padding_pairs(padding, (1,) * axes, (1,) * axes, (1,) * axes), strict=True)
    return tuple(lows) if lows == highs else (*lows, *highs)


def _pairs(padding: Ints, axes: int) -> Pairs:
    return tuple(zip(padding[:axes], padding[-axes:], strict=True))


def _of_full(sizes: Ints, sides: Pairs) -> tuple[Ints, Pairs]:
    """Output sizes of which one is zero, and their padding, as those of the full output; others unchanged.

    PyTorch has outputs without a cell, Geometry has none: the plan of the full output checks their arguments,
    and nothing runs it.
    """
    if 0 not in sizes:
        return sizes, sides
    full = tuple(size + lo + hi for size, (lo, hi) in zip(sizes, sides, strict=True))
    return full, ((0, 0),) * len(sides)


options = lru_cache(maxsize=1024, typed=True)(spelled_out)  # True and 2.0 must not count as 1 and 2


def _one(dtypes: Dtypes, names: tuple[str, ...]) -> str:
    """tconv's name of the dtype that the operands must share."""
    if len(set(dtypes)) > 1:
        named = ", ".join(f"{name} is {dtype}" for name, dtype in zip(names, dtypes, strict=False))
        raise TconvError(f"{named}; one dtype for all would fit")
    found = DTYPES.get(dtypes[0])
    if found is None:
        raise TconvError(f"{names[0]} is {dtypes[0]}; {', '.join(str(dtype) for dtype in DTYPES)} would fit")
    return found


def tensor_call(planned: PlannedCall, dtype: torch.dtype, axes: int) -> TensorCall:
    """The same job, in PyTorch's terms."""
    array = np.dtype("uint16" if dtype is torch.bfloat16 else str(dtype).removeprefix("torch."))
    last, gradient = planned.plan.layout == "channels_last", planned.plan.map == "weight_gradient"
    formats = memory_format(axes + 2, last), memory_format(axes + 2, last and gradient)
    return TensorCall(planned.plan, planned.shape, dtype, array, last and not gradient, formats)


def _in_order(shape: Ints, last: bool) -> Ints:
    shape = tuple(shape)  # plain ints, for messages
    return moved_last(shape, len(shape) - 2) if last else shape


@lru_cache(maxsize=4096)
def transposed(
    x: Ints,
    weight: Ints,
    bias: Ints | None,
    dtypes: Dtypes,
    last: bool,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    dilation: Ints,
    groups: int,
    activation: Activation = None,
) -> TensorCall:
    """The job of `conv_transpose` on tensors of these shapes; `dtypes` are those of x, weight and bias.

    `last`: x is channels_last, and so is the output.
    """
    code = _one(dtypes, ("input", "weight", "bias"))
    weight = tuple(weight)
    axes = len(stride)
    if len(weight) != axes + 2:
        raise TconvError(f"weight has shape {weight}; (in, out/groups, *kernel) of {axes + 2} axes would fit")
    sides = _pairs(padding, axes)
    sizes = tuple(
        (i - 1) * s - lo - hi + d * (k - 1) + 1 + o
        for i, k, s, (lo, hi), d, o in zip(
            x[2:], weight[2:], stride, sides, dilation, output_padding, strict=False
        )
    )
    empty = len(x) == axes + 2 and min(sizes) == 0 < min(x[2:])
    given = ArrayOptions(
        stride,
        _of_full(sizes, sides)[1] if empty else sides,
        output_padding,
        dilation,
        groups,
        activation=activation,
        layout=LAYOUTS[last],
    )
    job = planned_call("conv_transpose", code, _in_order(x, last), weight, given)
    if bias is not None and tuple(bias) != (job.channels,):
        raise TconvError(
            f"bias has shape {tuple(bias)}; ({job.channels},), one number per output channel, would fit"
        )
    if empty:
        job = job._replace(shape=_in_order((x[0], job.channels, *sizes), last))
    return tensor_call(job, dtypes[0], axes)


@lru_cache(maxsize=4096)
def strided(
    y: Ints,
    weight: Ints,
    dtypes: Dtypes,
    last: bool,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    size: Ints,
) -> TensorCall:
    """The job of `conv`, whose output has the spatial sizes `size`; `dtypes` are those of y and weight.

    `last`: y is channels_last, and so is the output.
    """
    code = _one(dtypes, ("input", "weight"))
    sizes, sides = _of_full(tuple(y[2:]), _pairs(padding, len(stride)))
    given = ArrayOptions(stride, sides, 0, dilation, groups, tuple(size), layout=LAYOUTS[last])
    job = planned_call("conv", code, _in_order((*y[:2], *sizes), last), tuple(weight), given)
    return tensor_call(job, dtypes[0], len(stride))


@lru_cache(maxsize=4096)
def correlated(
    x: Ints,
    y: Ints,
    dtypes: Dtypes,
    last: bool,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> TensorCall:
    """The job of `weight_gradient`; `dtypes` are those of x and y, which are channels_last if `last`."""
    code = _one(dtypes, ("x", "y"))
    x, y = tuple(x), tuple(y)
    if not len(x) == len(y) == len(stride) + 2 or x[0] != y[0]:
        raise TconvError(f"x has shape {x} and y {y}; (n, c_in, *input) and (n, c_out, *output) would fit")
    sizes, sides = _of_full(y[2:], _pairs(padding, len(stride)))
    given = ArrayOptions(stride, sides, 0, dilation, groups, layout=LAYOUTS[last])
    full = _in_order((*y[:2], *sizes), last)
    job = planned_gradient(code, _in_order(x, last), full, tuple(kernel), given)
    return tensor_call(job, dtypes[0], len(stride))
