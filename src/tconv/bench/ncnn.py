"""ncnn's deconvolution layers: 1 to 3 axes, groups, batches; float32."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tconv.bench.activations import name_and_numbers
from tconv.bench.task import Task, Work
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.testing import Array, Arrays

__all__ = ["ncnn"]

#: Layer names end in the number of axes, except for two.
_SUFFIX = {1: "1D", 2: "", 3: "3D"}

#: Parameters by axis, from the last one on: kernel, dilation, stride, padding at both ends, output padding.
_AXES = ((1, 2, 3, 4, 15, 18), (11, 12, 13, 14, 16, 19), (21, 22, 23, 24, 17, 20))

#: Activations that are part of a layer there: their numbers. Its optimizer fuses them, as pnnx does.
_FUSED = {"relu": 1, "leaky_relu": 2, "clamp": 3, "sigmoid": 4, "mish": 5}
#: Activations that are layers of their own.
_OPERATORS = {"tanh": "TanH", "silu": "Swish"}


def ncnn(task: Task, arrays: Arrays) -> Work:
    """A net of one layer, which packs its weights when they are loaded."""
    if task.dtype != "float32":
        raise TconvError(f"ncnn is compared in float32, not {task.dtype}")
    name, _ = name_and_numbers(task.activation)
    if name and name not in (*_FUSED, *_OPERATORS):
        raise TconvError(f"--activation {task.activation} is not compared in ncnn")
    if task.geometry.batch == 0 or any(min(pair) < 0 for pair in task.geometry.padding):
        raise TconvError(f"{task.geometry}: ncnn has no negative padding and no empty batch")
    import ncnn
    from ncnn import ncnn as compiled

    net = ncnn.Net()
    net.opt.num_threads = task.threads
    for half in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
        setattr(net.opt, f"use_{half}", False)
    with TemporaryDirectory(prefix="tconv-bench-") as folder:
        path = Path(folder) / "layer.bin"
        path.write_bytes(_weights(task.geometry, arrays))
        if net.load_param_mem(_graph(task)) or net.load_model(str(path)):
            raise TconvError(f"{task.geometry}: ncnn refuses the layer")

    def call(x: Any) -> Any:
        extractor = net.create_extractor()
        extractor.input("x", x[1])
        _, y = extractor.extract("y")
        return y

    return Work(
        f"ncnn {compiled.__version__}",
        call,
        lambda x: (x, ncnn.Mat(x, batch_index=0)),  # a Mat does not keep an array's memory alive
        lambda y: [np.array(y.numpy("f", batch_index=0))],
    )


def _graph(task: Task) -> str:
    """The net in ncnn's text format: numbers of layers and blobs, then a layer per line."""
    g = task.geometry
    numbers: dict[int, int] = {0: g.out_channels, 5: 1, 6: int(np.prod(g.weight_shape))}
    for axis, (kernel, dilation, stride, low, high, extra) in enumerate(_AXES[: g.axes], 1):
        numbers |= {kernel: g.kernel[-axis], dilation: g.dilation[-axis], stride: g.stride[-axis]}
        numbers |= dict(zip((low, high), g.padding[-axis], strict=True)) | {extra: g.output_padding[-axis]}
    if g.groups > 1:
        numbers[7] = g.groups
    words = [f"{key}={number}" for key, number in numbers.items()]
    name, values = name_and_numbers(task.activation)
    if name in _FUSED:
        words.append(f"9={_FUSED[name]}")
        words += [f"-23310={','.join([str(len(values)), *map(repr, values)])}"] * bool(values)
    kind = f"Deconvolution{'DepthWise' * (g.groups > 1)}{_SUFFIX[g.axes]}"
    after = [f"{_OPERATORS[name]} after 1 1 z y"] if name in _OPERATORS else []
    layer = f"{kind} layer 1 1 x {'z' if after else 'y'} {' '.join(words)}"
    lines = ["Input x 0 1 x", layer, *after]
    return "\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines, ""])


def _weights(geometry: Geometry, arrays: Arrays) -> bytes:
    """(groups, out/groups, in/groups, *kernel) after a tag that says float32, and the bias."""
    weight = arrays.weight.reshape(geometry.groups, -1, *arrays.weight.shape[1:]).swapaxes(1, 2)
    parts: tuple[Array, ...] = (np.zeros(1, np.uint32), weight, arrays.bias)
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
