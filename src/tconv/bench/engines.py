"""The engine under test, in the variants that the bench compares."""

from __future__ import annotations

from typing import Any

import numpy as np

import tconv
from tconv.bench.activations import activate
from tconv.bench.peers import torch_work
from tconv.bench.task import Task, Work
from tconv.errors import TconvError
from tconv.planning import MapName, plan
from tconv.testing import Array, Arrays

__all__ = ["ours", "plain", "separate", "unprepared"]


def _work(task: Task, note: str, call: Any) -> Work:
    last = task.layout == "channels_last"
    return Work(
        note,
        call,
        (lambda x: np.ascontiguousarray(np.moveaxis(x, 1, -1))) if last else lambda x: x,
        (lambda y: [np.moveaxis(y, -1, 1)]) if last else lambda y: [y],
    )


def _layer(task: Task, arrays: Arrays, activation: Any) -> tconv.Layer:
    tconv.set_num_threads(task.threads)
    layout: Any = task.layout
    return tconv.prepare(
        arrays.weight, arrays.bias, geometry=task.geometry, activation=activation, layout=layout
    )


def _kernel(task: Task, layer: tconv.Layer) -> str:
    n, c, *sizes = task.geometry.input_shape
    return layer.plan_for((n, *sizes, c) if task.layout == "channels_last" else (n, c, *sizes)).kernel


def ours(task: Task, arrays: Arrays) -> Work:
    """A layer with packed weights; the training step goes through `tconv.torch`."""
    if task.grad:
        return _trained(task, arrays)
    layer = _layer(task, arrays, task.activation)
    return _work(task, _kernel(task, layer), layer)


def unprepared(task: Task, arrays: Arrays) -> Work:
    """Weights packed at every call."""
    kernel = _kernel(task, _layer(task, arrays, task.activation))
    geometry, layout = task.geometry, task.layout
    options: dict[str, Any] = {
        "stride": geometry.stride,
        "padding": geometry.padding,
        "output_padding": geometry.output_padding,
        "dilation": geometry.dilation,
        "groups": geometry.groups,
        "activation": task.activation,
        "layout": layout,
    }
    return _work(task, kernel, lambda x: tconv.conv_transpose(x, arrays.weight, arrays.bias, **options))


def plain(task: Task, arrays: Arrays) -> Work:
    """The layer without the activation, which is applied only to the output that is compared."""
    layer = _layer(task, arrays, None)
    work = _work(task, _kernel(task, layer), layer)
    return work._replace(answers=lambda y: [activate(a.copy(), task.activation) for a in work.answers(y)])


def separate(task: Task, arrays: Arrays) -> Work:
    """The layer without the activation, then NumPy's pass over its output."""
    layer = _layer(task, arrays, None)

    def call(x: Array) -> Array:
        return activate(layer(x), task.activation, -1 if task.layout == "channels_last" else 1)

    return _work(task, _kernel(task, layer), call)


def _trained(task: Task, arrays: Arrays) -> Work:
    import torch

    import tconv.torch as layers

    code = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16", "complex64": "c64"}
    maps: tuple[MapName, ...] = ("conv_transpose", "conv", "weight_gradient")
    if min(min(pair) for pair in task.geometry.padding) < 0:
        raise TconvError(f"{task.geometry}: PyTorch's signature cannot express negative padding")
    kernels = [plan(task.geometry, map, dtype=code[task.dtype]).kernel for map in maps]
    tconv.set_num_threads(task.threads)
    function = getattr(layers, f"conv_transpose{task.geometry.axes}d")
    torch.set_num_threads(task.threads)
    return torch_work(task, arrays, function, "; ".join(dict.fromkeys(kernels)))
