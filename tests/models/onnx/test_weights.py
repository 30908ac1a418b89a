"""Weights behind other nodes: read as ONNX Runtime computes them, and written where the layer reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tconv import TconvError
from tconv.diagnosis import diagnose
from tconv.models.onnx.nodes import walk
from tconv.models.onnx.reader import read
from tconv.models.onnx.weights import put
from tests.onnx.helpers import info, model_proto, run, saved

RANDOM = np.random.default_rng(4)
WEIGHT = RANDOM.normal(size=(4, 3, 4, 4)).astype(np.float32)
WHOLE = RANDOM.integers(-120, 120, (4, 3, 4, 4))
UP: dict[str, Any] = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
X = RANDOM.normal(size=(1, 4, 5, 5)).astype(np.float32)
NEW = RANDOM.normal(size=WEIGHT.shape).astype(np.float32)


def up(weight: str = "w", x: str = "x", y: str = "y", name: str = "up") -> onnx.NodeProto:
    return helper.make_node("ConvTranspose", [x, weight], [y], name=name, **UP)


def plain(weight: np.ndarray) -> np.ndarray:
    """ONNX Runtime's output for X with these weights."""
    proto = model_proto([up()], {"x": X.shape}, weights={"w": weight})
    return run(proto.SerializeToString(), {"x": X})[0]


def behind(way: str) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """The nodes that compute "w", and the arrays that they read."""
    node = helper.make_node
    scales, zeros = RANDOM.uniform(0.01, 0.1, 4).astype(np.float32), RANDOM.integers(-9, 9, 4)
    return {
        "initializer": ([], {"w": WEIGHT}),
        "Constant": ([node("Constant", [], ["w"], value=numpy_helper.from_array(WEIGHT))], {}),
        "Identity": ([node("Identity", ["v"], ["w"])], {"v": WEIGHT}),
        "Cast": ([node("Cast", ["v"], ["w"], to=TensorProto.FLOAT)], {"v": WEIGHT.astype(np.float16)}),
        "Cast of Cast": (
            [
                node("Cast", ["v"], ["u"], to=TensorProto.FLOAT16),
                node("Identity", ["u"], ["i"]),
                node("Cast", ["i"], ["w"], to=TensorProto.FLOAT),
            ],
            {"v": WEIGHT},
        ),
        "per tensor": (
            [node("DequantizeLinear", ["v", "s", "z"], ["w"])],
            {"v": WHOLE.astype(np.uint8), "s": np.float32(0.03), "z": np.uint8(128)},
        ),
        "without zero point": (
            [node("DequantizeLinear", ["v", "s"], ["w"], axis=0)],
            {"v": WHOLE.astype(np.int8), "s": scales},
        ),
        "per channel": (
            [node("DequantizeLinear", ["v", "s", "z"], ["w"], axis=-4)],
            {"v": WHOLE.astype(np.int8), "s": scales, "z": zeros.astype(np.int8)},
        ),
        "in blocks": (
            [node("DequantizeLinear", ["v", "s"], ["w"], axis=0, block_size=3)],
            {"v": WHOLE.astype(np.int8), "s": RANDOM.uniform(0.01, 0.1, (2, 3, 4, 4)).astype(np.float32)},
        ),
        "quantized floats": (
            [
                node("QuantizeLinear", ["v", "s", "z"], ["q"]),
                node("DequantizeLinear", ["q", "s", "z"], ["w"]),
            ],
            {"v": WEIGHT, "s": np.float32(0.03), "z": np.int8(0)},
        ),
        "per channel of axis 1": (
            [node("DequantizeLinear", ["v", "s", "z"], ["w"])],
            {"v": WHOLE.astype(np.int8), "s": scales[:3], "z": zeros[:3].astype(np.int8)},
        ),
    }[way]  # fmt: skip


