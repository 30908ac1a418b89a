"""Weights that are folded, merged and packed once, and again when what they come from has changed.

Packing costs more than the layer itself if maps are small. PyTorch's version counters, on which autograd
relies, too, detect changes. They do not count writes through `.data` and NumPy (common for averages of
weights), those of fused optimizers, and the statistics that a BatchNorm updates. So values are compared as
well: all of a small tensor, such as biases and statistics, and a sample of a large one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.weight_norm import WeightNorm

from tconv import algebra
from tconv.errors import TconvError
from tconv.geometry.normalize import padding_pairs
from tconv.ops.call_cache import moved_last
from tconv.ops.execute import execute
from tconv.ops.layer import Layer, prepare
from tconv.planning import Activation
from tconv.torch.accelerate.upsampling import conv_padding, factor_of, is_upsampling, why_not_merged
from tconv.torch.call_cache import TensorCall, tensor_call
from tconv.torch.eager import empty

__all__ = ["Job", "Packed", "computed", "is_plain", "of_norm", "sources", "versions"]

#: Parametrisations that depend only on their tensors when the layer is not in training.
_PURE = (
    parametrizations._WeightNorm,
    parametrizations._SpectralNorm,
    parametrizations._Orthogonal,
)

_OPTIONS = ("stride", "padding", "output_padding", "dilation", "groups", "padding_mode")


def sources(layer: Any, norm: Any = None) -> list[Tensor]:
    """The tensors from which the weights of a layer, with the BatchNorm after it, are computed."""
    found = [tensor for tensor in layer._parameters.values() if tensor is not None]
    if "parametrizations" in layer._modules:
        kept = layer._modules["parametrizations"]
        found += [*kept.parameters(), *kept.buffers()]
    return found if norm is None else [*found, *of_norm(norm)]


def of_norm(norm: Any) -> list[Tensor]:
    """The tensors of a BatchNorm."""
    every = (*norm._parameters.values(), norm.running_mean, norm.running_var)
    return [tensor for tensor in every if tensor is not None]


def is_plain(layer: Any) -> bool:
    """Whether the layer is a plain one; tconv's may also fold padding inwards and choose sizes."""
    return layer.padding_mode == "zeros" and vars(layer).get("output_size") is None


def _is_pure(layer: Any) -> bool:
    """Whether the layer's weight and bias are a function of its `sources`."""
    if parametrize.is_parametrized(layer):
        steps = [step for steps in layer.parametrizations.values() for step in steps]
        return all(isinstance(step, _PURE) for step in steps)
    hooks = layer._forward_pre_hooks.values()
    if any(type(hook) is not WeightNorm for hook in hooks):
        return False
    # A weight or bias that is not a parameter was set by unknown code.
    return "bias" in layer._parameters and ("weight" in layer._parameters or len(hooks) == 1)


def _merges(chain: Any) -> bool:
    """Whether the chain's upsampling, if it has one, is unchanged."""
    if chain.factor is None:
        return True
    head, axes = chain.parts[0], chain.axes
    found = is_upsampling(head) and why_not_merged(chain.layer) is None
    return found and factor_of(head, axes) == chain.factor


