"""Models of one layer, of ONNX's operator or of the engine's, and sessions for them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import tconv.onnx
from tconv.onnx.engine import register
from tconv.onnx.engine.planner import install
from tests.onnx.helpers import info, model_proto

OPTIONS = {"strides": [2, 2], "pads": [1, 1, 1, 1], "name": "up"}
KINDS = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
}


def whole(shape: Sequence[int], seed: int = 0, dtype: str = "float32") -> np.ndarray:
    """Small whole numbers, whose sums are exact in every dtype."""
    return np.random.default_rng(seed).integers(-2, 3, tuple(shape)).astype(dtype)


def one_layer(
    weight: np.ndarray,
    shape: Sequence[Any],
    *,
    bias: np.ndarray | None = None,
    engine: bool = True,
    opset: int = 21,
    fixed: bool = True,
    kind: str = "float32",
    **attributes: Any,
) -> onnx.ModelProto:
    """x -> y; weights and bias are constants, or inputs unless they are `fixed`."""
    held = {"w": weight} if bias is None else {"w": weight, "b": bias}
    node = helper.make_node("ConvTranspose", ["x", *held], ["y"], name="up", **attributes)
    node.domain = "tconv" if engine else ""
    given = [info("x", shape, KINDS[kind])]
    given += [] if fixed else [info(name, array.shape, KINDS[kind]) for name, array in held.items()]
    constants = [
        helper.make_tensor(name, KINDS[kind], array.shape, array.astype("float64").reshape(-1))
        for name, array in (held.items() if fixed else ())
    ]
    graph = helper.make_graph([node], "g", given, [info("y", None, KINDS[kind])], constants)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("tconv", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def opened(model: onnx.ModelProto | str, threads: int = 2) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    register(options)
    given = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def answer(model: onnx.ModelProto | str, feeds: Mapping[str, Any], threads: int = 2) -> np.ndarray:
    return opened(model, threads).run(["y"], dict(feeds))[0]


def rewritten(tmp_path: Path, proto: onnx.ModelProto, x: np.ndarray, **more: Any) -> onnx.ModelProto:
    """The file that is written, after its outputs were compared with ONNX Runtime's own."""
    path, out = tmp_path / "m.onnx", tmp_path / "out.onnx"
    path.write_bytes(proto.SerializeToString())
    tconv.onnx.rewrite(path, out, goal="engine", seconds=0, check=False, **more)
    plain = onnxruntime.InferenceSession(str(path)).run(["y"], {"x": x})[0]
    np.testing.assert_allclose(answer(str(out), {"x": x}), plain, rtol=1e-5, atol=1e-5)
    return onnx.load(str(out))


def followed(*nodes: onnx.NodeProto, opset: int = 18, **weights: np.ndarray) -> onnx.ModelProto:
    """x -> layer -> t -> nodes -> y."""
    layer = helper.make_node("ConvTranspose", ["x", "w"], ["t"], **OPTIONS)
    held = {"w": whole((3, 4, 4, 4)), **weights}
    return model_proto([layer, *nodes], {"x": [1, 3, 5, 6]}, weights=held, opset=opset)


def ops(proto: onnx.ModelProto) -> list[str]:
    return [f"{node.domain}::{node.op_type}".lstrip(":") for node in proto.graph.node]


@contextmanager
def without_planner() -> Iterator[None]:
    """The library as a program without Python has it."""
    library = install()
    library.tconv_ort_plan_with(None)
    try:
        yield
    finally:
        library.tconv_ort_plan_with(ctypes.cast(library.kept, ctypes.c_void_p))
