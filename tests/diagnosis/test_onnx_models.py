"""What a diagnosis finds in ONNX models: graphs built here, weights written back and run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tconv import TconvError, algebra
from tconv.diagnosis import Finding, ModelLayer, diagnose
from tconv.geometry import Geometry

onnx = pytest.importorskip("onnx", reason="models are built with onnx")
pytest.importorskip("onnx_ir", reason="models are read with onnx-ir")
helper = onnx.helper

WEIGHT = np.random.default_rng(0).normal(size=(4, 3, 4, 4)).astype(np.float32)


def node(op: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, [output], name=f"{op}_{output}", **attributes)


def model(
    path: Path, nodes: list[Any], arrays: dict[str, np.ndarray], shapes: dict[str, Any], opset: int = 17
) -> Path:
    """An ONNX model of these nodes; arrays named c_* become Constant nodes, the others initializers."""
    held = {name: onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()}
    nodes = [
        *(helper.make_node("Constant", [], [name], value=held[name]) for name in held if name[:2] == "c_"),
        *nodes,
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info(nodes[-1].output[0], 1, [None] * len(shapes["x"]))],
        [tensor for name, tensor in held.items() if name[:2] != "c_"],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), path)
    return path


def by_code(findings: tuple[Finding, ...]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.code, []).append(finding)
    return found


def run(path: Path, **inputs: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


UP = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}


@pytest.mark.parametrize("weight", ["w", "c_w"])
def test_weights_are_found_and_written_back(tmp_path: Path, weight: str) -> None:
    path = model(
        tmp_path / "m.onnx",
        [node("ConvTranspose", ["x", weight], "y", **UP)],
        {weight: WEIGHT},
        {"x": [1, 4, 9, 9]},
    )
    report = diagnose(path)
    (entry,) = report.layers
    assert str(entry.layer.geometry) == "n1 c4>3 i9x9 k4 s2 p1"
    assert entry.layer.sized
    ones = np.ones((1, 4, 9, 9), np.float32)
    assert entry.measures.weights is not None
    inside = run(path, x=ones)[0, :, 5:7, 5:7]  # u = o + 1: the phases begin at an odd output
    np.testing.assert_allclose(inside, entry.measures.weights.channels, rtol=1e-5, atol=1e-6)
    report.write(tmp_path / "flat.onnx", report.fix())
    onnx.checker.check_model(str(tmp_path / "flat.onnx"))
    flat = run(tmp_path / "flat.onnx", x=ones)[0, :, 4:12, 4:12].reshape(3, -1)
    assert (np.ptp(flat, axis=1) < 1e-5).all()
    assert (np.ptp(inside.reshape(3, -1), axis=1) > 0.5).all()


def test_open_sizes_have_a_stand_in_until_they_are_given(tmp_path: Path) -> None:
    nodes = [node("ConvTranspose", ["x", "w"], "y", **UP)]
    path = model(tmp_path / "m.onnx", nodes, {"w": WEIGHT}, {"x": ["n", 4, "h", "v"]})
    (entry,) = diagnose(path).layers
    assert not entry.layer.sized
    assert "~n1 c4>3" in str(diagnose(path))
    for name in ("x", ""):
        (entry,) = diagnose(path, input={name: (1, 4, 5, 7)}).layers
        assert entry.layer.sized
        assert entry.layer.geometry.input == (5, 7)
    with pytest.raises(TconvError, match=r"input 'xx' is unknown; did you mean 'x'\?"):
        diagnose(path, input={"xx": (1, 4, 5, 7)})
    with pytest.raises(TconvError, match=r"input x is \?x4x\?x\?, not 5x7"):
        diagnose(path, input={"x": (5, 7)})


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"auto_pad": "SAME_UPPER", "strides": [2]}, "i7 k3 s2 p0:1"),
        ({"auto_pad": "SAME_LOWER", "strides": [2]}, "i7 k3 s2 p1:0"),
        ({"output_padding": [1], "strides": [2], "pads": [1, 1]}, "i7 k3 s2 p1 o1"),
        ({"dilations": [2]}, "i7 k3 d2"),
        ({}, "i7 k3"),
    ],
)
def test_geometry_is_what_the_runtime_computes(
    tmp_path: Path, attributes: dict[str, Any], problem: str
) -> None:
    weight = np.arange(1.0, 4.0, dtype=np.float32).reshape(1, 1, 3)
    path = model(
        tmp_path / "m.onnx",
        [node("ConvTranspose", ["x", "w"], "y", **attributes)],
        {"w": weight},
        {"x": [1, 1, 7]},
    )
    (entry,) = diagnose(path).layers
    assert str(entry.layer.geometry) == f"n1 c1>1 {problem}"
    assert run(path, x=np.ones((1, 1, 7), np.float32)).shape == entry.layer.geometry.output_shape


def test_what_is_not_looked_at_is_said(tmp_path: Path) -> None:
    nodes = [
        node("Neg", ["w"], "computed"),
        node("ConvTranspose", ["x", "computed"], "a", **UP),
        node("ConvTranspose", ["x", "w"], "b", **UP),
        node("Add", ["a", "b"], "y"),
    ]
    report = diagnose(model(tmp_path / "m.onnx", nodes, {"w": WEIGHT}, {"x": [1, 4, 5, 5]}))
    assert [entry.layer.name for entry in report.layers] == ["ConvTranspose_a", "ConvTranspose_b"]
    assert [entry.measures.weights is None for entry in report.layers] == [True, False]
    assert report.notes == ("weights not examined: ConvTranspose_a (computed in the model, or an input)",)
    assert report.notes[0] in str(report)
    assert list(report.fix()) == ["ConvTranspose_b"]
    with pytest.raises(TconvError, match="ConvTranspose_a: no weights to correct"):
        report.fix(names=("ConvTranspose_a",))


def test_a_ring_of_nodes_does_not_hang() -> None:
    from tconv.diagnosis.structure import of_graph
    from tconv.models import Graph, Node

    up = Node(kind="transposed", name="up", inputs=("x",), outputs=("a",), options={"layer": layer_of("up")})
    ring = [
        Node(kind="pointwise", name=name, inputs=inputs, outputs=outputs)
        for name, inputs, outputs in (("p", ("a", "c"), ("b",)), ("q", ("b",), ("c",)))
    ]
    assert list(of_graph(Graph([up, *ring], {}))) == []


def layer_of(name: str) -> ModelLayer:
    return ModelLayer(name=name, geometry=Geometry.parse("n1 c4>3 i9x9 k4 s2 p1"), weight=WEIGHT)


def sliced(start: int, end: int, axis: int) -> dict[str, np.ndarray]:
    return {"c_start": np.array([start]), "c_end": np.array([end]), "c_axis": np.array([axis])}


@pytest.mark.parametrize(
    ("between", "partner", "expected"),
    [
        (["crop"], [], True),
        ([], ["crop"], True),
        (["relu", "crop"], [], True),
        (["channels"], [], False),
        (["relu"], [], False),
    ],
)
def test_cut_before_a_join(tmp_path: Path, between: list[str], partner: list[str], expected: bool) -> None:
    arrays = {"w": WEIGHT, **sliced(0, -1, 1 if "channels" in between else 2)}
    nodes, at = [node("ConvTranspose", ["x", "w"], "up", **UP)], "up"
    for i, kind in enumerate(between):
        given = [at] if kind == "relu" else [at, "c_start", "c_end", "c_axis"]
        nodes.append(node("Relu" if kind == "relu" else "Slice", given, f"b{i}"))
        at = f"b{i}"
    other = "skip"
    if partner:
        nodes.append(node("Slice", ["skip", "c_start", "c_end", "c_axis"], "cut"))
        other = "cut"
    nodes.append(node("Concat", [at, other], "y", axis=1))
    rows = {"crop": 17}.get(between[-1] if between else "", 18)
    skip = [1, 2, rows + len(partner), 18]
    path = model(tmp_path / "m.onnx", nodes, arrays, {"x": [1, 4, 9, 9], "skip": skip})
    assert run(path, x=np.ones((1, 4, 9, 9), np.float32), skip=np.ones(skip, np.float32)).shape[2] == rows
    assert ("T301" in by_code(diagnose(path).findings)) == expected


def test_joined_along_rows_sizes_need_not_meet(tmp_path: Path) -> None:
    for axis, expected in ((2, False), (-3, True)):
        nodes = [
            node("ConvTranspose", ["x", "w"], "up", **UP),
            node("Slice", ["skip", "c_start", "c_end", "c_axis"], "cut"),
            node("Concat", ["up", "cut"], "y", axis=axis),
        ]
        shapes = {"x": [1, 4, 9, 9], "skip": [1, 3, 19, 18]}
        path = model(tmp_path / "m.onnx", nodes, {"w": WEIGHT, **sliced(0, -1, 2)}, shapes)
        assert ("T301" in by_code(diagnose(path).findings)) == expected


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("added", [False, True])
def test_batchnorm_after_the_layer(tmp_path: Path, groups: int, added: bool) -> None:
    rng = np.random.default_rng(1)
    outputs = 3 * groups
    arrays = {
        "w": WEIGHT,
        **{name: rng.uniform(0.5, 2, outputs).astype(np.float32) for name in ("g", "b", "m", "v", "bias")},
    }
    arrays["c_bias"] = arrays["bias"].reshape(1, -1, 1, 1)
    inputs = ["x", "w"] if added else ["x", "w", "bias"]
    nodes = [node("ConvTranspose", inputs, "up", group=groups, **UP)]
    if added:  # as Paddle's exporter writes a bias
        nodes.append(node("Add", ["up", "c_bias"], "biased"))
    nodes.append(
        node("BatchNormalization", ["biased" if added else "up", "g", "b", "m", "v"], "y", epsilon=1e-3)
    )
    path = model(tmp_path / "m.onnx", nodes, arrays, {"x": [1, 4, 5, 5]})
    found = by_code(diagnose(path).findings)
    assert ("T403" in found, "T402" in found) == (groups > 1, groups == 1)
    weight, bias = algebra.fold_batchnorm(
        WEIGHT, arrays["bias"], mean=arrays["m"], variance=arrays["v"], gamma=arrays["g"], beta=arrays["b"],
        epsilon=1e-3, groups=groups,
    )  # fmt: skip
    folded = model(
        tmp_path / "f.onnx",
        [node("ConvTranspose", ["x", "w", "b"], "y", group=groups, **UP)],
        {"w": weight, "b": bias},
        {"x": [1, 4, 5, 5]},
    )
    x = rng.normal(size=(1, 4, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(run(folded, x=x), run(path, x=x), rtol=1e-4, atol=1e-4)
    assert not {"T402", "T403"} & set(by_code(diagnose(folded).findings))


def test_batchnorm_whose_input_is_seen_elsewhere_stays(tmp_path: Path) -> None:
    ones = np.ones(3, np.float32)
    nodes = [
        node("ConvTranspose", ["x", "w"], "up", **UP),
        node("BatchNormalization", ["up", "v", "v", "v", "v"], "n"),
        node("Add", ["n", "up"], "y"),
    ]
    path = model(tmp_path / "m.onnx", nodes, {"w": WEIGHT, "v": ones}, {"x": [1, 4, 5, 5]})
    assert "T402" not in by_code(diagnose(path).findings)


@pytest.mark.parametrize(
    ("options", "merges"),
    [
        ({"mode": "nearest"}, True),
        ({"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, True),
        ({"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil"}, False),
        ({"mode": "nearest", "coordinate_transformation_mode": "align_corners"}, False),
        ({"mode": "nearest", "nearest_mode": "floor"}, False),
        ({"mode": "linear"}, False),
    ],
)
def test_upsampling_that_merges_is_what_repeats(
    tmp_path: Path, options: dict[str, str], merges: bool
) -> None:
    """Found exactly if ONNX Runtime's Resize and Conv equal the one merged layer."""
    conv = np.random.default_rng(2).integers(-4, 5, (3, 2, 3, 3)).astype(np.float32)
    nodes = [
        node("Resize", ["x", "", "c_scales"], "up", **options),
        node("Conv", ["up", "conv"], "c", pads=[1, 1, 1, 1]),
        node("ConvTranspose", ["c", "w"], "y"),
    ]
    arrays = {
        "c_scales": np.float32([1, 1, 3, 3]),
        "conv": conv,
        "w": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1),
    }
    path = model(tmp_path / "m.onnx", nodes, arrays, {"x": [1, 2, 5, 6]})
    found = by_code(diagnose(path).findings).get("T401", [])
    merged = algebra.merge_nearest(conv, 3, 1)
    one = model(
        tmp_path / "one.onnx",
        [node("ConvTranspose", ["x", "v"], "y", strides=[3, 3], pads=[1, 1, 1, 1])],
        {"v": merged.weight},
        {"x": [1, 2, 5, 6]},
    )
    x = np.random.default_rng(3).integers(-4, 5, (1, 2, 5, 6)).astype(np.float32)
    assert np.array_equal(run(one, x=x), run(path, x=x)) == merges
    assert bool(found) == merges
    if found:
        assert found[0].evidence["merged"] == "n1 c2>3 i5x6 k5 s3 p1"
        assert found[0].evidence["multiplications"] == 6 * (15 * 3 - 2) * (18 * 3 - 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": [2]}, r"strides has 1 numbers; 2 would fit"),
        ({"strides": [0, 0]}, r"strides=\(0, 0\); it must be at least 1"),
        ({"pads": [1]}, r"pads has 1 numbers; 4 would fit"),
        ({"pads": 3}, r"pads is of the kind INT; INTS would fit"),
    ],
)
def test_attributes_of_another_length(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    for op in ("ConvTranspose", "Conv"):
        nodes = [node(op, ["x", "w"], "h", **options), node("ConvTranspose", ["h", "w"], "y")]
        path = model(
            tmp_path / "m.onnx", nodes, {"w": np.ones((2, 2, 3, 3), np.float32)}, {"x": [1, 2, 5, 5]}
        )
        with pytest.raises(TconvError, match=message):
            diagnose(path)


def test_a_tensor_of_another_length_than_its_shape(tmp_path: Path) -> None:
    path = model(
        tmp_path / "m.onnx", [node("ConvTranspose", ["x", "w"], "y")], {"w": WEIGHT}, {"x": [1, 4, 5, 5]}
    )
    broken = onnx.load(path)
    broken.graph.initializer[0].dims[2] = 7
    onnx.save(broken, path)
    with pytest.raises(
        TconvError,
        match=r"m\.onnx is not a valid ONNX model: tensor w: 4x3x7x4 of FLOAT takes 1,344 bytes and 768 are",
    ):
        diagnose(path)
