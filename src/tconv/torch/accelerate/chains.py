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
from torch.nn.utils.weight_norm import WeightNorm

from tconv.planning import Activation, Plan
from tconv.torch import functional
from tconv.torch.accelerate.activations import slopes, spelled
from tconv.torch.accelerate.functions import CalledLayer
from tconv.torch.accelerate.opening import GLOBAL_HOOKS, hooked, is_idle
from tconv.torch.accelerate.packed import Job, Packed, computed, is_plain, sources
from tconv.torch.accelerate.pending import Following
from tconv.torch.call_cache import channels_last
from tconv.torch.fast_path import plain, recorded, transformed

__all__ = ["NORMS", "Chain"]

#: With the numbers of axes that each takes.
NORMS: dict[type[nn.Module], tuple[int, ...]] = {
    nn.BatchNorm1d: (1,),
    nn.BatchNorm2d: (2,),
    nn.BatchNorm3d: (3,),
    nn.SyncBatchNorm: (1, 2, 3),
}

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
        crop: tuple[tuple[int, int], ...] | None = None,
    ) -> None:
        """`layer`, `norm` and `activation` are parts; `factor` is that of upsampling before a convolution.

        `crop` is cut at both ends of each axis.
        """
        self.parts, self.layer, self.norm, self.activation = tuple(parts), layer, norm, activation
        self.factor, self.crop = factor, crop
        self.following: Following | None = None  #: what an example has shown to follow
        self.active = True  #: if False, the parts are run
        self.axes = len(layer.kernel_size)
        #: The hooks of a single layer have already been called when its forward runs.
        self._watched = [part for part in parts if isinstance(part, nn.Module)] if len(parts) > 1 else []
        self._idle = [part for part in parts if is_idle(part)]  #: as long as they are in evaluation
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
            or (self._watched and any(GLOBAL_HOOKS))
        ):
            return None
        if self.layer.training:
            self.clear()
        if any(part.training for part in self._idle if not isinstance(part, nn.Identity)):
            return None
        norm = self.norm
        if norm is not None and (norm.training or norm.running_mean is None):
            return None
        activation, tensors = self._fused(), sources(self.layer, norm)
        if self.activation is not None and activation is None:  # its numbers do not fit any more
            return None
        learned = slopes(self.activation)
        if recorded(x, x, learned) or any(recorded(tensor, x, None) for tensor in tensors):
            return self._differentiable(x, activation if learned is None else ("prelu", learned))
        if self.layer.training or x.dtype not in _DTYPES or not x.numel() or transformed():
            return None
        last = channels_last(x)
        if self.following is not None:
            made = self.following.begin(self, x, last)
            if made is not None:
                return made
        found = self.packed.ready(self, tensors, x, activation, last)
        return None if found is None else computed(found, x)

    def job(self, x: Tensor, last: bool) -> Job | None:
        """The call for a plain `x`; None if weights cannot be packed."""
        activation = self._fused()
        if self.activation is not None and activation is None:
            return None
        return self.packed.ready(self, sources(self.layer, self.norm), x, activation, last)

    def clear(self) -> None:
        """Release the packed weights."""
        self.packed.clear()
        if self.following is not None:
            self.following.whole.packed.clear()

    def plan_for(self, x: Tensor) -> Plan | None:
        """The plan by which `x` is computed in evaluation, with packed weights; None if the parts run."""
        if x.dtype not in _DTYPES or not x.numel() or not plain(x, x, None):
            return None
        whole = self if self.following is None else self.following.whole
        found = whole.job(x, channels_last(x))
        return None if found is None else found.call.plan

    def _fused(self) -> Activation:
        """The activation in the epilogue."""
        own: Activation = vars(self.layer).get("activation")  # which tconv's layers may have
        return spelled(self.activation) if own is None else own

    def _differentiable(self, x: Tensor, activation: Any) -> Tensor | None:
        """The layer and its activation, fused where `conv_transpose2d` does, for autograd to record."""
        layer = self.layer
        fused = self.activation is not None or isinstance(layer, CalledLayer)
        alone = self.norm is None and self.factor is None and fused
        if not alone or hooked(layer) or not is_plain(layer):
            return None
        return _FUNCTIONS[self.axes - 1](
            x, layer.weight, layer.bias, layer.stride, layer.padding, layer.output_padding, layer.groups,
            layer.dilation, activation=activation,
        )  # fmt: skip


def _watched(module: Any) -> bool:
    """Whether calls of `module` are observed; a weight_norm that is a hook only uses weights."""
    before = module._forward_pre_hooks
    if before and all(type(hook) is WeightNorm for hook in before.values()):
        return bool(module._forward_hooks or module._backward_hooks or module._backward_pre_hooks)
    return hooked(module)
