"""Models whose parts would be without end: refused, or stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tconv import TconvError
from tconv.cli import main
from tconv.onnx import inspect, rewrite
from tconv.onnx.rewriting import runner

FAR = 10**12


def saved(folder: Path, nodes: list[onnx.NodeProto], **constants: object) -> Path:
    """A model with a grouped layer, and beside it nodes of constants that output z."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, None, None]) for name in "xy")
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    up = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", group=2, strides=[2, 2])
    held = {"w": np.ones((2, 1, 2, 2), np.float32), **constants}
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in held.items()]
    graph = helper.make_graph([up, *nodes], "g", [x], [y, z], tensors)
    opset = [helper.make_opsetid("", 21)]
    path = folder / "m.onnx"
    path.write_bytes(helper.make_model(graph, ir_version=10, opset_imports=opset).SerializeToString())
    return path


def node(op: str, inputs: str, outputs: str = "z", **options: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **options)


def many(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def one(number: float) -> np.ndarray:
    return np.array(number, np.int64)


#: Nodes and constants, each of which stands for far more numbers than there is memory.
HUGE = {
    "ConstantOfShape": ([node("ConstantOfShape", "s")], {"s": many(10**6, 10**6)}),
    "EyeLike": ([node("ConstantOfShape", "s", "e"), node("EyeLike", "e")], {"s": many(10**6, 10**6)}),
    "Expand": ([node("Expand", "v s")], {"v": np.ones(1, np.float32), "s": many(10**6, 10**6)}),
    "HannWindow": ([node("HannWindow", "n")], {"n": one(FAR)}),
    "MatMul": (
        [node("MatMul", "v s")],
        {"v": np.ones((10**5, 1), np.float32), "s": np.ones((1, 10**5), np.float32)},
    ),
    "OneHot": (
        [node("OneHot", "i n v")],
        {"i": many(1, 2), "n": one(FAR), "v": np.array([0, 1], np.float32)},
    ),
    "Pad": ([node("Pad", "v p")], {"v": np.ones((1, 1), np.float32), "p": many(0, 0, 10**6, 10**6)}),
    "RandomNormal": ([node("RandomNormal", "", shape=[10**6, 10**6])], {}),
    "Resize": (
        [node("Resize", "x s s f", mode="linear")],
        {"s": np.zeros(0, np.float32), "f": np.array([1, 1, 1e5, 1e5], np.float32)},
    ),
    "Tile": ([node("Tile", "v s")], {"v": np.ones(1, np.float32), "s": many(FAR)}),
}


@pytest.mark.parametrize("what", HUGE)
def test_what_would_be_huge_is_not_computed(what: str, tmp_path: Path) -> None:
    nodes, constants = HUGE[what]
    path = saved(tmp_path, nodes, **constants)
    assert [one.layer.name for one in inspect(path).layers] == ["up"]
    assert main(["diagnose", str(path)]) < 2
    assert [step.node for step in rewrite(path, goal="no-groups", check=False).done] == ["up"]


@pytest.mark.parametrize("source", ["constants", "constants found step by step"])
def test_a_range_without_end_is_refused(source: str, tmp_path: Path) -> None:
    """ONNX's inference would write all of its numbers out."""
    steps = [node("Range", "a b c", "r"), node("Cast", "r", to=TensorProto.FLOAT)]
    if source != "constants":
        steps.insert(0, node("Mul", "far a1", "b"))
    path = saved(tmp_path, steps, a=one(0), c=one(1), **({"b": one(FAR)} if len(steps) == 2 else {}),
                 **({} if len(steps) == 2 else {"far": one(FAR), "a1": one(1)}))  # fmt: skip
    for call in (inspect, lambda it: rewrite(it, goal="no-groups")):
        with pytest.raises(TconvError, match="a Range of 1,000,000,000,000 numbers"):
            call(path)


def test_a_loop_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE", 3.0)
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [node("Identity", "on", "on_"), node("Add", "v_ v_", "v__")],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("on", TensorProto.BOOL, []),
            value("v_", TensorProto.FLOAT, [1]),
        ],
        [value("on_", TensorProto.BOOL, []), value("v__", TensorProto.FLOAT, [1])],
    )
    loop = node("Loop", "n t v", body=body)
    path = saved(tmp_path, [loop], n=one(FAR), t=np.bool_(True), v=np.ones(1, np.float32))
    assert [one.layer.name for one in inspect(path).layers] == ["up"]
    with pytest.raises(TconvError, match="no answer within 3 s"):
        rewrite(path, tmp_path / "out.onnx", goal="no-groups")
    assert not (tmp_path / "out.onnx").exists()
