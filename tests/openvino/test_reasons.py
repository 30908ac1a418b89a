"""Why layers of a model stay OpenVINO's, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

openvino = pytest.importorskip("openvino", reason="runs inside OpenVINO; install tconv[openvino]")
onnx = pytest.importorskip("onnx", reason="makes branches; install tconv[onnx]")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from openvino import opset13 as ops  # noqa: E402

import tconv.openvino  # noqa: E402
from tconv.models.openvino import core  # noqa: E402
from tconv.openvino.layers import find  # noqa: E402
from tests.openvino.test_equal import CONFIG, layer, model, whole  # noqa: E402

W = numpy_helper.from_array(np.ones((1, 1, 2, 2), np.float32), "w")


def info(name: str, shape: Any = None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def up(output: str, name: str) -> Any:
    return helper.make_node("ConvTranspose", ["x", "w"], [output], name, strides=[2, 2])


def read(nodes: list[Any], inputs: list[Any], output: str) -> Any:
    graph = helper.make_graph(nodes, "g", [*inputs, info("x", [1, 1, 3, 3])], [info(output)], [W])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return core().read_model(made.SerializeToString())


def branches(inner: Any = None) -> Any:
    """An If with a layer in each branch; `inner`: instead of the one in "then"."""
    then = helper.make_graph([inner or up("a", "one")], "then", [], [info("a")])
    other = helper.make_graph([up("b", "two")], "else", [], [info("b")])
    return helper.make_node("If", ["c"], ["y"], "choice", then_branch=then, else_branch=other)


def loop() -> Any:
    nodes = [helper.make_node("Identity", ["before"], ["after"]), up("z", "often")]
    inputs = [info("i", [], TensorProto.INT64), info("before", [], TensorProto.BOOL)]
    body = helper.make_graph(nodes, "body", inputs, [info("after", [], TensorProto.BOOL), info("z")])
    return helper.make_node("Loop", ["m", "c"], ["a"], "again", body=body)


CONDITION = info("c", [], TensorProto.BOOL)


def test_layers_inside_branches_and_loops_are_told() -> None:
    made = read([branches(loop())], [CONDITION, info("m", [], TensorProto.INT64)], "y")
    assert {name: reason.split(",")[0] for name, reason in tconv.openvino.reasons(made).items()} == {
        "y/then/a/body/z": "it is inside the operator Loop",
        "y/else/b": "it is inside the operator If",
    }


def test_layers_of_one_name_in_both_branches_are_two() -> None:
    made = read([branches()], [CONDITION], "y")
    (choice,) = (node for node in made.get_ordered_ops() if node.get_type_name() == "If")
    for body in (choice.get_then_body(), choice.get_else_body()):
        (one,) = find(body)
        one.node.set_friendly_name("up")
    assert set(tconv.openvino.reasons(made)) == {"y/then/up", "y/else/up"}


def test_a_branch_runs_as_before() -> None:
    made, x = read([branches()], [CONDITION], "y"), whole(1, 1, 3, 3)
    converted = tconv.openvino.convert(made)
    for condition in (np.array(True), np.array(False)):
        one, two = (core().compile_model(m, "CPU", CONFIG)([condition, x])[0] for m in (made, converted))
        np.testing.assert_array_equal(one, two)


def test_each_layer_has_its_reason() -> None:
    x = ops.parameter([1, 2, 5, 5], np.float32, name="x")
    product = ops.convolution_backprop_data(
        x, whole(2, 2, 1, 1), strides=[1, 1], pads_begin=[0, 0], pads_end=[0, 0], dilations=[1, 1]
    )
    sized = ops.convolution_backprop_data(
        product, whole(2, 2, 3, 3), [2, 2], ops.constant(np.array([11, 11]))
    )
    fine = layer(sized, whole(2, 3, 4, 4))
    for name, node in {"product": product, "sized": sized, "fine": fine}.items():
        node.set_friendly_name(name)
    assert tconv.openvino.reasons(openvino.Model([fine], [x])) == {
        "product": "it is a plain matrix product, which is left to OpenVINO",
        "sized": "it is told its output's sizes",
        "fine": "",
    }


def test_of_several_readers_none_becomes_part_of_the_layer() -> None:
    """Which would then be computed once for each of them."""
    y = layer(ops.parameter([1, 2, 5, 5], np.float32, name="x"), whole(2, 3, 4, 4))
    (source,) = [value.get_node() for value in y.input_values()][:1]
    made = openvino.Model([ops.relu(y), ops.sigmoid(y)], [source])
    (found,) = find(made)
    assert found.call.activation is None
    assert found.last == found.node
    (alone,) = find(model([1, 2, 5, 5], whole(2, 3, 4, 4), then=ops.relu))
    assert alone.call.activation == "relu"
