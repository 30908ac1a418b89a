"""Small ONNX models for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


def info(name: str, shape: Sequence[Any] | None, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: Sequence[onnx.NodeProto],
    *,
    inputs: Mapping[str, Sequence[Any] | None],
    outputs: Sequence[str] = ("y",),
    weights: Mapping[str, np.ndarray] | None = None,
    opset: int = 17,
    ir_version: int = 8,
    functions: Sequence[onnx.FunctionProto] = (),
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [info(name, shape) for name, shape in inputs.items()],
        [info(name, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, functions=list(functions))


def layer(
    shape: Sequence[Any] | None = (1, 4, 5, 5),
    weight: Sequence[int] = (4, 3, 3, 3),
    *,
    bias: bool = False,
    seed: int = 0,
    **attributes: Any,
) -> onnx.ModelProto:
    """One ConvTranspose with its weights as an initializer."""
    random = np.random.default_rng(seed)
    weights = {"w": random.normal(size=weight).astype(np.float32)}
    if bias:
        many = weight[1] * attributes.get("group", 1)
        weights["b"] = random.normal(size=many).astype(np.float32)
    node = helper.make_node("ConvTranspose", ["x", *weights], ["y"], name="up", **attributes)
    return model([node], inputs={"x": shape}, weights=weights)


def saved(proto: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    path = folder / name
    path.write_bytes(proto.SerializeToString())
    return path


def run(path: Path | bytes, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What ONNX Runtime answers, with its own rewriting turned off."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    source = path if isinstance(path, bytes) else str(path)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"]).run(None, feeds)


def refused(path: Path, capsys: pytest.CaptureFixture[str], *more: str, command: str = "inspect") -> str:
    """The one line on stderr of a run that fails with status 2 and writes nothing."""
    before = sorted(str(entry) for entry in path.parent.rglob("*"))
    from tconv.cli import main

    assert main([command, str(path), *more]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"tconv {command}: ")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    assert sorted(str(entry) for entry in path.parent.rglob("*")) == before
    return err
