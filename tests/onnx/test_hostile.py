"""Files that are not models, or are malicious: one line, exit status 2, nothing written, memory bounded."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tconv import TconvError
from tconv.cli import main
from tconv.onnx import inspect, read
from tests.helpers import PATIENCE
from tests.onnx.growing import calling, cycle, doubling, doubling_calls, function, nested, node, wide_shapes
from tests.onnx.helpers import layer, model_proto, refused, saved

GB = 1 << 30
WEIGHT = np.ones((4, 3, 3, 3), np.float32)


def tensor(**fields: object) -> onnx.ModelProto:
    """A layer whose weights are this tensor."""
    proto = layer()
    held = proto.graph.initializer[0]
    for name, value in fields.items():
        held.ClearField(name)
        if isinstance(value, list):
            getattr(held, name).extend(value)
        else:
            setattr(held, name, value)
    return proto


def _zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("data.pkl", b"x")
    return made.getvalue()


BYTES = {
    "empty": (b"", "is empty"),
    "text": (b"This is no model.\n" * 20, "not a valid ONNX model"),
    "json": (b'{"graph": {}}', "it is JSON"),
    "page": (b"<!doctype html>", "HTML"),
    "zip": (_zipped(), "a zip archive"),
    "pickle": (pickle.dumps({"weights": [1, 2]}), "a pickle, which could run code"),
    "gzip": (gzip.compress(layer().SerializeToString()), "gunzip it first"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "zeros": (bytes(4096), "not a valid ONNX model"),
    "cut": (layer().SerializeToString()[:-40], "not a valid ONNX model"),
    "no graph": (onnx.ModelProto(ir_version=8).SerializeToString(), "its graph has no nodes"),
}


@pytest.mark.parametrize("kind", BYTES)
def test_files_of_another_kind(tmp_path: Path, kind: str) -> None:
    data, said = BYTES[kind]
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(TconvError, match=said):
        read(path)


def _opset(version: int, domain: str = "") -> onnx.ModelProto:
    proto = layer()
    proto.opset_import[0].version = version
    proto.opset_import[0].domain = domain
    return proto


def _renamed(**fields: object) -> onnx.ModelProto:
    proto = layer()
    for name, value in fields.items():
        setattr(proto.graph.node[0], name, value)
    return proto


def _bytes_for_text() -> bytes:
    return layer().SerializeToString().replace(b"ConvTranspose", b"ConvTransp\xff\xfe\xfd")


def _twice() -> onnx.ModelProto:
    proto = layer()
    proto.graph.node.append(proto.graph.node[0])
    return proto


def _wide() -> onnx.ModelProto:
    proto = layer()
    proto.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 10**12
    return proto


def _doubled() -> onnx.ModelProto:
    proto = layer()
    proto.graph.initializer.append(proto.graph.initializer[0])
    return proto


def _sparse_in_a_function() -> onnx.ModelProto:
    values = helper.make_tensor("v", onnx.TensorProto.FLOAT, [1], [1.0])
    sparse = helper.make_sparse_tensor(values, helper.make_tensor("i", onnx.TensorProto.INT64, [1], [0]), [4])
    steps = [node("Constant", [], ["c"], sparse_value=sparse), node("Add", ["a", "c"], ["b"])]
    return calling(helper.make_function("d", "f", ["a"], ["b"], steps, [helper.make_opsetid("", 18)]))


BROKEN: dict[str, tuple[Callable[[], onnx.ModelProto | bytes], str]] = {
    "cycle": (cycle, "b is read before it is defined: a cycle, or a wrong order"),
    "made nowhere": (lambda: model_proto([node("Relu", ["z"], ["y"])], {"x": [1]}), "z is not defined"),
    "no output": (lambda: model_proto([node("Relu", ["x"], ["z"])], {"x": [1]}), "y is not defined in it"),
    "two initializers of one name": (_doubled, "graph: two initializers of the name w"),
    "sparse in a function": (_sparse_in_a_function, "it has sparse tensors, which are not supported"),
    "made twice": (_twice, "y is defined twice"),
    "function of itself": (lambda: calling(function("f", "f")), "function f calls itself"),
    "functions of each other": (
        lambda: calling(function("f", "g"), function("g", "f")),
        "calls itself",
    ),
    "functions that explode": (
        lambda: calling(*(function(f"f{i}", f"f{i + 1}", 10) for i in range(9)), function("f9", "Relu")),
        "have more than 5,000 nodes, counted at every call",
    ),
    "functions that double 24 times": (
        lambda: calling(*(function(f"f{i}", f"f{i + 1}", 2) for i in range(23)), function("f23", "Relu")),
        "have more than 5,000 nodes, counted at every call",
    ),
    "a shape that doubles 40 times": (lambda: doubling(40), "a shape in it grows to more than 1,000,000"),
    "a thousand long shapes": (lambda: wide_shapes(1000), "its shapes grow to more than 16,000,000 numbers"),
    "a shape that functions double": (lambda: doubling_calls(20), "a shape in it grows to more"),
    "functions in functions": (
        lambda: calling(*(function(f"f{i}", f"f{i + 1}") for i in range(30)), function("f30", "Relu")),
        "function calls nested more than 24 deep",
    ),
    "graphs too deep": (lambda: nested(27), "subgraphs more than 24 deep"),
    "opset of the future": (lambda: _opset(999), "opset 999 is unknown; 1 to "),
    "opset zero": (lambda: _opset(0), "opset 0 is unknown"),
    "opset of nobody": (lambda: _opset(1, "nobody"), "no opset for the domain ai.onnx"),
    "custom operator": (lambda: _renamed(domain="acme"), "no opset for the domain acme"),
    "unknown operator": (lambda: _renamed(op_type="ConvTransposed"), "has no operator ConvTransposed"),
    "control characters": (lambda: _renamed(op_type="\x1b[2J\n"), r"has no operator \x1b[2J\n"),
    "names that are no text": (_bytes_for_text, "is not UTF-8"),
    "size of 10^12": (_wide, "x: size 1000000000000; 0 to 2147483647 would fit"),
    "weights of 10^12": (
        lambda: tensor(dims=[10**6, 10**6], raw_data=b""),
        "tensor w: 1000000x1000000 of FLOAT takes 4,000,000,000,000 bytes and 0 are there",
    ),
    "weights of 10^24": (lambda: tensor(dims=[10**12, 10**12]), "its shape is 1000000000000x1000000000000"),
    "negative weights": (lambda: tensor(dims=[-4, -3, 3, 3]), "its shape is -4x-3x3x3"),
    "too few bytes": (lambda: tensor(raw_data=bytes(400)), "takes 432 bytes and 400 are there"),
    "too many bytes": (lambda: tensor(raw_data=bytes(436)), "takes 432 bytes and 436 are there"),
    "too few numbers": (
        lambda: _floats(107),
        "takes 108 values and 107 are there",
    ),
    "unknown type": (lambda: tensor(data_type=99), "tensor w: unknown type 99"),
    "type of nothing": (lambda: tensor(data_type=0), "tensor w: unknown type 0"),
    "another shape": (lambda: tensor(dims=[108]), "weights of shape 108"),
    "another number of channels": (lambda: tensor(dims=[3, 4, 3, 3]), "weights of shape 3x4x3x3 and an "),
    "text for weights": (lambda: tensor(data_type=TensorProto.STRING), "text as raw bytes"),
    "too many inputs": (lambda: _inputs(9), "9 inputs; ConvTranspose has 2 to 3"),
    "too few inputs": (lambda: _inputs(1), "1 inputs; ConvTranspose has 2 to 3"),
    "attribute twice": (lambda: _attribute("group", 1, 2), "the attribute group twice"),
    "attribute unknown": (lambda: _attribute("grups", 1), "unknown attribute grups; ConvTranspose has"),
    "stride zero": (lambda: layer(strides=[0, 2]), "strides"),
    "stride of 2^62": (lambda: layer(strides=[2**62, 2]), "strides [4611686018427387904, 2]; numbers of"),
    "kernel of 2^30": (lambda: _computed(kernel_shape=[2**30, 3]), "kernel_shape"),
    "half a graph": (lambda: _empty_branch(), "then_branch is of the kind GRAPH and has no such value"),
}  # fmt: skip


def _floats(many: int) -> onnx.ModelProto:
    proto = layer()
    proto.graph.initializer[0].ClearField("raw_data")
    proto.graph.initializer[0].float_data.extend([1.0] * many)
    return proto


def _inputs(many: int) -> onnx.ModelProto:
    proto = layer()
    del proto.graph.node[0].input[:]
    proto.graph.node[0].input.extend(["x"] * many)
    return proto


def _attribute(name: str, *values: int) -> onnx.ModelProto:
    proto = layer()
    proto.graph.node[0].attribute.extend(helper.make_attribute(name, value) for value in values)
    return proto


def _computed(**options: object) -> onnx.ModelProto:
    """A layer whose weights are an input of symbolic shape."""
    up = node("ConvTranspose", ["x", "w"], ["y"], name="up", **options)
    return model_proto([up], inputs={"x": (1, 4, 5, 5), "w": None})


def _empty_branch() -> onnx.ModelProto:
    proto = nested(2)
    branch = next(a for a in proto.graph.node[0].attribute if a.name == "then_branch")
    branch.ClearField("g")
    return proto


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_models(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    make, said = BROKEN[kind]
    made = make()
    path = tmp_path / "model.onnx"
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    assert said in refused(path, capsys, "--json")
    out = str(tmp_path / "out.onnx")
    assert said in refused(path, capsys, out, "--for", "no-groups", command="rewrite")


def test_paths_that_are_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, said in (
        (tmp_path / "none.onnx", "No such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "\x1b[2J\n.onnx", r"\x1b[2J\n.onnx"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        assert said in refused(path, capsys)
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    assert "no regular file" in refused(pipe, capsys)
    assert main(["inspect", "a\0b"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_custom_operator_whose_domain_is_declared_is_looked_past(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = layer()
    proto.graph.node[0].output[0] = "z"
    proto.graph.node.append(node("Thing", ["z"], ["y"], domain="acme"))
    proto.opset_import.add(domain="acme", version=3)
    assert main(["inspect", str(saved(proto, tmp_path)), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["notes"] == ["not counted, since their operation is unknown: acme.Thing"]
    assert found["layers"][0]["problem"] == "n1 c4>3 i5x5 k3"


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
from tconv.cli import main
status = main(sys.argv[2:])
# Not ru_maxrss, which begins with that of the process that started this one.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("peak", int(peak.split()[1]) >> 10, file=sys.stderr)
sys.exit(status)
"""


