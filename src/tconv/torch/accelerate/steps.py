"""What may follow a layer and become part of it, as calls of PyTorch's functions: one reading for both uses.

`watching` reads the calls of a run to see what follows, `pending` those of later runs to see if it is that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tconv.torch.accelerate.activations import Call, spelled

__all__ = ["FREE", "Step", "is_in_place", "is_unchanged", "read"]


class Step(NamedTuple):
    """A step after a layer; two are equal if they compute the same."""

    kind: str  #: "norm", "activation" or "crop"
    key: Any  #: the module; the activation; how much is cut at both ends of each axis
    name: str  #: in the table


_PROPERTIES = (
    "shape", "dtype", "device", "ndim", "layout", "is_cuda", "is_nested", "is_quantized", "is_sparse",
    "is_cpu", "is_meta", "is_leaf", "grad_fn", "requires_grad", "itemsize", "nbytes", "is_mkldnn", "is_mps",
    "is_xpu",
)  # fmt: skip
_METHODS = (
    "size", "dim", "ndimension", "numel", "nelement", "stride", "is_contiguous", "is_floating_point",
    "is_complex", "storage_offset", "element_size", "get_device", "is_inference", "is_signed", "__len__",
)  # fmt: skip

#: What tells about a tensor without its numbers.
FREE = frozenset(
    (
        *(getattr(Tensor, name).__get__ for name in _PROPERTIES),
        *(getattr(Tensor, name) for name in _METHODS),
        torch.is_floating_point,
        torch.is_complex,
        torch.numel,
    )
)

_DROPOUTS = (
    functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d,
    functional.alpha_dropout, functional.feature_alpha_dropout,
)  # fmt: skip


def is_unchanged(x: Tensor, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether `func` returns the very tensor `x`, its first argument: dropout in evaluation and the like."""
    if func in _DROPOUTS:
        training = args[2] if len(args) > 2 else kwargs.get("training", func is not _DROPOUTS[4])
        return training is False
    if func is Tensor.contiguous:
        return x.is_contiguous(memory_format=kwargs.get("memory_format", torch.contiguous_format))
    if func is Tensor.float:
        return x.dtype is torch.float32 and not kwargs
    if func is Tensor.to:
        wanted = args[1:]
        return not kwargs and len(wanted) == 1 and (wanted[0] is x.dtype or wanted[0] == x.device)
    return False


def is_in_place(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call that `read` knows writes into its first argument."""
    name: str = getattr(func, "__name__", "")
    if name.endswith("_") and not name.endswith("__"):
        return True
    return kwargs.get("inplace") is True or (
        func in _INPLACE and len(args) > _INPLACE[func] and args[_INPLACE[func]] is True
    )


_INPLACE = {
    functional.relu: 1, functional.leaky_relu: 2, functional.relu6: 1, functional.hardtanh: 3,
    functional.elu: 2, functional.silu: 1, functional.hardswish: 1,
    functional.mish: 1,
}  # fmt: skip

_NORM = ("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")


def read(
    x: Tensor,
    func: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    norm_of: Callable[[Any], Any],
) -> Step | None:
    """The step that `func(x, ...)` is, or None.

    `norm_of` gives the module that has these running means, or None.
    """
    if func is functional.batch_norm:
        return _norm(args, kwargs, norm_of)
    if func is Tensor.__getitem__:
        cut = _cut(x.shape, args[1])
        return None if cut is None else Step("crop", cut, "slice")
    activation = spelled(Call(func, tuple(args[1:]), dict(kwargs)))
    if activation is None:
        return None
    return Step("activation", activation, f"{getattr(func, '__name__', func)}()")


def _norm(args: Sequence[Any], kwargs: Mapping[str, Any], norm_of: Callable[[Any], Any]) -> Step | None:
    given = {
        "weight": None, "bias": None, "training": False, "momentum": 0.1, "eps": 1e-5,
        **dict(zip(_NORM, args[1:], strict=False)), **kwargs,
    }  # fmt: skip
    norm = norm_of(given.get("running_mean"))
    if norm is None or given["training"] is not False or norm.training or given["eps"] != norm.eps:
        return None
    if any(given.get(name) is not getattr(norm, name) for name in _NORM[:4]):
        return None
    return Step("norm", norm, type(norm).__name__)


def _cut(shape: Sequence[int], index: Any) -> tuple[tuple[int, int], ...] | None:
    """How much an index of slices cuts at both ends of each spatial axis; None for any other index."""
    each = index if isinstance(index, tuple) else (index,)
    if sum(part is Ellipsis for part in each) > 1 or not all(
        part is Ellipsis or (isinstance(part, slice) and part.step in (None, 1)) for part in each
    ):
        return None
    if not all(
        isinstance(end, int | None) and not isinstance(end, bool)
        for part in each
        if isinstance(part, slice)
        for end in (part.start, part.stop)
    ):
        return None
    at = each.index(Ellipsis) if Ellipsis in each else len(each)
    near, far = each[:at], each[at + 1 :]
    if len(near) + len(far) > len(shape):
        return None
    parts = [*near, *[slice(None)] * (len(shape) - len(near) - len(far)), *far]
    cut = []
    for size, part in zip(shape, parts, strict=True):
        start, stop, _ = part.indices(size)
        if start >= stop:
            return None
        cut.append((start, size - stop))
    if any(ends != (0, 0) for ends in cut[:2]) or all(ends == (0, 0) for ends in cut):
        return None
    return tuple(cut[2:])
