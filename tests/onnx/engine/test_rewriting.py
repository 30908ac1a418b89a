"""`rewrite --for engine`: which nodes become the engine's, with what in them, and what tools see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import tconv.onnx
from tconv.cli import main
from tconv.errors import TconvError
from tconv.onnx.rewriting.feeds import Feeds
from tconv.onnx.rewriting.layers import timed
from tconv.onnx.rewriting.runner import Runner
from tests.onnx.engine.helpers import OPTIONS, answer, followed, ops, rewritten, whole
from tests.onnx.helpers import info, model_proto

X = whole((1, 3, 5, 6), 1)


@pytest.mark.parametrize(
    ("nodes", "weights", "said"),
    [
        ([helper.make_node("Relu", ["t"], ["y"])], {}, ("Relu", [])),
        ([helper.make_node("LeakyRelu", ["t"], ["y"])], {}, ("LeakyRelu", [0.01])),
        ([helper.make_node("LeakyRelu", ["t"], ["y"], alpha=0.25)], {}, ("LeakyRelu", [0.25])),
        ([helper.make_node("Tanh", ["t"], ["y"])], {}, ("Tanh", [])),
        ([helper.make_node("Sigmoid", ["t"], ["y"])], {}, ("Sigmoid", [])),
        (
            [helper.make_node("Clip", ["t", "lo", "hi"], ["y"])],
            {"lo": np.float32(0), "hi": np.float32(6)},
            ("Clip", [0.0, 6.0]),
        ),
        (
            [helper.make_node("Clip", ["t", "lo"], ["y"])],
            {"lo": np.float32(-1)},
            ("Clip", [-1.0, float(np.finfo("float32").max)]),
        ),
        (
            [
                helper.make_node("BatchNormalization", ["t", "s", "o", "m", "v"], ["n"], epsilon=0.0),
                helper.make_node("Add", ["n", "a"], ["l"]),
                helper.make_node("Relu", ["l"], ["y"]),
            ],
            {"s": whole((4,)), "o": whole((4,), 3), "m": whole((4,), 4), "v": np.ones(4, "float32"),
             "a": whole((4, 1, 1), 5)},
            ("Relu", []),
        ),
    ],
)  # fmt: skip
def test_what_becomes_part_of_it(
    tmp_path: Path, nodes: list[onnx.NodeProto], weights: Any, said: tuple[str, list[float]]
) -> None:
    made = rewritten(tmp_path, followed(*nodes, **weights), X)
    assert ops(made) == ["tconv::ConvTranspose"]
    (node,) = made.graph.node
    held = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    assert node.name == "up"
    assert held["activation"].decode() == said[0]
    np.testing.assert_allclose(held.get("activation_params", []), said[1], rtol=1e-6)
    assert (held["strides"], held["pads"]) == (OPTIONS["strides"], OPTIONS["pads"])
    assert {entry.domain: entry.version for entry in made.opset_import} == {"": 18, "tconv": 1}


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([helper.make_node("Relu", ["t"], ["r"]), helper.make_node("Add", ["r", "t"], ["y"])], {}),
        ([helper.make_node("Selu", ["t"], ["y"])], {}),
        ([helper.make_node("PRelu", ["t", "s"], ["y"])], {"s": whole((12,))}),  # of columns
        ([helper.make_node("PRelu", ["t", "s"], ["y"])], {"s": whole((10, 1))}),  # of rows
        ([helper.make_node("Clip", ["t", "", "hi"], ["y"])], {"hi": np.float32(-np.inf)}),
        (
            [
                helper.make_node("ReduceMax", ["t"], ["top"], keepdims=0),
                helper.make_node("Clip", ["t", "", "top"], ["y"]),
            ],
            {},
        ),
    ],
)
def test_what_stays_beside_it(tmp_path: Path, nodes: list[onnx.NodeProto], weights: Any) -> None:
    made = rewritten(tmp_path, followed(*nodes, **weights), X)
    assert ops(made) == ["tconv::ConvTranspose", *(node.op_type for node in nodes)]


@pytest.mark.parametrize("opset", [1, 7, 10, 11, 23])
def test_opsets(tmp_path: Path, opset: int) -> None:
    proto = followed(helper.make_node("Relu", ["t"], ["y"]), opset=opset)
    proto.ir_version = 8
    if opset == 1:  # ONNX Runtime's own Relu begins with 6
        proto = followed(helper.make_node("Identity", ["t"], ["y"]), opset=opset)
    made = rewritten(tmp_path, proto, X)
    assert ops(made)[0] == "tconv::ConvTranspose"


def test_sizes_are_kept_for_tools(tmp_path: Path) -> None:
    proto = followed(helper.make_node("Relu", ["t"], ["r"]), helper.make_node("Abs", ["r"], ["y"]))
    made = onnx.shape_inference.infer_shapes(rewritten(tmp_path, proto, X))
    onnx.checker.check_model(made)
    sizes = {
        value.name: [entry.dim_value for entry in value.type.tensor_type.shape.dim]
        for value in (*made.graph.value_info, *made.graph.output)
    }
    assert {name: sizes[name] for name in "ry"} == {"r": [1, 4, 10, 12], "y": [1, 4, 10, 12]}


def test_branches_and_functions(tmp_path: Path) -> None:
    layer = helper.make_node("ConvTranspose", ["x", "w"], ["t"], **OPTIONS)
    other = helper.make_node("Neg", ["t2"], ["f"])
    inner = helper.make_node("ConvTranspose", ["x", "w"], ["t2"], name="inner", strides=[2, 2], pads=[1] * 4)
    branches = {
        "then_branch": helper.make_graph([layer], "a", [], [info("t", None)]),
        "else_branch": helper.make_graph([inner, other], "b", [], [info("f", None)]),
    }
    choice = helper.make_node("If", ["c"], ["y"], **branches)
    weights = {"w": whole((3, 4, 4, 4)), "c": np.array(False)}
    proto = model_proto([choice], {"x": [1, 3, 5, 6]}, weights=weights)
    made = rewritten(tmp_path, proto, X)
    (node,) = made.graph.node
    assert {n.domain for entry in node.attribute for n in entry.g.node if n.op_type == "ConvTranspose"} == {
        "tconv"
    }

    body = [helper.make_node("ConvTranspose", ["p", "q"], ["r"], strides=[2, 2])]
    function = helper.make_function("own", "Up", ["p", "q"], ["r"], body, [helper.make_opsetid("", 18)])
    call = helper.make_node("Up", ["x", "w"], ["y"], domain="own")
    proto = model_proto([call], {"x": [1, 3, 5, 6]}, weights={"w": whole((3, 4, 4, 4))}, functions=[function])
    made = rewritten(tmp_path, proto, X)
    assert [n.domain for n in made.functions[0].node] == ["tconv"]
    assert {entry.domain for entry in made.functions[0].opset_import} == {"", "tconv"}


def test_float64_needs_no_runtime(tmp_path: Path) -> None:
    """ONNX Runtime has no layer of float64; the engine has."""
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], **OPTIONS)
    proto = model_proto(
        [node],
        {"x": [1, 3, 5, 6]},
        weights={"w": whole((3, 4, 4, 4), dtype="float64")},
        dtype=TensorProto.DOUBLE,
    )
    path, out = tmp_path / "m.onnx", tmp_path / "out.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(TconvError, match="--no-check --seconds 0 rewrites it by estimate"):
        tconv.onnx.rewrite(path, out, goal="engine")
    tconv.onnx.rewrite(path, out, goal="engine", seconds=0, check=False)
    expected = tconv.conv_transpose(
        X.astype("float64"), whole((3, 4, 4, 4), dtype="float64"), stride=2, padding=1
    )
    np.testing.assert_array_equal(answer(str(out), {"x": X.astype("float64")}), expected)


class _Stub(Runner):
    """A runner whose times are given."""

    def __init__(self, seconds: Mapping[str, Mapping[str, float]]) -> None:
        super().__init__()
        self.given = seconds

    def load(self, name: str, model: Any, **how: Any) -> None:
        pass

    def nodes(self, names: Mapping[str, Sequence[str]], feeds: Any, **how: Any) -> Any:
        assert {side: set(nodes) for side, nodes in names.items()} == {
            s: set(t) for s, t in self.given.items()
        }
        return {side: {node: [t] * 8 for node, t in times.items()} for side, times in self.given.items()}


def test_only_layers_that_win_are_the_engines() -> None:
    import onnx_ir as ir

    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["a"], name="slow"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("ConvTranspose", ["b", "w"], ["c"], name="fast"),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    model = ir.from_proto(model_proto(nodes, {"x": [1, 4, 5, 6]}, weights={"w": whole((4, 4, 3, 3))}))
    names = [f"tconv.{number}" for number in range(4)]
    plain = dict(zip(names, (5.0, 1.0, 5.0, 3.0), strict=True))
    runner = _Stub({"as it is": plain, "engine": {names[0]: 6.5, names[2]: 6.5}})
    slow, fast = timed(model, runner, Feeds("x", {}), seconds=1)
    even = timed(
        model, _Stub({"as it is": plain, "engine": {names[0]: 6.0, names[2]: 7.7}}), Feeds("x", {}), seconds=1
    )
    assert [trial.kept for trial in even] == [False, False]  # 8 ms against 7.7 is too little to tell
    assert (str(slow.moves[0]), slow.kept, slow.timed and slow.timed.before) == (
        "engine at slow",
        False,
        6000.0,
    )
    assert (str(fast.moves[0]), fast.kept, fast.timed and fast.timed.before) == (
        "engine at fast",
        True,
        8000.0,
    )


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "m.onnx", tmp_path / "out.onnx"
    path.write_bytes(followed(helper.make_node("Relu", ["t"], ["y"])).SerializeToString())
    assert main(["rewrite", str(path), str(out), "--for", "engine", "--seconds", "1"]) == 0
    assert "engine at up" in capsys.readouterr().err
    assert main(["rewrite", str(path), str(out), "--for", "engine", "--seconds", "0"]) == 0
    assert ops(onnx.load(str(out))) == ["tconv::ConvTranspose"]
    # What was written is read, and needs nothing more.
    again = tmp_path / "again.onnx"
    assert main(["rewrite", str(out), str(again), "--for", "engine", "--seconds", "0"]) == 0
    np.testing.assert_array_equal(answer(str(again), {"x": X}), answer(str(out), {"x": X}))
    capsys.readouterr()
    assert main(["rewrite", str(path), str(out), "--for", "engine,no-groups"]) == 2
    assert "--for engine cannot be combined" in capsys.readouterr().err
    assert main(["rewrite", str(path), str(out), "--for", "speed", "--seconds", "0"]) == 2
