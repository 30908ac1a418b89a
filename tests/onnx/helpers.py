"""Small ONNX models for tests, ONNX Runtime's outputs, and how a command refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

Arrays = Mapping[str, np.ndarray]


def info(name: str, shape: Sequence[Any] | None, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model_proto(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[Any] | None],
    outputs: Sequence[str] = ("y",),
    weights: Arrays | None = None,
    *,
    opset: int = 18,
    ir_version: int = 9,
    functions: Sequence[onnx.FunctionProto] = (),
    domains: Sequence[str] = (),
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Nodes by `onnx.helper.make_node`; weights become initializers; domains of `functions` are known."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [info(name, shape, dtype) for name, shape in inputs.items()],
        [info(name, None, dtype) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    others = dict.fromkeys([*domains, *(function.domain for function in functions)])
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in others)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, functions=list(functions))


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[Any] | None],
    outputs: Sequence[str],
    weights: Arrays | None = None,
    **more: Any,
) -> ir.Model:
    """The same as a model of onnx-ir."""
    return ir.from_proto(model_proto(nodes, inputs, outputs, weights, **more))


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
    return model_proto([node], {"x": shape}, weights=weights)


def saved(proto: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    path = folder / name
    path.write_bytes(proto.SerializeToString())
    return path


def run(path: Path | bytes, feeds: Arrays, *, optimised: bool = False) -> list[np.ndarray]:
    """What ONNX Runtime computes, on one thread; without optimisation unless `optimised`."""
    import onnxruntime

    from tconv.onnx import register

    options = onnxruntime.SessionOptions()
    register(options)
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = path if isinstance(path, bytes) else str(path)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


def answers(made: ir.Model, feeds: Arrays, *, optimised: bool = False) -> list[np.ndarray]:
    return run(ir.to_proto(made).SerializeToString(), feeds, optimised=optimised)


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


def op_types(made: ir.Model) -> list[str]:
    return [node.op_type for node in made.graph]


def whole(generator: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    """Small whole numbers as float32: sums of products of them are exact, hence comparable by ==."""
    return generator.integers(-4, 5, shape).astype(np.float32)
