"""Files with the engine's layers are inspected and diagnosed as the layers that they came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import tconv.onnx
from tconv import TconvError
from tconv.diagnosis import diagnose
from tconv.models.onnx.engine_nodes import ACTIVATIONS
from tconv.models.onnx.reader import read
from tests.onnx.engine.helpers import answer, one_layer, opened
from tests.onnx.helpers import model_proto, refused, saved
from tests.onnx.rules.helpers import built, problem

UP: dict[str, Any] = {"strides": [2, 2], "pads": [1, 1, 1, 1]}


def engine(path: Path) -> Path:
    """The same model with every layer the engine's."""
    out = path.with_name(f"engine-{path.name}")
    tconv.onnx.rewrite(path, out, goal="engine", seconds=0, check=False)
    return out


def same(path: Path, out: Path, **more: Any) -> None:
    """Everything that is known of the layers is known of the engine's, too."""
    assert {node.domain for node in onnx.load(out).graph.node if node.op_type == "ConvTranspose"} == {"tconv"}
    before, after = (tconv.onnx.inspect(file, **more) for file in (path, out))
    assert before.layers
    for one, two in zip(before.layers, after.layers, strict=True):
        assert (one.name, one.where, one.problem, one.weights) == (
            two.name,
            two.where,
            two.problem,
            two.weights,
        )
        assert (one.memory, one.multiplications, one.why) == (two.memory, two.multiplications, two.why)
        assert one.layer.operator == "ConvTranspose"
        assert two.layer.operator.startswith("tconv::ConvTranspose")
        assert "engine" in two.runtimes["ONNX Runtime"]
    assert before.multiplications == after.multiplications
    assert (before.diagnosis is None) == (after.diagnosis is None)
    if before.diagnosis is not None and after.diagnosis is not None:
        assert before.diagnosis.findings == after.diagnosis.findings


@pytest.mark.parametrize("seed", range(24))
def test_any_layer(seed: int, tmp_path: Path) -> None:
    import onnx_ir as ir

    rng = np.random.default_rng(seed)
    axes, groups = int(rng.integers(1, 4)), int(rng.choice([1, 2]))
    fixed: dict[str, Any] = {"auto_pad": "SAME_UPPER"} if seed % 6 == 5 else {}
    given = problem(rng, axes, groups, dynamic=seed % 3 == 2, **fixed)
    path = saved(ir.to_proto(built(given, opset=18)), tmp_path)
    out = engine(path)
    if set(given.constants["w"].shape[2:]) == {1} and out.read_bytes().find(b"tconv") < 0:
        return  # a plain product stays ONNX Runtime's
    same(path, out)


def two_layers(activation: str, x: list[Any], **attributes: Any) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    weights = {f"w{i}": rng.normal(size=(4, 4, 4, 4)).astype(np.float32) for i in range(2)}
    weights |= {"lo": np.float32(0), "hi": np.float32(6)}
    more = ["lo", "hi"] if activation == "Clip" else []
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w0"], ["a"], name="one", **UP),
        helper.make_node(activation, ["a", *more], ["b"], **attributes),
        helper.make_node("ConvTranspose", ["b", "w1"], ["c"], name="two", **UP),
        helper.make_node("Add", ["c", "c"], ["y"]),
    ]
    return model_proto(nodes, {"x": x}, weights=weights)


@pytest.mark.parametrize(
    ("activation", "attributes"),
    [
        ("Relu", {}),
        ("LeakyRelu", {"alpha": 0.2}),
        ("Clip", {}),
        ("Tanh", {}),
        ("Sigmoid", {}),
        ("Elu", {"alpha": 0.5}),
        ("HardSwish", {}),
        ("Softplus", {}),
        ("Mish", {}),
    ],
)
def test_sizes_are_inferred_through_it_and_its_activation(
    activation: str, attributes: dict[str, float], tmp_path: Path
) -> None:
    path = saved(two_layers(activation, ["n", 4, "h", "w"], **attributes), tmp_path)
    out = engine(path)
    assert [node.op_type for node in onnx.load(out).graph.node] == ["ConvTranspose", "ConvTranspose", "Add"]
    same(path, out)
    same(path, out, input={"x": (2, 4, 5, 7)})
    one, two = tconv.onnx.inspect(out, input={"x": (2, 4, 5, 7)}).layers
    assert one.layer.operator == f"tconv::ConvTranspose with {activation}"
    assert two.problem == "n2 c4>4 i10x14 k4 s2 p1"
    assert [work.operator for work in tconv.onnx.inspect(out).work] == ["tconv::ConvTranspose"]


def test_a_fix_of_the_engines_weights(tmp_path: Path) -> None:
    path = saved(two_layers("Relu", [1, 4, 5, 7]), tmp_path)
    out = engine(path)
    for file in (path, out):
        found = diagnose(file)
        found.write(file.with_name(f"fixed-{file.name}"), found.fix())
    x = {"x": np.random.default_rng(1).normal(size=(1, 4, 5, 7)).astype(np.float32)}
    one, two = (answer(str(file.with_name(f"fixed-{file.name}")), x) for file in (path, out))
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-5 * np.abs(one).max())
    assert np.abs(one - answer(str(path), x)).max() > 0.1


def test_the_activations_are_those_of_the_library() -> None:
    proto = one_layer(np.ones((1, 1, 2), np.float32), [1, 1, 4], activation="Rot13")
    with pytest.raises(Exception, match=f"one of {', '.join(ACTIVATIONS)} would fit"):
        opened(proto)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"activation": "Rot13"}, "activation Rot13; Relu, LeakyRelu, PRelu"),
        ({"activation": 3}, "activation 3; Relu"),
        ({"fused": 1}, "unknown attribute fused"),
    ],
)
def test_attributes_that_it_does_not_have(
    attributes: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], domain="tconv", **attributes)
    proto = model_proto(
        [node], {"x": (1, 2, 4)}, weights={"w": np.ones((2, 2, 3), np.float32)}, domains=["tconv"]
    )
    path = saved(proto, tmp_path)
    assert said in refused(path, capsys)
    with pytest.raises(TconvError, match="ConvTranspose"):
        read(path)
