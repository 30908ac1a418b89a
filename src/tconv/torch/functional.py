"""Transposed convolution of PyTorch tensors, with the signatures of torch.nn.functional."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from tconv.errors import TconvError
from tconv.planning import Activation
from tconv.torch import eager
from tconv.torch.activations import activate, checked, from_output, slopes_of
from tconv.torch.call_cache import DTYPES, options, spelled_out
from tconv.torch.composed import composed
from tconv.torch.errors import raising_runtime_errors
from tconv.torch.fast_path import plain, recorded, transformed
from tconv.torch.maps import Activated, ConvTranspose
from tconv.torch.padding import in_numbers

__all__ = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]

PerAxis: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | str | Sequence[int | Sequence[int]]


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
    *,
    activation: Activation = None,
) -> Tensor:
    """Transposed convolution over one axis; see `conv_transpose2d`.

    >>> conv_transpose1d(torch.tensor([[[1.0, 2.0]]]), torch.ones(1, 1, 3), stride=2)
    tensor([[[1., 1., 3., 2., 2.]]])
    """
    return _conv_transpose(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation, activation
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
    *,
    activation: Activation = None,
) -> Tensor:
    """Transposed convolution over two axes, in place of torch.nn.functional.conv_transpose2d.

    Tensors that are not dense CPU tensors, dtypes that the engine lacks (bool, float8, complex32, quantised)
    and torch.func transforms inside torch.compile use PyTorch's own operator.

    Args:
        input: (n, c_in, h, w), or (c_in, h, w). Any strides; the output is contiguous,
            or channels_last where the input is.
        weight: (c_in, c_out/groups, kh, kw).
        bias: (c_out,), or None.
        stride: an int, or one per axis; so are `output_padding` and `dilation`.
        padding: cells cropped at both ends of each axis of the output: an int, one per axis, one (lo, hi)
            pair per axis, "valid" for 0, or "same" for an output of input * stride, where an odd cell is
            cropped at the far end. Negative values extend.
        output_padding: cells added at the far end.
        activation: as in `tconv.conv_transpose`, or ("prelu", tensor of slopes); computed in the epilogue
            and not in a separate pass. Gradients are those of PyTorch's functions ("clamp": hardtanh). For
            "relu", "tanh", "sigmoid", "leaky_relu" and "clamp" they need only the output. Where others need
            gradients, and under compilers, autocast and transforms, the activation is a separate operator of
            PyTorch.

    Returns:
        (n, c_out, ...) with (i-1)*stride - lo - hi + dilation*(k-1) + 1 + output_padding on each axis, of the
        dtype of `input`. float16 and bfloat16 are summed in float32 and rounded once.

    Raises:
        TconvError: arguments that do not fit; the message says what would. It is a RuntimeError, too.

    >>> x, weight = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.ones(1, 1, 3, 3)
    >>> conv_transpose2d(x, weight, stride=2, padding=1, output_padding=1)[0, 0]
    tensor([[ 1.,  3.,  2.,  2.],
            [ 4., 10.,  6.,  6.],
            [ 3.,  7.,  4.,  4.],
            [ 3.,  7.,  4.,  4.]])
    """
    return _conv_transpose(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation, activation
    )


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
    *,
    activation: Activation = None,
) -> Tensor:
    """Transposed convolution over three axes; see `conv_transpose2d`.

    >>> conv_transpose3d(torch.ones(1, 2, 4, 4, 4), torch.ones(2, 5, 2, 2, 2), stride=2).shape
    torch.Size([1, 5, 8, 8, 8])
    """
    return _conv_transpose(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation, activation
    )


_OURS: dict[int, Callable[..., Tensor]] = {1: conv_transpose1d, 2: conv_transpose2d, 3: conv_transpose3d}


@raising_runtime_errors
def _conv_transpose(
    axes: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
    activation: Any,
) -> Tensor:
    call: Callable[..., Tensor] = ConvTranspose.direct
    spelled: Callable[..., Any] = options
    after = activation if activation is None or slopes_of(activation) is not None else checked(activation)
    if not plain(x, weight, bias) or x.dtype not in DTYPES:
        given = (stride, padding, output_padding, groups, dilation)
        tensors = (x, weight) if bias is None else (x, weight, bias)
        if has_torch_function(tensors):
            result: Tensor = handle_torch_function(
                _OURS[axes], tensors, x, weight, bias, *given, activation=after
            )
            return result
        if not _taken(tensors):
            call = composed
        else:
            x, weight, bias = _autocast(x), _autocast(weight), bias if bias is None else _autocast(bias)
            call = ConvTranspose.call
            if torch.compiler.is_compiling():  # which can trace neither a cache nor an autograd function
                call = torch.ops.tconv.conv_transpose
        if torch.compiler.is_compiling():
            spelled = spelled_out
    elif after is not None and not transformed():
        fused = _fused(after, x, weight, bias)
        if fused is not None:
            call, after = fused, None
    if isinstance(padding, str):  # a weight of another rank is refused below
        padding = in_numbers(padding, weight.shape[2:], stride, dilation) if weight.dim() == axes + 2 else 0
    try:
        each = spelled(axes, stride, padding, output_padding, dilation, groups)
    except TypeError:  # neither a list nor a symbolic size can be a key
        each = spelled_out(axes, stride, padding, output_padding, dilation, groups)
    if x.dim() == axes + 1:
        result = call(x.unsqueeze(0), weight, bias, *each).squeeze(0)
    else:
        result = call(x, weight, bias, *each)
    return result if after is None else activate(after, result, axes)


def _fused(activation: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Callable[..., Tensor] | None:
    """The call with the activation in the epilogue; None if its gradient needs it as a separate operator."""
    slopes = slopes_of(activation)
    if slopes is None and from_output(activation):
        return lambda *args: Activated.direct(*args, activation)
    if recorded(x, weight, bias):
        return None
    if slopes is not None:
        if not plain(slopes, slopes, None) or recorded(slopes, slopes, None):
            return None
        activation = checked(("prelu", *slopes.reshape(-1).tolist()))
    return lambda *args: eager.conv_transpose(*args, activation)


def _taken(tensors: tuple[Any, ...]) -> bool:
    """Whether the engine computes these tensors; the others are computed or refused by PyTorch."""
    for name, tensor in zip(("input", "weight", "bias"), tensors, strict=False):
        if not isinstance(tensor, Tensor):
            raise TconvError(f"{name} is a {type(tensor).__name__}; a torch.Tensor would fit")
    if torch.compiler.is_compiling():
        if torch._C._are_functorch_transforms_active():
            return False
    elif torch._C._get_tracing_state() is not None and torch.onnx.is_in_onnx_export():
        return False  # the exporter by TorchScript knows only PyTorch's operators
    return all(
        tensor.is_cpu and tensor.layout is torch.strided and not tensor.is_nested and tensor.dtype in DTYPES
        for tensor in tensors
    )


def _autocast(tensor: Tensor) -> Tensor:
    """`tensor` as CPU autocast passes it to a convolution: floats in its dtype, float64 unchanged."""
    if torch.is_autocast_enabled("cpu") and tensor.is_floating_point() and tensor.dtype is not torch.float64:
        return tensor.to(torch.get_autocast_dtype("cpu"))
    return tensor
