"""ONNX files read and written, and the constants in them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import tconv.onnx as ours
from tconv import TconvError
from tconv.models.onnx.file import files_beside
from tests.onnx.helpers import layer, model_proto, run, saved


def test_a_model_is_written_as_it_was_read(tmp_path: Path) -> None:
    proto = layer(("n", 4, "h", 5), bias=True, strides=[2, 2])
    proto.metadata_props.add(key="author", value="somebody")
    proto.producer_name = "a test"
    ours.write(ours.read(saved(proto, tmp_path)), tmp_path / "out.onnx")
    again = onnx.load(tmp_path / "out.onnx")
    assert again.opset_import[0].version == 18
    assert again.ir_version == 9
    assert [(entry.key, entry.value) for entry in again.metadata_props] == [("author", "somebody")]
    assert again.producer_name == "a test"
    assert again.graph.input == proto.graph.input
    assert [value.name for value in again.graph.output] == ["y"]
    feeds = {"x": np.random.default_rng(1).normal(size=(2, 4, 3, 5)).astype(np.float32)}
    before = run(tmp_path / "model.onnx", feeds)[0]
    np.testing.assert_array_equal(run(tmp_path / "out.onnx", feeds)[0], before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "out.onnx"]


def _outside(folder: Path) -> Path:
    folder.mkdir()
    path = folder / "model.onnx"
    onnx.save(layer(weight=(4, 8, 5, 5)), path, save_as_external_data=True, location="weights.bin")
    assert (folder / "weights.bin").stat().st_size == 4 * 4 * 8 * 25
    return path


def test_data_outside_are_read_when_used_and_written_beside_the_copy(tmp_path: Path) -> None:
    read = ours.read(_outside(tmp_path / "in"))
    (tmp_path / "out").mkdir()
    ours.write(read, tmp_path / "out" / "copy.onnx")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["copy.onnx", "copy.onnx.data"]
    ours.write(read, tmp_path / "out" / "copy.onnx")  # over what it wrote itself: no file is written over
    data, model = sorted((path.name for path in (tmp_path / "out").iterdir()), key=len, reverse=True)
    assert model == "copy.onnx"
    assert re.fullmatch(r"copy\.onnx\.[0-9a-f]{12}\.data", data)
    (layer_before,) = ours.transposed(read)
    (layer_after,) = ours.transposed(ours.read(tmp_path / "out" / "copy.onnx"))
    np.testing.assert_array_equal(layer_after.weight, layer_before.weight)
    feeds = {"x": np.ones((1, 4, 5, 5), np.float32)}
    before = run(tmp_path / "in" / "model.onnx", feeds)[0]
    np.testing.assert_array_equal(run(tmp_path / "out" / "copy.onnx", feeds)[0], before)


def _laid_outside(folder: Path, location: str, *tensors: onnx.TensorProto) -> None:
    """The bytes of these tensors one after the other in a file of the folder, whatever their size."""
    data = b""
    for tensor in tensors:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        told = {"location": location, "offset": len(data), "length": len(tensor.raw_data)}
        for key, value in told.items():
            tensor.external_data.add(key=key, value=str(value))
        data += tensor.raw_data
        tensor.ClearField("raw_data")
    (folder / location).write_bytes(data)


@pytest.mark.parametrize("attribute", [False, True])
@pytest.mark.parametrize("initializer", [False, True])
def test_small_data_outside_and_those_of_constant_nodes_go_with_the_copy(
    tmp_path: Path, attribute: bool, initializer: bool
) -> None:
    source, copy = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    copy.mkdir()
    proto = layer(("n", 4, "h", 5), bias=True)
    weight, bias = proto.graph.initializer
    if attribute:
        held = helper.make_node("Constant", [], [weight.name], value=weight)
        del proto.graph.initializer[0]
        (bias,) = proto.graph.initializer
        proto.graph.node.insert(0, held)
        weight = proto.graph.node[0].attribute[0].t
    _laid_outside(source, "weights.bin", weight, *([bias] if initializer else []))
    read = ours.read(saved(proto, source))
    ours.write(read, copy / "copy.onnx")
    feeds = {"x": np.random.default_rng(1).normal(size=(2, 4, 3, 5)).astype(np.float32)}
    before = run(source / "model.onnx", feeds)[0]
    np.testing.assert_array_equal(run(copy / "copy.onnx", feeds)[0], before)
    data = ["copy.onnx.data"] if initializer or not attribute else []
    assert sorted(path.name for path in copy.iterdir()) == ["copy.onnx", *data]
    assert files_beside(read) == {source / "weights.bin"}  # what was read is as it was


def test_data_of_the_model_that_was_read_are_not_written_over(tmp_path: Path) -> None:
    path = _outside(tmp_path / "in")
    (path.parent / "weights.bin").rename(path.parent / "x.onnx.data")
    path.write_bytes(path.read_bytes().replace(b"weights.bin", b"x.onnx.data"))
    with pytest.raises(TconvError, match=r"x\.onnx\.data holds the data of the model that was read"):
        ours.write(ours.read(path), path.parent / "x.onnx")
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["model.onnx", "x.onnx.data"]


def test_a_model_too_large_for_one_file_gets_its_data_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tconv.models.onnx.file.LARGEST", 3000)
    path = saved(layer(weight=(4, 8, 5, 5)), tmp_path)
    ours.write(ours.read(path), tmp_path / "out.onnx")
    assert (tmp_path / "out.onnx.data").stat().st_size == 4 * 4 * 8 * 25
    assert (tmp_path / "out.onnx").stat().st_size < 3000
    feeds = {"x": np.ones((1, 4, 5, 5), np.float32)}
    np.testing.assert_array_equal(run(tmp_path / "out.onnx", feeds)[0], run(path, feeds)[0])


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    read = ours.read(_outside(tmp_path / "in"))
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "x.onnx", tmp_path / "none" / "x.onnx"):
        with pytest.raises(TconvError, match="cannot write"):
            ours.write(read, path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "in"]
    assert ours.transposed(read)[0].weight is not None


def _constants(proto: onnx.ModelProto, folder: Path) -> list[object]:
    read = ours.read(saved(proto, folder))
    return [ours.constant(value) for value in list(read.graph)[-1].inputs]


def test_constants_are_initializers_nodes_and_what_identity_passes_on(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    nodes = [
        helper.make_node("Constant", [], ["a"], value=numpy_helper.from_array(array)),
        helper.make_node("Constant", [], ["b"], value_floats=[0.5, 1.5]),
        helper.make_node("Constant", [], ["c"], value_int=7),
        helper.make_node("Identity", ["a"], ["d"]),
        helper.make_node("Identity", ["w"], ["e"]),
        helper.make_node("Relu", ["w"], ["f"]),
        helper.make_node("Sum", ["a", "b", "c", "d", "e", "f", "x", "w"], ["y"]),
    ]
    found = _constants(model_proto(nodes, inputs={"x": None}, weights={"w": array}), tmp_path)
    a, b, c, d, e, f, x, w = found
    for one in (a, d, e, w):
        np.testing.assert_array_equal(one, array)
    np.testing.assert_array_equal(b, np.float32([0.5, 1.5]))
    assert c == 7
    assert f is None
    assert x is None


@pytest.mark.parametrize(("ir_version", "fixed"), [(3, True), (8, False)])
def test_an_initializer_that_a_caller_may_replace_is_no_constant(
    tmp_path: Path, ir_version: int, fixed: bool
) -> None:
    """Before IR version 4 every initializer had to be listed as an input."""
    proto = model_proto(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        inputs={"x": [2], "w": [2]},
        weights={"w": np.ones(2, np.float32)},
        opset=7,
        ir_version=ir_version,
    )
    found = _constants(proto, tmp_path)[1]
    assert (found is not None) == fixed
    given = {"x": np.zeros(2, np.float32), "w": np.full(2, 5, np.float32)}
    if fixed:  # ONNX Runtime does not let it be given, either
        with pytest.raises(Exception, match="Invalid input name"):
            run(tmp_path / "model.onnx", given)
    else:
        np.testing.assert_array_equal(run(tmp_path / "model.onnx", given)[0], [5, 5])


@pytest.mark.parametrize(
    "kind", ["FLOAT16", "BFLOAT16", "INT4", "UINT4", "DOUBLE", "BOOL", "COMPLEX64", "STRING"]
)
@pytest.mark.parametrize("raw", [True, False])
def test_every_type_of_tensor_is_measured_rightly(tmp_path: Path, kind: str, raw: bool) -> None:
    """Tensors as onnx's own helper makes them, raw or not, with an odd number of values."""
    number = getattr(onnx.TensorProto, kind)
    values = [b"a", b"b", b"c"] if kind == "STRING" else [1, 0, 1]
    if raw and kind == "STRING":
        return
    tensor = helper.make_tensor("w", number, [3], values)
    if raw:
        tensor = numpy_helper.from_array(numpy_helper.to_array(tensor), "w")
    proto = model_proto([helper.make_node("Identity", ["w"], ["y"])], inputs={}, opset=21, ir_version=10)
    proto.graph.initializer.append(tensor)
    found = ours.constant(next(iter(ours.read(saved(proto, tmp_path)).graph)).inputs[0])
    if kind == "STRING":
        assert found is None  # no numbers
    else:
        assert found is not None
        assert found.astype(np.complex64).tolist() == values