WAYS = ("initializer", "Constant", "Identity", "Cast", "Cast of Cast", "per tensor", "without zero point",
        "per channel", "per channel of axis 1", "in blocks", "quantized floats")  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_weights_are_what_onnx_runtime_computes(way: str, tmp_path: Path) -> None:
    nodes, arrays = behind(way)
    path = saved(model_proto([*nodes, up()], {"x": X.shape}, weights=arrays, opset=21), tmp_path)
    (layer,) = read(path).layers
    held = model_proto([*nodes, helper.make_node("Neg", ["w"], ["y"])], {}, weights=arrays, opset=21)
    np.testing.assert_array_equal(layer.weight, -run(held.SerializeToString(), {})[0])
    (entry,) = diagnose(path).layers
    assert entry.measures.weights is not None


@pytest.mark.parametrize("way", WAYS)
def test_other_weights_are_what_the_layer_then_reads(way: str, tmp_path: Path) -> None:
    nodes, arrays = behind(way)
    path = saved(model_proto([*nodes, up()], {"x": X.shape}, weights=arrays, opset=21), tmp_path)
    found, out = read(path), tmp_path / "out.onnx"
    before = path.read_bytes()
    assert found.save is not None
    with out.open("wb") as file:
        found.save(file, {"up": NEW})
    np.testing.assert_array_equal(run(out, {"x": X})[0], plain(NEW))
    np.testing.assert_array_equal(read(out).layers[0].weight, NEW)
    assert path.read_bytes() == before
    assert found.layers[0].weight is not None
    assert not np.array_equal(found.layers[0].weight, NEW)
    left = {node.op_type for node in onnx.load(out).graph.node}
    assert left <= {"ConvTranspose", "Constant", "Identity"}  # nothing that only computed the old ones
    assert len(onnx.load(out).graph.initializer) <= 1


def rewritten(proto: onnx.ModelProto, weights: dict[str, np.ndarray], folder: Path) -> Path:
    found, out = read(saved(proto, folder)), folder / "out.onnx"
    assert found.save is not None
    with out.open("wb") as file:
        found.save(file, weights)
    return out


def test_what_others_read_stays(tmp_path: Path) -> None:
    nodes = [up(), up(y="z", name="two"), helper.make_node("Neg", ["w"], ["n"])]
    proto = model_proto(nodes, {"x": X.shape}, ["y", "z", "n"], {"w": WEIGHT})
    y, z, n = run(rewritten(proto, {"two": NEW}, tmp_path), {"x": X})
    np.testing.assert_array_equal(y, plain(WEIGHT))
    np.testing.assert_array_equal(z, plain(NEW))
    np.testing.assert_array_equal(n, -WEIGHT)


