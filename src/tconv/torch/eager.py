"""The three maps on plain CPU tensors, by address: without dispatcher and autograd.

All tensors have a batch axis. Where gradients are needed, `maps` records these calls.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from tconv._core import as_bfloat16
from tconv.ops.arrays import allocate
from tconv.ops.execute import execute
from tconv.torch import call_cache
from tconv.torch.call_cache import TensorCall, channels_last

__all__ = [
    "conv",
    "conv_transpose",
    "correlated_job",
    "empty",
    "strided_job",
    "transposed_job",
    "weight_gradient",
]

#: From about this size on, memory returns to the system when a tensor dies, and every page of the next one
#: is a fault (33 MB: 7 ms). The engine's cache of blocks keeps it; such tensors cannot be resized in place.
_FROM_CACHE = 16 << 20


def empty(job: TensorCall) -> Tensor:
    """Memory for the job's output, in its memory order."""
    if prod(job.shape) * job.array.itemsize < _FROM_CACHE:
        result = torch.empty(job.shape, dtype=job.dtype)
    else:
        array = allocate(job.plan.geometry, job.shape, job.array)
        brain = job.dtype is torch.bfloat16
        result = from_dlpack(as_bfloat16(array)) if brain else torch.from_numpy(array)
    # Not a view: a view from inside an autograd function cannot be changed in place, as nn.ReLU(True) does.
    return result.movedim(-1, 1).data if job.last else result


def _run(job: TensorCall, source: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    target = empty(job)
    if not target.numel():
        return target
    if not (source.numel() and weight.numel()):  # sums of no terms
        target.zero_()
    else:
        # These names keep the tensors alive while their addresses are in use.
        source = source.contiguous(memory_format=job.formats[0])
        weight = weight.contiguous(memory_format=job.formats[1])
        bias = bias if bias is None else bias.contiguous()
        at = None if bias is None else bias.data_ptr()
        execute(job.plan, source.data_ptr(), weight.data_ptr(), at, target.data_ptr())
    return target


def transposed_job(x: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> TensorCall:
    """The job of `conv_transpose` on these tensors."""
    if bias is None:
        return call_cache.transposed(
            x.shape, weight.shape, None, (x.dtype, weight.dtype), channels_last(x), *options
        )
    dtypes = x.dtype, weight.dtype, bias.dtype
    return call_cache.transposed(x.shape, weight.shape, bias.shape, dtypes, channels_last(x), *options)


def strided_job(y: Tensor, weight: Tensor, *options: Any) -> TensorCall:
    """The job of `conv` on these tensors."""
    return call_cache.strided(y.shape, weight.shape, (y.dtype, weight.dtype), channels_last(y), *options)


def correlated_job(x: Tensor, y: Tensor, *options: Any) -> TensorCall:
    """The job of `weight_gradient` on these tensors."""
    last = channels_last(x) and channels_last(y)  # else both are read channels first
    return call_cache.correlated(x.shape, y.shape, (x.dtype, y.dtype), last, *options)


def conv_transpose(x: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
    """(n, c_in, *input) and (c_in, c_out/groups, *kernel) to (n, c_out, *output).

    `options` are stride, padding, output_padding, dilation, groups and, fused, an activation.
    """
    return _run(transposed_job(x, weight, bias, *options), x, weight, bias)


def conv(y: Tensor, weight: Tensor, *options: Any) -> Tensor:
    """(n, c_out, *output) and (c_in, c_out/groups, *kernel) to (n, c_in, *size).

    `options` are stride, padding, dilation, groups and size.
    """
    return _run(strided_job(y, weight, *options), y, weight)


def weight_gradient(x: Tensor, y: Tensor, *options: Any) -> Tensor:
    """(n, c_in, *input) and (n, c_out, *output) to (c_in, c_out/groups, *kernel).

    `options` are kernel, stride, padding, dilation and groups.
    """
    return _run(correlated_job(x, y, *options), x, y)