def _array(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.detach().numpy()


class Job(NamedTuple):
    """A call with weights: everything that a run needs except its input."""

    call: TensorCall
    weight: Any
    bias: Any


def computed(job: Job, x: Tensor) -> Tensor:
    """The job's output for `x`."""
    source, target = x.detach().contiguous(memory_format=job.call.formats[0]), empty(job.call)
    execute(job.call.plan, source.data_ptr(), job.weight, job.bias, target.data_ptr())
    return target


class _State(NamedTuple):
    """What was packed, and from which tensors; they are held so that no other gets their memory address."""

    tensors: tuple[Tensor, ...]
    versions: tuple[tuple[int, int], ...]
    samples: list[tuple[Tensor, Tensor]]  #: of each tensor: a view of it, and a copy
    settings: Any
    layer: Layer
    jobs: dict[tuple[int, ...], Job]  #: by the input's shape

    def holds(self, tensors: list[Tensor], settings: Any) -> bool:
        """Whether packing again would give the same."""
        return (
            self.settings == settings
            and len(self.tensors) == len(tensors)
            and all(a is b for a, b in zip(self.tensors, tensors, strict=True))
            and self.versions == versions(tensors)
            and all(torch.equal(now, then) for now, then in self.samples)
        )

    def ready(self, shape: tuple[int, ...], dtype: torch.dtype, last: bool) -> Job:
        """The call for an input of `shape`: its job, packed weights and bias."""
        found = self.jobs.get(shape)
        if found is None:
            axes = len(shape) - 2
            made, weight, bias = self.layer.ready(moved_last(tuple(shape), axes) if last else tuple(shape))
            if len(self.jobs) >= _MOST_SHAPES:
                self.jobs.clear()
            found = self.jobs[shape] = Job(tensor_call(made, dtype, axes), weight, bias)
        return found


_SAMPLES = 1024
_SMALL = 16 * _SAMPLES  #: numbers of a tensor that is compared completely
_MOST_SHAPES = 1024


def _sample(tensor: Tensor) -> Tensor:
    """A view that shows most changes; for a small tensor all of them."""
    seen = tensor.detach()
    if seen.numel() > _SMALL and torch.ops.aten.is_non_overlapping_and_dense(seen):
        # An odd step samples every channel for the usual numbers of channels.
        step = seen.numel() // _SAMPLES | 1
        seen = seen.as_strided((-(-seen.numel() // step),), (step,), seen.storage_offset())
    return seen


def versions(tensors: Sequence[Tensor]) -> tuple[tuple[int, int], ...]:
    """What changes with every write that PyTorch counts."""
    return tuple((tensor._version, tensor.data_ptr()) for tensor in tensors)


class Packed:
    """Packed weights of a chain, for each memory layout; a copy or a pickle starts without."""

    def __init__(self) -> None:
        """Weights are packed at the first use."""
        self._states: dict[bool, _State | None] = {}

    def __reduce__(self) -> tuple[type[Packed], tuple[()]]:
        """Pickles as an empty one."""
        return Packed, ()

    def clear(self) -> None:
        """Release the memory."""
        self._states.clear()

    def ready(
        self, chain: Any, tensors: list[Tensor], x: Tensor, activation: Activation, last: bool
    ) -> Job | None:
        """The call for `x`; None if weights cannot be packed."""
        layer, norm = chain.layer, chain.norm
        if not tensors or x.dtype is not tensors[0].dtype or x.shape[1] != layer.in_channels:
            return None
        if any(tensor.is_inference() for tensor in tensors):  # their changes are not counted
            return None
        settings = activation, getattr(norm, "eps", None), *(getattr(layer, name) for name in _OPTIONS)
        settings = *settings, vars(layer).get("output_size"), chain.crop
        head = chain.parts[0]
        if isinstance(head, nn.Upsample):
            settings = *settings, head.size, head.scale_factor, head.mode
        try:
            state = self._state(chain, tensors, x, activation, last, settings)
            return None if state is None else state.ready(x.shape, x.dtype, last)
        except TconvError:  # sizes or numbers do not fit: the parts raise their own errors
            return None

    def _state(
        self, chain: Any, tensors: list[Tensor], x: Tensor, activation: Activation, last: bool, settings: Any
    ) -> _State | None:
        state = self._states.get(last)
        if state is None or not state.holds(tensors, settings):
            usual = all(tensor.dtype is x.dtype and tensor.is_cpu for tensor in tensors)
            if not (usual and is_plain(chain.layer) and _is_pure(chain.layer) and _merges(chain)):
                return None
            samples = [(seen, seen.clone()) for seen in map(_sample, tensors)]
            made = _packed(chain, activation, last)
            state = _State(tuple(tensors), versions(tensors), samples, settings, made, {})
            self._states[last] = state
        return state


def _packed(chain: Any, activation: Activation, last: bool) -> Layer:
    layer, norm = chain.layer, chain.norm
    for hook in layer._forward_pre_hooks.values():  # weight_norm's, which computes the weight
        hook(layer, ())
    weight, bias = _array(layer.weight), _array(layer.bias)
    if norm is not None:
        weight, bias = algebra.fold_batchnorm(
            weight,
            bias,
            mean=_array(norm.running_mean),
            variance=_array(norm.running_var),
            gamma=_array(norm.weight),
            beta=_array(norm.bias),
            epsilon=norm.eps,
            groups=layer.groups,
            transposed=chain.factor is None,
        )
    options: dict[str, Any] = {"groups": layer.groups, "activation": activation}
    options["layout"] = "channels_last" if last else "channels_first"
    if chain.factor is not None:
        padding = conv_padding(layer)
        merged = algebra.merge_nearest(weight, chain.factor, padding, layer.dilation, layer.groups)
        padding = _cropped(merged.padding, chain.crop)
        return prepare(merged.weight, bias, stride=merged.stride, padding=padding, **options)
    return prepare(
        weight,
        bias,
        stride=layer.stride,
        padding=_cropped(layer.padding, chain.crop),
        output_padding=layer.output_padding,
        dilation=layer.dilation,
        **options,
    )


def _cropped(padding: Any, crop: Any) -> Any:
    """`padding` with more cut at the ends of each axis."""
    if crop is None:
        return padding
    sides = padding_pairs(padding, *((1,) * len(crop),) * 3)
    return tuple((lo + a, hi + b) for (lo, hi), (a, b) in zip(sides, crop, strict=True))
