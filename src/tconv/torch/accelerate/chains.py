"""Consecutive parts that become one call: [upsampling] layer [BatchNorm] [activation].

A chain computes in one call if that gives exactly the output of its parts: real CPU tensors, no observers
(hooks, compilers, tracers, autocast), no gradients of folded parts. In all other cases, such as training, it
runs its parts one by one. So nothing has to be undone when a model returns to training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.nn.utils.weight_norm import WeightNorm

from tconv.planning import Activation, Plan
from tconv.torch import functional
from tconv.torch.accelerate.activations import spelled
from tconv.torch.accelerate.packed import Packed, is_plain, sources
from tconv.torch.call_cache import channels_last
from tconv.torch.fast_path import plain, recorded, transformed

__all__ = ["NORMS", "Chain"]

#: With the number of axes of each.
NORMS: dict[type[nn.Module], int] = {nn.BatchNorm1d: 1, nn.BatchNorm2d: 2, nn.BatchNorm3d: 3}

_GLOBAL_HOOKS = tuple(
    getattr(modules, f"_global_{name}")
    for name in ("forward_pre_hooks", "forward_hooks", "backward_pre_hooks", "backward_hooks")
)
_DTYPES = (torch.float32, torch.float64, torch.float16)  #: that NumPy has, too
_FUNCTIONS = functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d


class Chain:
    """One call for `parts`; for a single part, a layer whose weights are packed once."""

    def __init__(
        self,
        parts: Sequence[Any],
        layer: Any,
        norm: Any = None,
        activation: Any = None,
        factor: tuple[int, ...] | None = None,
    ) -> None:
        """`layer`, `norm` and `activation` are parts; `factor` is that of upsampling before a convolution."""
        self.parts, self.layer, self.norm, self.activation = tuple(parts), layer, norm, activation
        self.factor = factor
        self.active = True  #: if False, the parts are run
        self.axes = len(layer.kernel_size)
        #: The hooks of a single layer have already been called when its forward runs.
        self._watched = [part for part in parts if isinstance(part, nn.Module)] if len(parts) > 1 else []
        self.packed = Packed()

    def __call__(self, x: Any) -> Any:
        """The output of the parts for `x`."""
        made = self.run(x)
        if made is None:
            made = x
            for part in self.parts:
                made = part(made)
        return made

    def run(self, x: Any) -> Tensor | None:
        """The output in one call, or None if the parts have to be run."""
        if (
            not self.active
            or not isinstance(x, Tensor)  # a tracer's proxy
            or not plain(x, x, None)
            or x.dim() != self.axes + 2
            or any(map(_watched, self._watched))
            or (self._watched and any(_GLOBAL_HOOKS))
        ):
            return None
        if self.layer.training:
            self.packed.clear()
        norm = self.norm
        if norm is not None and (norm.training or norm.running_mean is None):
            return None
        activation, tensors = self._fused(), sources(self.layer, norm)
        if recorded(x, x, None) or any(recorded(tensor, x, None) for tensor in tensors):
            return self._differentiable(x, activation)
        if self.layer.training or x.dtype not in _DTYPES or not x.numel() or transformed():
            return None
        return self.packed.run(self, tensors, x, activation, channels_last(x))

    def plan_for(self, x: Tensor) -> Plan | None:
        """The plan by which `x` is computed in evaluation, with packed weights; None if the parts run."""
        if x.dtype not in _DTYPES or not x.numel() or not plain(x, x, None):
            return None
        tensors = sources(self.layer, self.norm)
        found = self.packed.ready(self, tensors, x, self._fused(), channels_last(x))
        return None if found is None else found[0].plan

    def _fused(self) -> Activation:
        """The activation in the epilogue."""
        own: Activation = vars(self.layer).get("activation")  # which tconv's layers may have
        return spelled(self.activation) if own is None else own

    def _differentiable(self, x: Tensor, activation: Activation) -> Tensor | None:
        """The layer with its activation fused, for autograd to record."""
        layer = self.layer
        alone = self.norm is None and self.factor is None and self.activation is not None
        if not alone or _hooks(layer) or not is_plain(layer):
            return None
        return _FUNCTIONS[self.axes - 1](
            x, layer.weight, layer.bias, layer.stride, layer.padding, layer.output_padding, layer.groups,
            layer.dilation, activation=activation,
        )  # fmt: skip


def _hooks(module: Any) -> bool:
    return bool(
        module._forward_pre_hooks
        or module._forward_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def _watched(module: Any) -> bool:
    """Whether calls of `module` are observed; a weight_norm that is a hook only uses weights."""
    before = module._forward_pre_hooks
    if before and all(type(hook) is WeightNorm for hook in before.values()):
        return bool(module._forward_hooks or module._backward_hooks or module._backward_pre_hooks)
    return _hooks(module)
