"""Models of one layer, of ONNX's operator or of the engine's, and sessions for them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from tconv.onnx.engine import register
from tconv.onnx.engine.planner import install
from tests.onnx.helpers import info

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


@contextmanager
def without_planner() -> Iterator[None]:
    """The library as a program without Python has it."""
    library = install()
    library.tconv_ort_plan_with(None)
    try:
        yield
    finally:
        library.tconv_ort_plan_with(ctypes.cast(library.kept, ctypes.c_void_p))
