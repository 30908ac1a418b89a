"""MNN: the ONNX model, converted by its own converter; float32."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tconv.bench.peers import onnx_model
from tconv.bench.quiet import quiet
from tconv.bench.task import Task, Work
from tconv.errors import TconvError
from tconv.testing import Arrays

__all__ = ["mnn"]


def mnn(task: Task, arrays: Arrays) -> Work:
    """A module of one layer, its weights packed when it is loaded."""
    geometry = task.geometry
    if task.dtype != "float32":
        raise TconvError(f"MNN is compared in float32, not {task.dtype}")
    if geometry.batch == 0 or any(min(pair) < 0 for pair in geometry.padding):
        raise TconvError(f"{geometry}: MNN may crash with negative padding, or an empty batch")
    if geometry.axes == 3 and (geometry.groups > 1 or max(geometry.dilation) > 1):
        raise TconvError(f"{geometry}: MNN's outputs are wrong with groups or dilation along three axes")
    with quiet():
        import _tools as converter  # MNN.tools imports it with a module that reports its use
        import MNN
        from MNN import expr, nn

        # Along three axes its layer adds the bias to a part of the output.
        model = onnx_model(task, arrays.weight, arrays.bias, bias_apart=geometry.axes == 3)
        with TemporaryDirectory(prefix="tconv-bench-") as folder:
            source, target = Path(folder) / "layer.onnx", Path(folder) / "layer.mnn"
            source.write_bytes(model)
            words = ["-f", "ONNX", "--modelFile", source, "--MNNModel", target, "--bizCode", "tconv"]
            converter.mnnconvert(["mnnconvert", *map(str, words)])
            if not target.exists():
                after = f", then {task.activation}" if task.activation else ""
                raise TconvError(f"{geometry}{after}: MNN's converter refuses the layer")
            runtime = nn.create_runtime_manager(
                ({"backend": 0, "numThread": task.threads, "precision": "high"},)
            )
            # The input's shape is fixed, and the weights are rearranged in advance.
            module = nn.load_module_from_file(
                str(target), [], [], runtime_manager=runtime, shape_mutable=False, rearrange=True
            )
    return Work(
        f"mnn {MNN.version()}",
        module.forward,
        lambda x: [expr.const(x, list(x.shape), expr.NCHW)],
        lambda y: [np.array(y[0].read()).reshape(geometry.output_shape)],
    )
