"""The way back through each operator of a `Tape`: its transpose, and the part of its input that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from tconv.errors import TconvError
from tconv.nets.tape import Call, place, tensors
from tconv.torch import conv_transpose1d, conv_transpose2d, conv_transpose3d

__all__ = ["Window", "guided", "joined", "read_by", "transposed"]

_TRANSPOSED = {3: conv_transpose1d, 4: conv_transpose2d, 5: conv_transpose3d}  # by the weight's axes
#: Linear in all their live operands together. Their transposes are PyTorch's own gradients.
_LINEAR = {
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "_to_copy", "_unsafe_view", "add", "alias", "avg_pool2d",
    "avg_pool3d", "cat", "clone", "constant_pad_nd", "detach", "expand", "flip", "mean", "neg", "permute",
    "pixel_shuffle", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d",
    "replication_pad3d", "rsub", "select", "slice", "split", "split_with_sizes", "squeeze", "stack", "sub",
    "sum", "t", "transpose", "unsqueeze", "upsample_bicubic2d", "upsample_bilinear2d", "upsample_nearest1d",
    "upsample_nearest2d", "upsample_nearest3d", "view",
}  # fmt: skip
#: Linear in one live operand if the others are constant.
_PRODUCTS = {"addmm", "bmm", "conv_transpose", "convolution", "div", "mm", "mul"}
_MAX_POOLS = {"max_pool2d_with_indices", "max_pool3d_with_indices"}
_SWITCHES = _MAX_POOLS | {"adaptive_max_pool2d", "adaptive_max_pool3d"}
_SLIDING = _MAX_POOLS | {"avg_pool2d", "avg_pool3d"}
#: Keep every position where it is.
_POINTWISE = {
    "_to_copy", "add", "alias", "clone", "detach", "div", "mul", "native_batch_norm", "neg", "rsub", "sub",
}  # fmt: skip

Grads: TypeAlias = Sequence[Tensor | None]
Window: TypeAlias = tuple[tuple[int, int], ...]


def transposed(call: Call, grads: Grads) -> list[Tensor | None]:
    """From what arrives at a call's outputs to its live inputs, as Zeiler & Fergus (2014) go back.

    A convolution becomes the transposed one with the same filters, by this project's engine.  A maximum goes
    to where it came from (the switch), and is added there if windows overlap.  A ReLU lets through what is
    positive on the way back, whatever its input was.  Other linear operators become their transpose.

    Raises:
        TconvError: there is no such way back through the operator.
    """
    if call.rectifies:
        return [torch.relu(grad) for grad in grads if grad is not None]
    if call.name in _SWITCHES and grads[0] is not None:
        return [_unpooled(call, grads[0])]
    if _convolves(call) and grads[0] is not None:
        return [_convolved_back(call, grads[0])]
    if _linear(call):
        return _gradients(call, grads)
    raise TconvError(
        f"{place(call.where)}{call.name} is on the way back, which leads through convolutions, ReLU, ReLU6, "
        "pooling, batch norms with running statistics, padding, resizing, sums, concatenations and "
        "constant factors"
    )


def guided(call: Call, grads: Grads) -> list[Tensor | None]:
    """As `transposed`, but a ReLU also stops what it stopped forward (Springenberg et al. 2015)."""
    back, positive = transposed(call, grads), call.positive
    return back if positive is None else [None if grad is None else grad * positive for grad in back]


def _linear(call: Call) -> bool:
    """Whether a call is linear in its live operands, up to a constant."""
    if not all(output.is_floating_point() for output in call.outputs):
        return False
    if call.name == "native_batch_norm":
        return len(call.inputs) == 1 and not call.args[5]  # with the running mean and variance
    if call.name in _PRODUCTS:
        return len(call.inputs) == 1 and (call.name != "div" or call.args[0] is call.inputs[0])
    return call.name in _LINEAR


def _unpooled(call: Call, grad: Tensor) -> Tensor:
    source, switches = call.inputs[0], call.outputs[1]
    axes = 3 if "3d" in call.name else 2
    flat = torch.zeros_like(source, memory_format=torch.contiguous_format).flatten(-axes)
    return flat.scatter_add_(-1, switches.flatten(-axes), grad.flatten(-axes)).view(source.shape)


def _convolves(call: Call) -> bool:
    """A convolution of a live tensor with constant filters, not a transposed one."""
    return (
        call.name == "convolution"
        and len(call.inputs) == 1
        and call.args[0] is call.inputs[0]
        and not call.args[6]
    )


def _convolved_back(call: Call, grad: Tensor) -> Tensor:
    source, weight, _, stride, padding, dilation, _, _, groups = call.args
    sizes = [
        (out - 1) * s - 2 * p + d * (k - 1) + 1
        for out, s, p, d, k in zip(grad.shape[2:], stride, padding, dilation, weight.shape[2:], strict=True)
    ]
    # A stride may leave the last cells of the input unread; they get zeros.
    rest = [size - made for size, made in zip(source.shape[2:], sizes, strict=True)]
    return _TRANSPOSED[weight.dim()](grad, weight, None, stride, padding, rest, groups, dilation)


def _gradients(call: Call, grads: Grads) -> list[Tensor | None]:
    """The transpose of a linear operator: its gradients, which do not depend on its operands' values."""
    with torch.enable_grad():
        leaves = {id(t): t.detach().clone().requires_grad_() for t in call.inputs}
        # An operator in place writes to its operand, which must not be a leaf.
        fresh = {
            key: leaf.clone() if call.operator._schema.is_mutable else leaf for key, leaf in leaves.items()
        }
        args, kwargs = tree_map(
            lambda value: fresh.get(id(value), value) if isinstance(value, Tensor) else value,
            (call.args, call.kwargs),
        )
        made = list(tensors(call.operator(*args, **kwargs)))
        pairs = [(out, grad) for out, grad in zip(made, grads, strict=True) if grad is not None]
        found = torch.autograd.grad(
            [out for out, _ in pairs], list(leaves.values()), [grad for _, grad in pairs], allow_unused=True
        )
    # A tensor that is an operand twice, as in x + x, has one gradient.
    once = dict(zip(leaves, found, strict=True))
    return [once.pop(id(tensor), None) for tensor in call.inputs]