def test_weights_in_a_branch_and_in_a_function(tmp_path: Path) -> None:
    """Two layers of one name get distinct names; weights that a call passes are replaced."""
    branches = {
        name: helper.make_graph(
            [up(y=name)], name, [], [info(name, None)], [numpy_helper.from_array(WEIGHT, "w")]
        )
        for name in ("then_branch", "else_branch")
    }
    function = helper.make_function(
        "house", "Up", ["a", "b"], ["c"], [up("b", "a", "c", "inner")], [helper.make_opsetid("", 18)]
    )
    held = helper.make_function(
        "house", "Own", ["a"], ["c"],
        [
            helper.make_node("Constant", [], ["b"], value=numpy_helper.from_array(WEIGHT)),
            up("b", "a", "c", "own"),
        ],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    nodes = [
        helper.make_node("If", ["go"], ["y"], name="if", **branches),
        helper.make_node("Up", ["x", "v"], ["z"], domain="house"),
        helper.make_node("Own", ["x"], ["o"], domain="house"),
    ]
    proto = model_proto(nodes, {"x": X.shape}, ["y", "z", "o"], {"v": WEIGHT}, functions=[function, held])
    proto.graph.input.append(info("go", [], TensorProto.BOOL))
    names = [layer.name for layer in read(saved(proto, tmp_path)).layers]
    assert sorted(names) == ["if/else_branch/up", "if/then_branch/up", "inner", "own"]
    out = rewritten(proto, {"if/then_branch/up": NEW, "inner": NEW}, tmp_path)
    for go in (True, False):
        y, z, o = run(out, {"x": X, "go": np.array(go)})
        np.testing.assert_array_equal(y, plain(NEW if go else WEIGHT))
        np.testing.assert_array_equal(z, plain(NEW))
        np.testing.assert_array_equal(o, plain(WEIGHT))
    with pytest.raises(TconvError, match=r"own: its weights are read in function house::Own"):
        rewritten(proto, {"own": NEW}, tmp_path)


def test_old_models_and_data_outside(tmp_path: Path) -> None:
    old = model_proto([up()], {"x": X.shape, "w": WEIGHT.shape}, weights={"w": WEIGHT}, opset=8, ir_version=3)
    np.testing.assert_array_equal(run(rewritten(old, {"up": NEW}, tmp_path), {"x": X})[0], plain(NEW))
    path = tmp_path / "beside.onnx"
    proto = model_proto(
        [up(), up("v", y="z", name="two")], {"x": X.shape}, ["y", "z"], {"w": WEIGHT, "v": WEIGHT}
    )
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    found, out = read(path), tmp_path / "elsewhere"
    out.mkdir()
    assert found.save is not None
    with (out / "out.onnx").open("wb") as file:  # in one piece
        found.save(file, {"two": NEW})
    y, z = run(out / "out.onnx", {"x": X})
    np.testing.assert_array_equal(y, plain(WEIGHT))
    np.testing.assert_array_equal(z, plain(NEW))


def test_what_is_not_dequantized_here_is_computed(tmp_path: Path) -> None:
    """Scales of another length, and of other blocks."""
    for options, scale in (
        ({}, np.float32([1, 2])),
        ({"block_size": 3, "axis": 0}, np.ones((1, 3, 4, 4), np.float32)),
    ):
        nodes = [helper.make_node("DequantizeLinear", ["v", "s"], ["w"], **options), up()]
        proto = model_proto(nodes, {"x": X.shape}, weights={"v": WHOLE.astype(np.int8), "s": scale}, opset=21)
        layer = read(saved(proto, tmp_path)).layers[0]
        assert layer.weight is None
        assert "computed" in layer.why
        assert str(layer.geometry) == "n1 c4>3 i5x5 k4 s2 p1"


def test_weights_that_are_claimed_too_often_are_refused(tmp_path: Path) -> None:
    """2,000 layers that each dequantize the one tensor of a small file."""
    nodes = []
    for i in range(2000):
        nodes.append(helper.make_node("DequantizeLinear", ["v", "s"], [f"w{i}"]))
        nodes.append(helper.make_node("ConvTranspose", ["x", f"w{i}"], [f"y{i}"], name=f"up{i}"))
    arrays = {"v": np.zeros((64, 64, 4, 4), np.int8), "s": np.float32(0.5)}
    path = saved(model_proto(nodes, {"x": (1, 64, 5, 5)}, ["y0"], arrays), tmp_path)
    with pytest.raises(TconvError, match=r"share weights so often that they come to 68,419,584 bytes"):
        read(path)


@pytest.mark.parametrize(("many", "read_"), [(64, True), (65, False)])
def test_a_chain_of_identities_is_followed_only_so_far(tmp_path: Path, many: int, read_: bool) -> None:
    """Thousands of layers behind thousands of Identities would take the product of both."""
    chain = [helper.make_node("Identity", [f"v{i}"], [f"v{i + 1}"]) for i in range(many)]
    proto = model_proto([*chain, up(f"v{many}")], {"x": X.shape}, weights={"v0": WEIGHT})
    (layer,) = read(saved(proto, tmp_path)).layers
    assert (layer.weight is not None) == read_


def test_a_model_is_walked_once_for_all_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for each: that would be the square of their number."""
    many, walks = 40, []
    nodes = [up(y=f"y{i}", name="up") for i in range(many)] + [helper.make_node("Neg", ["w"], ["n"])]
    names = [f"y{i}" for i in range(many)]
    path = tmp_path / "model.onnx"
    path.write_bytes(model_proto(nodes, {"x": X.shape}, names, {"w": WEIGHT}).SerializeToString())
    found = read(path)

    def counted(model: Any) -> Any:
        walks.append(1)
        return walk(model)

    monkeypatch.setattr("tconv.models.onnx.weights.walk", counted)
    changed = found.onnx.clone()
    put(changed, dict.fromkeys(found.layers, NEW))
    assert len(walks) < 5
    made = [str(node.inputs[1].name) for node in changed.graph if node.op_type == "ConvTranspose"]
    assert len(set(made)) == many