def limited(memory: int, *words: str) -> tuple[int, str, int]:
    """Status, last line and peak in MB of a command with limited address space."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(memory), *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    *lines, peak = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return done.returncode, lines[0], int(peak.split()[1])


def test_a_file_of_3_gb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = saved(layer(), tmp_path)
    os.truncate(path, 3 * GB)  # a hole: it takes no room on the disk
    status, said, peak = limited(2 * GB, "inspect", str(path))
    assert status == 2
    assert "has 3,221,225,472 bytes and a model in one file at most 2,147,483,647" in said
    assert peak < 500


def test_many_empty_nodes_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    """The smallest nodes, two bytes each, use the most memory for a file's size."""
    inner = b"\x0a\x00" * 3_000_000
    graph = b"\x3a" + _varint(len(inner)) + inner
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x08" + graph)
    status, said, peak = limited(4 * GB, "inspect", str(path))
    assert status == 2
    assert "not a valid ONNX model" in said
    assert peak < 2000


def _varint(number: int) -> bytes:
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


def test_more_layers_than_can_be_examined_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tconv.models.onnx.reader._MOST", 3)
    names = [f"x{i}" for i in range(5)]
    for many in (3, 4):
        steps = [
            node("ConvTranspose", [names[i], "w"], [names[i + 1] if i < many - 1 else "y"])
            for i in range(many)
        ]
        path = tmp_path / f"{many}.onnx"
        weights = {"w": np.ones((1, 1, 1, 1), np.float32)}
        path.write_bytes(model_proto(steps, {"x0": [1, 1, 4, 4]}, weights=weights).SerializeToString())
        if many == 3:
            assert len(inspect(path).layers) == 3
        else:
            with pytest.raises(TconvError, match="4 convolutions; up to 3 can be examined"):
                inspect(path)
