"""The three maps with their gradients; the gradients of each map are the other two.

With A the matrix of the convolution that a layer transposes, and x, weight, y as in `tconv.ops`, all three
are bilinear and never conjugate:

    conv_transpose   y = A(weight)^T x      gradients: conv(y', weight*),  weight_gradient(x*, y')
    conv             x = A(weight) y        gradients: conv_transpose(x', weight*),  weight_gradient(x', y*)
    weight_gradient  w = x correlated y     gradients: conv(y*, w'),  conv_transpose(x*, w')

where ' is the gradient with respect to the output and * the complex conjugate. Double backward needs no more
formulas.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor
from torch.autograd import Function

from tconv.torch import eager
from tconv.torch.activations import gradient
from tconv.torch.batching import Batched, batched_layer, into_groups
from tconv.torch.call_cache import Ints, channels_last, memory_format
from tconv.torch.fast_path import plain, recorded, transformed

__all__ = ["Activated", "Conv", "ConvTranspose", "Map", "WeightGradient"]

#: Gradients, one per argument of the forward; None where there is none.
Gradients = tuple[Tensor | None, ...]


class Map(Function):
    """A map that is linear in each of its first two arguments.

    PyTorch calls the methods `forward` to `vmap` by name, from autograd, torch.func and forward-mode
    differentiation.
    """

    name: ClassVar[str]  #: of the registered operator
    compute: ClassVar[Callable[..., Tensor]]  #: on plain tensors
    dispatched: ClassVar[Callable[..., Tensor]]  #: by the registered operator
    keeps_answer: ClassVar[bool] = False  #: whether its gradients need it

    @classmethod
    def call(cls, *args: Any) -> Tensor:
        """The map by the fastest path that keeps PyTorch's guarantees."""
        if plain(*_tensors(args)):
            return cls.direct(*args)
        if transformed():
            made: Tensor = cls.apply(*args)  # type: ignore[no-untyped-call]
            return made
        return cls.dispatched(*args)

    @classmethod
    def direct(cls, *args: Any) -> Tensor:
        """The map on plain tensors, recorded where a gradient is needed."""
        if recorded(*_tensors(args)):
            # Not by Function.apply, which takes 10 us to bind the arguments to the signature.
            made: Tensor = super(Function, cls).apply(*args)  # type: ignore[misc]
            return made
        return cls.compute(*args)

    @classmethod
    def forward(cls, *args: Any) -> Tensor:
        """The map where another mechanism records it."""
        return (cls.compute if plain(*_tensors(args)) else cls.dispatched)(*args)

    @classmethod
    def setup_context(cls, ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Save each factor that the gradient of the other one needs, and no more."""
        first, second = inputs[:2]
        first_needed, second_needed = ctx.needs_input_grad[:2]
        answer = (output,) if cls.keeps_answer else ()
        ctx.save_for_backward(first if second_needed else None, second if first_needed else None, *answer)
        ctx.sizes = first.shape[2:], second.shape[2:]
        ctx.options = inputs[2:]
        # Gradients have the memory format of the forward's input, as in PyTorch.
        ctx.last = _order(first)
        if transformed():
            ctx.save_for_forward(first, second)
            ctx.made = output.shape

    @classmethod
    def jvp(cls, ctx: Any, first: Tensor | None, second: Tensor | None, *others: Tensor | None) -> Tensor:
        """The tangent of the output, by linearity in each argument."""
        a, b = ctx.saved_tensors
        tangent: Tensor = a.new_zeros(ctx.made)
        bias, *_ = others
        if bias is not None:
            tangent = tangent + bias.reshape(-1, *(1,) * (tangent.dim() - 2))
        options = [None if isinstance(option, Tensor) else option for option in ctx.options]  # no bias
        if first is not None:
            tangent = tangent + cls.call(first, b, *options)
        if second is not None:
            tangent = tangent + cls.call(a, second, *options)
        return tangent


def _tensors(args: tuple[Any, ...]) -> tuple[Tensor, Tensor, Tensor | None]:
    third = args[2]  # the bias, or an option
    return args[0], args[1], third if isinstance(third, Tensor) else None


def _conjugate(tensor: Tensor) -> Tensor:
    # Resolved at once: a lazy conjugate is not a plain tensor.
    return tensor.conj_physical() if tensor.is_complex() else tensor


def _order(tensor: Tensor) -> bool | None:
    """Whether channels come last in memory; None where a transform hides the strides."""
    return None if transformed() or is_legacy_batchedtensor(tensor) else channels_last(tensor)


def _in_format(grad: Tensor, last: bool | None) -> Tensor:
    """`grad` with channels last in memory or first; unchanged where that is not known (None)."""
    if last is None or _order(grad) in (None, last):
        return grad
    return grad.clone(memory_format=memory_format(grad.dim(), last))


class ConvTranspose(Map):
    """y from (x, weight, bias, stride, padding, output_padding, dilation, groups)."""

    name = "conv_transpose"
    compute = staticmethod(eager.conv_transpose)
    dispatched = staticmethod(lambda *args: torch.ops.tconv.conv_transpose(*args))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        x, weight = ctx.saved_tensors
        return ConvTranspose.gradients(ctx, grad, x, weight)

    @staticmethod
    def gradients(ctx: Any, grad: Tensor, x: Any, weight: Any) -> Gradients:
        """From saved tensors, which a backward may read only once: non-reentrant checkpoints refuse more."""
        (sizes, kernel), (_, stride, padding, _, dilation, groups, *_) = ctx.sizes, ctx.options
        grad = _in_format(grad, ctx.last)
        for_x = for_weight = for_bias = None
        if ctx.needs_input_grad[0]:
            for_x = Conv.call(grad, _conjugate(weight), stride, padding, dilation, groups, sizes)
        if ctx.needs_input_grad[1]:
            for_weight = WeightGradient.call(_conjugate(x), grad, kernel, stride, padding, dilation, groups)
        if ctx.needs_input_grad[2]:
            for_bias = grad.sum((0, *range(2, grad.dim())))
        return for_x, for_weight, for_bias, None, None, None, None, None

    @staticmethod
    def vmap(info: Any, axes: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Batched:
        *before, groups = options
        made = batched_layer(ConvTranspose.call, info, axes, x, weight, (None, *before), groups, ())
        if bias is not None:
            each = bias.unsqueeze(0) if axes[2] is None else bias.movedim(axes[2], 0)
            made = made + each.reshape(each.shape[0], 1, -1, *(1,) * (made.dim() - 3))
        return made, 0


class Activated(ConvTranspose):
    """activation(y) from (x, weight, bias, stride, ..., groups, activation), fused; only for `direct`."""

    keeps_answer = True

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        x, weight, y = ctx.saved_tensors
        return *ConvTranspose.gradients(ctx, gradient(ctx.options[-1], grad, y), x, weight), None


class Conv(Map):
    """x from (y, weight, stride, padding, dilation, groups, size)."""

    name = "conv"
    compute = staticmethod(eager.conv)
    dispatched = staticmethod(lambda *args: torch.ops.tconv.conv(*args))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        y, weight = ctx.saved_tensors
        (sizes, kernel), (*options, _) = ctx.sizes, ctx.options
        grad = _in_format(grad, ctx.last)
        for_y = for_weight = None
        if ctx.needs_input_grad[0]:
            for_y = _transposed_to(sizes, grad, _conjugate(weight), *options)
        if ctx.needs_input_grad[1]:
            for_weight = WeightGradient.call(grad, _conjugate(y), kernel, *options)
        return for_y, for_weight, None, None, None, None, None

    @staticmethod
    def vmap(info: Any, axes: Any, y: Tensor, weight: Tensor, *options: Any) -> Batched:
        *before, groups, size = options
        return batched_layer(Conv.call, info, axes, y, weight, before, groups, (size,)), 0


class WeightGradient(Map):
    """weight from (x, y, kernel, stride, padding, dilation, groups)."""

    name = "weight_gradient"
    compute = staticmethod(eager.weight_gradient)
    dispatched = staticmethod(lambda *args: torch.ops.tconv.weight_gradient(*args))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        x, y = ctx.saved_tensors
        (x_sizes, y_sizes), (_, *options) = ctx.sizes, ctx.options
        for_x = for_y = None
        if ctx.needs_input_grad[0]:
            for_x = Conv.call(_conjugate(y), grad, *options, x_sizes)
        if ctx.needs_input_grad[1]:
            for_y = _transposed_to(y_sizes, _conjugate(x), grad, *options)
        return for_x, for_y, None, None, None, None, None

    @staticmethod
    def vmap(info: Any, axes: Any, x: Tensor, y: Tensor, *options: Any) -> Batched:
        count = info.batch_size
        *before, groups = options
        wide = into_groups(x, axes[0], count), into_groups(y, axes[1], count)
        made = WeightGradient.call(*wide, *before, groups * count)
        return made.reshape(count, made.shape[0] // count, *made.shape[1:]), 0


def _transposed_to(
    sizes: Ints, x: Tensor, weight: Tensor, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Tensor:
    """`conv_transpose` with the output padding that gives these spatial sizes."""
    los, his = padding[: len(stride)], padding[-len(stride) :]
    axes = zip(sizes, x.shape[2:], weight.shape[2:], stride, los, his, dilation, strict=True)
    extra = tuple(size - ((i - 1) * s - lo - hi + d * (k - 1) + 1) for size, i, k, s, lo, hi, d in axes)
    return ConvTranspose.call(x, weight, None, stride, padding, extra, dilation, groups)
