"""Small ONNX models that are without end, or grow when they are written out."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from tests.onnx.helpers import model_proto

__all__ = ["calling", "cycle", "doubling", "doubling_calls", "function", "nested", "node", "wide_shapes"]


def node(op: str, inputs: list[str], outputs: list[str], **options: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs, outputs, **options)


def cycle() -> onnx.ModelProto:
    return model_proto(
        [node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"])], inputs={"x": [1]}, outputs=["b"]
    )


def function(name: str, calls: str, many: int = 1) -> onnx.FunctionProto:
    """A function that calls another one, again and again."""
    steps = [node(calls, [f"v{i}"], [f"v{i + 1}"], domain="d") for i in range(many)]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("d", 1)]
    return helper.make_function("d", name, ["v0"], [f"v{many}"], steps, opsets)


def calling(*functions: onnx.FunctionProto) -> onnx.ModelProto:
    call = node(functions[0].name, ["x"], ["y"], domain="d")
    return model_proto([call], inputs={"x": [1]}, functions=functions)


def doubling(times: int) -> onnx.ModelProto:
    steps = [node("Concat", [f"s{i}", f"s{i}"], [f"s{i + 1}"], axis=0) for i in range(times)]
    ends = node("Shape", ["x"], ["s0"]), node("Reshape", ["x", f"s{times}"], ["y"])
    return model_proto([ends[0], *steps, ends[1]], inputs={"x": [1, 4, 8, 8]})


def wide_shapes(many: int) -> onnx.ModelProto:
    """Shapes of which each is small enough, and all of them together are not."""
    first = [node("Shape", ["x"], ["s0"])]
    first += [node("Concat", [f"s{i}", f"s{i}"], [f"s{i + 1}"], axis=0) for i in range(13)]
    rest = [node("Identity", ["s13"], [f"t{i}"]) for i in range(many)]
    last = node("Reshape", ["x", f"t{many - 1}"], ["y"])
    return model_proto([*first, *rest, last], inputs={"x": [1, 4, 8, 8]})


def doubling_calls(deep: int) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("d", 1)]
    functions = []
    for i in range(deep):
        after = (
            node(f"f{i + 1}", ["b"], ["c"], domain="d") if i < deep - 1 else node("Identity", ["b"], ["c"])
        )
        double = node("Concat", ["a", "a"], ["b"], axis=0)
        functions.append(helper.make_function("d", f"f{i}", ["a"], ["c"], [double, after], opsets))
    steps = [
        node("Shape", ["x"], ["s"]),
        node("f0", ["s"], ["t"], domain="d"),
        node("Reshape", ["x", "t"], ["y"]),
    ]
    return model_proto(steps, inputs={"x": [1, 4, 8, 8]}, functions=functions, domains=["d"])


def nested(deep: int) -> onnx.ModelProto:
    def graph(step: onnx.NodeProto) -> onnx.GraphProto:
        return helper.make_graph([step], "g", [], [helper.make_empty_tensor_value_info(step.output[0])])

    inner = graph(node("Relu", ["x"], ["o0"]))
    for i in range(1, deep):
        other = graph(node("Relu", ["x"], [f"e{i}"]))
        inner = graph(node("If", ["c"], [f"o{i}"], then_branch=inner, else_branch=other))
    made = model_proto(list(inner.node), inputs={"x": [1]}, outputs=[f"o{deep - 1}"])
    made.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    return made
