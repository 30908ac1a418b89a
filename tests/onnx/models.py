"""Small ONNX models for tests, and ONNX Runtime's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import helper, numpy_helper

Arrays = Mapping[str, np.ndarray]


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str | None]],
    outputs: Sequence[str],
    constants: Arrays | None = None,
    *,
    opset: int = 18,
    functions: Sequence[onnx.FunctionProto] = (),
    dtype: int = onnx.TensorProto.FLOAT,
) -> ir.Model:
    """Nodes by `onnx.helper.make_node`; constants become initializers."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, dtype, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset)] + [helper.make_opsetid(f.domain, 1) for f in functions]
    made = helper.make_model(graph, opset_imports=imports, ir_version=9, functions=list(functions))
    return ir.from_proto(made)


def answers(made: ir.Model, feeds: Arrays, *, optimised: bool = False) -> list[np.ndarray]:
    """What ONNX Runtime computes, on one thread; as the nodes are written unless `optimised`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto = ir.to_proto(made)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, dict(feeds)))


def op_types(made: ir.Model) -> list[str]:
    return [node.op_type for node in made.graph]


def whole(generator: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    """Small whole numbers as float32: sums of products of them are exact, hence comparable by ==."""
    return generator.integers(-4, 5, shape).astype(np.float32)