_WRITER = """
import sys, time, onnx_ir as ir
from tconv.models.onnx import file
model, number, end = file.read(sys.argv[1]), float(sys.argv[3]), time.time() + 6
for value in model.graph.initializers.values():
    value.const_value = ir.tensor(value.const_value.numpy() * 0 + number, name=value.name)
file.LARGEST = 3000  # so that it takes two files
while time.time() < end:
    model.graph.doc_string = str(number)
    file.write(model, sys.argv[2])
"""


def test_a_reader_never_sees_a_model_with_the_data_of_another(tmp_path: Path) -> None:
    source, path = _outside(tmp_path / "in"), tmp_path / "out" / "copy.onnx"
    path.parent.mkdir()
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, source, path, str(number)]) for number in (1, 2, 3)
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        try:
            proto = onnx.load(path)
        except (FileNotFoundError, RuntimeError, onnx.checker.ValidationError):  # replaced meanwhile
            continue
        numbers = {float(n) for w in proto.graph.initializer for n in np.unique(numpy_helper.to_array(w))}
        assert numbers == {float(proto.graph.doc_string)}
        seen |= numbers
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert seen == {1.0, 2.0, 3.0}
    onnx.load(path)  # whoever was last has left both files
    assert len(list(path.parent.iterdir())) <= 4  # and a writer in progress may have kept another's
    ours.write(ours.read(source), path)
    assert len(list(path.parent.iterdir())) == 2
