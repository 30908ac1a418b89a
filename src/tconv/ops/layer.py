"""Layers: weights packed once, run on any input size."""

from __future__ import annotations

from typing import Any

import numpy as np

from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.normalize import Padding, PerAxis, shown
from tconv.ops.arrays import Array, allocate, operand
from tconv.ops.call_cache import Options, geometry_of, moved_last, planned_call
from tconv.ops.execute import Ready, bias_operand, check_layout, execute, run_map
from tconv.planning import Activation, Layout, Plan

__all__ = ["Layer", "prepare"]

#: The number of input shapes whose plans a layer caches.
_MOST_SHAPES = 1024


class Layer:
    """A transposed convolution whose weights are packed once; made by `prepare`.

    It keeps its own copy of the weights: later changes of the original array have no effect. It may be
    called from several threads at once.
    """

    def __init__(self, weight: Array, code: str, bias: Array | None, options: Options) -> None:
        """See `prepare`, which checks the arguments."""
        self._weight, self._code, self._bias = weight, code, bias
        self._options = options
        self._packed: dict[Any, Any] = {}
        self._ready: dict[tuple[int, ...], Ready] = {}
        # Arrays that need no conversion take the fast path of __call__.
        self._plain_dtype = weight.dtype if code != "bf16" else None

    def plan_for(self, shape: tuple[int, ...]) -> Plan:
        """The plan for an input of `shape`, in the layer's layout."""
        return self.ready(shape).job.plan

    def ready(self, shape: tuple[int, ...]) -> Ready:
        """The run for an input of `shape`, in the layer's layout; packs the weights if necessary."""
        found = self._ready.get(shape)
        if found is None:
            job = planned_call("conv_transpose", self._code, shape, self._weight.shape, self._options, True)
            weight: Any = self._weight
            if job.plan.runner.packed_bytes:
                weight = self._packed.get(job.plan.packing)
                if weight is None:
                    weight = self._packed[job.plan.packing] = job.plan.runner.pack(self._weight)
            if len(self._ready) >= _MOST_SHAPES:
                self._ready.clear()
            found = self._ready[shape] = Ready(job, weight, self._bias)
        return found

    def __call__(self, x: Any, out: Array | None = None) -> Any:
        """The layer's output for x (n, c_in, *input) or (c_in, *input), as `conv_transpose` gives it.

        Raises:
            TconvError: as `conv_transpose` does.
        """
        if type(x) is np.ndarray and out is None and x.dtype is self._plain_dtype and x.flags.c_contiguous:
            job, weight, bias = self._ready.get(x.shape) or self.ready(x.shape)
            target = allocate(job.plan.geometry, job.shape, self._weight.dtype)
            if target.size:
                execute(job.plan, x, weight, bias, target)
            return target
        source = operand("input", x)
        if source.code != self._code:
            raise TconvError(
                f"input is {source.code} and weight is {self._code}; one dtype for both would fit"
            )
        return run_map(x, source, self.ready, out)

    def __repr__(self) -> str:
        """The weight and every option that is not its default."""
        changed = [
            f"{name}={value!r}"
            for name, value in self._options._asdict().items()
            if value != Options._field_defaults[name]
        ]
        return f"Layer({', '.join([f'weight {self._weight.shape} {self._code}', *changed])})"


def prepare(
    weight: Any,
    bias: Any = None,
    *,
    geometry: Geometry | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    output_size: PerAxis | None = None,
    activation: Activation = None,
    layout: Layout = "channels_first",
    algorithm: str = "auto",
) -> Layer:
    """Pack the weights of a transposed convolution once, for many inputs of any size.

    Args:
        weight: (c_in, c_out/groups, *kernel).
        bias: (c_out,), or None.
        geometry: take stride, padding, output_padding, dilation and groups from here, and pack for its input
            size now rather than at the first call.
        stride: this and all other options are those of `conv_transpose`.

    Returns:
        A `Layer`: y = layer(x, out=None).

    Raises:
        TconvError: weights, bias or options that do not fit.

    >>> layer = prepare(np.ones((1, 1, 2), np.float32), stride=2)
    >>> layer(np.array([[[1, 2]]], np.float32))
    array([[[1., 1., 2., 2.]]], dtype=float32)
    """
    check_layout(layout)
    weights = operand("weight", weight)
    axes = max(0, weights.array.ndim - 2)
    if weights.array.ndim < 3:
        shape = weights.array.shape
        raise TconvError(
            f"weight has shape {shape}; (in, out/groups, *kernel) with 1 to 3 kernel axes would fit"
        )
    if geometry is not None:
        if not isinstance(geometry, Geometry):
            raise TconvError(f"geometry={shown(geometry)}; a Geometry would fit, as Geometry.parse makes one")
        if weights.array.shape != geometry.weight_shape:
            raise TconvError(
                f"{geometry}: weight has shape {weights.array.shape}; {geometry.weight_shape} would fit"
            )
        given = Options(stride, padding, output_padding, dilation, groups, output_size)
        if given != Options():
            raise TconvError(f"{geometry}: options come from the geometry; leave out those given in addition")
        options = Options(
            geometry.stride, geometry.padding, geometry.output_padding, geometry.dilation, geometry.groups
        )._replace(activation=activation, algorithm=algorithm, layout=layout)
    else:
        options = Options.of(
            stride, padding, output_padding, dilation, groups, output_size, activation, algorithm, layout
        )
    options.check()
    # A trial with a large input reports faults of the options now and not at the first call.
    large = (1, weights.array.shape[0], *(1 << 15,) * axes)
    geometry_of("conv_transpose", large, weights.array.shape, options._replace(size=None))
    b = bias_operand(bias, weights.array.shape[1] * options.groups, weights)
    own = allocate("prepare", weights.array.shape, weights.array.dtype)
    own[...] = weights.array
    layer = Layer(own, weights.code, None if b is None else b.copy(), options)
    if geometry is not None:
        shape = geometry.input_shape
        layer.plan_for(moved_last(shape, axes) if layout == "channels_last" else shape)
    return layer
