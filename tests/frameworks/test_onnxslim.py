"""OnnxSlim: BatchNorm after a grouped transposed convolution, as the guide to PyTorch tells it."""

from __future__ import annotations

import numpy as np
import onnxruntime
import onnxslim
import pytest
from onnx import ModelProto, helper, numpy_helper


def model(inputs: int, outputs: int, groups: int) -> ModelProto:
    rng = np.random.default_rng(groups)
    arrays = {
        "w": rng.standard_normal((inputs, outputs // groups, 3, 3)),
        "b": rng.standard_normal(outputs),
        "gamma": rng.standard_normal(outputs),
        "beta": rng.standard_normal(outputs),
        "mean": rng.standard_normal(outputs),
        "var": rng.uniform(0.3, 2, outputs),
    }
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w", "b"], ["h"], group=groups, strides=[2, 2]),
        helper.make_node("BatchNormalization", ["h", "gamma", "beta", "mean", "var"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "up",
        [helper.make_tensor_value_info("x", 1, [1, inputs, 4, 5])],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def run(given: ModelProto, x: np.ndarray) -> np.ndarray:
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        given.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize(
    ("inputs", "outputs", "groups"), [(8, 8, 1), (8, 8, 2), (8, 16, 2), (8, 8, 8), (8, 16, 8)]
)
def test_onnxslim_folds_by_group(inputs: int, outputs: int, groups: int) -> None:
    """Right in 0.1.98; 0.1.85 failed or wrote a layer that could not run, and 0.1.60 left BatchNorm."""
    given = model(inputs, outputs, groups)
    x = np.random.default_rng(0).standard_normal((1, inputs, 4, 5)).astype(np.float32)
    expected = run(given, x)
    slim = onnxslim.slim(given)
    assert [node.op_type for node in slim.graph.node] == ["ConvTranspose"]
    np.testing.assert_allclose(run(slim, x), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