def read_by(call: Call, windows: Sequence[Window | None]) -> list[Window | None]:
    """The part of each live input that a window of the outputs depends on: (first, last) per spatial axis.

    Exact for convolutions, pooling, padding and what works position by position; otherwise the whole input.
    """
    window = next(window for window in windows if window is not None)
    return [_read(call, window, call.outputs[0].shape[2:], tensor.shape[2:]) for tensor in call.inputs]


def _read(call: Call, window: Window, made: Sequence[int], sizes: Sequence[int]) -> Window:
    read: Sequence[tuple[int, int]] = [(0, size - 1) for size in sizes]
    if len(window) == len(sizes):
        if (call.name in _POINTWISE or call.rectifies) and made == sizes:
            read = window
        elif call.name == "constant_pad_nd":
            before = [*[0] * len(sizes), *reversed(call.args[1][::2])][-len(sizes) :]
            read = [(first - pad, last - pad) for (first, last), pad in zip(window, before, strict=True)]
        elif _convolves(call) or call.name in _SLIDING:
            axes = zip(window, *_sliding(call), strict=True)
            read = [(i * s - p, j * s - p + d * (k - 1)) for (i, j), k, s, p, d in axes]
    return tuple((max(i, 0), min(j, size - 1)) for (i, j), size in zip(read, sizes, strict=True))


def joined(one: Window, other: Window) -> Window:
    """The smallest window that contains both."""
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))


def _sliding(call: Call) -> list[list[int]]:
    """Kernel, stride, padding and dilation of a convolution or pooling, each with one number per axis."""
    if call.name == "convolution":
        options = [call.args[1].shape[2:], *call.args[3:6]]
    else:
        kernel, stride, padding, dilation = (*call.args[1:], *[None] * 4)[:4]
        dilation = dilation if call.name.startswith("max") else 1
        options = [kernel, stride or kernel, padding or 0, dilation or 1]
    axes = call.inputs[0].dim() - 2
    listed = [[value] if isinstance(value, int) else list(value) for value in options]
    return [value * axes if len(value) == 1 else value for value in listed]
