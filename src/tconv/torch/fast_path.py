"""Whether a call may take the fast path: real CPU tensors, and nothing that watches or rewrites calls."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._C import (
    _are_functorch_transforms_active,
    _dispatch_keys,
    _get_tracing_state,
    _is_any_autocast_enabled,
    _len_torch_dispatch_stack,
    _len_torch_function_stack,
)
from torch._C._autograd import _profiler_enabled
from torch.autograd import forward_ad
from torch.nn import Parameter

__all__ = ["plain", "recorded", "transformed"]

_TYPES = frozenset((Tensor, Parameter))


def _keys_of_plain_tensors() -> frozenset[int]:
    """The dispatch keys of a dense CPU tensor, made in inference mode or not.

    Every other property changes them: another device or layout, quantised, nested, a lazy conjugate or
    negative, zeros without memory, a functorch wrapper, a subclass with its own rules.
    """
    usual = torch.empty(0, device="cpu")
    with torch.inference_mode():
        return frozenset(_dispatch_keys(t).raw_repr() for t in (usual, torch.empty(0, device="cpu")))


_PLAIN = _keys_of_plain_tensors()


def plain(first: Tensor, second: Tensor, third: Tensor | None) -> bool:
    """Whether dense CPU tensors meet no compiler, tracer, profiler, autocast, functorch transform or mode."""
    return not (
        torch.compiler.is_compiling()
        or type(first) not in _TYPES
        or type(second) not in _TYPES
        or _len_torch_dispatch_stack()
        or _len_torch_function_stack()
        or _are_functorch_transforms_active()
        or _is_any_autocast_enabled()
        or _get_tracing_state() is not None
        or _profiler_enabled()
        or _dispatch_keys(first).raw_repr() not in _PLAIN
        or _dispatch_keys(second).raw_repr() not in _PLAIN
        or (
            third is not None
            and (type(third) not in _TYPES or _dispatch_keys(third).raw_repr() not in _PLAIN)
        )
    )


def transformed() -> bool:
    """Whether torch.func transforms or tangents (torch.autograd.forward_ad) are active."""
    return _are_functorch_transforms_active() or forward_ad._current_level >= 0


def recorded(first: Tensor, second: Tensor, third: Tensor | None) -> bool:
    """Whether autograd must record a call on these tensors."""
    if forward_ad._current_level >= 0:
        return True
    return torch.is_grad_enabled() and (
        first.requires_grad or second.requires_grad or (third is not None and third.requires_grad)
    )
