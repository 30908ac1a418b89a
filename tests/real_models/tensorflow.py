"""A frozen TensorFlow graph (.pb) as ONNX, read without TensorFlow: what deepbrain's U-Net is made of.

The file is a GraphDef in protobuf's wire format; only the fields that are used here are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_PASSED = ("Identity", "Switch", "Merge")  # in evaluation a dropout hands its input on


class _Node(NamedTuple):
    op: str
    inputs: list[str]
    attributes: dict[str, bytes]


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers of fields with their values: integers, or bytes."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        kind = key & 7
        if kind == 0:
            yield key >> 3, number()
            continue
        length = number() if kind == 2 else {5: 4, 1: 8}[kind]
        yield key >> 3, data[at : at + length]
        at += length


def _nodes(data: bytes) -> dict[str, _Node]:
    nodes = {}
    for field, body in _fields(data):
        if field != 1:
            continue
        found: dict[int, list[bytes]] = {}
        for inner, value in _fields(body):
            found.setdefault(inner, []).append(value)
        pairs = [dict(_fields(entry)) for entry in found.get(5, [])]
        inputs = [name.decode().split(":")[0] for name in found.get(3, []) if not name.startswith(b"^")]
        nodes[found[1][0].decode()] = _Node(
            found[2][0].decode(), inputs, {pair[1].decode(): pair[2] for pair in pairs}
        )
    return nodes


def _array(node: _Node) -> np.ndarray:
    """The float32 tensor of a Const node."""
    tensor = dict(_fields(dict(_fields(node.attributes["value"]))[8]))
    sizes = [dict(_fields(size)).get(1, 0) for field, size in _fields(tensor[2]) if field == 2]
    raw = tensor.get(4) or tensor[5]  # tensor_content, or a short list of floats
    return np.frombuffer(raw, "<f4").reshape(sizes)


def _strides(node: _Node) -> list[int]:
    (packed,) = (
        value for field, value in _fields(dict(_fields(node.attributes["strides"]))[1]) if field == 3
    )
    return list(packed)[1:4]  # each is one byte


def _padding(node: _Node) -> str:
    return str(dict(_fields(node.attributes["padding"]))[2].decode())


class _Made:
    def __init__(self, nodes: dict[str, _Node]) -> None:
        self.given, self.nodes = nodes, []
        self.held: dict[str, np.ndarray] = {}
        self.done: set[str] = set()

    def weight(self, name: str) -> str:
        """A kernel (d, h, w, a, b) as (b, a, d, h, w), which is what both kinds of layer want in ONNX."""
        array = _array(self.given[self.real(name)])
        self.held[name] = np.ascontiguousarray(array.transpose(4, 3, 0, 1, 2)) if array.ndim == 5 else array
        return name

    def real(self, name: str) -> str:
        while self.given[name].op in _PASSED:
            name = self.given[name].inputs[0]
        return name

    def value(self, name: str) -> str:
        """The name of a value whose nodes have been made."""
        name = self.real(name)
        if name not in self.done:
            self.done.add(name)
            self.make(name, self.given[name])
        return name

    def make(self, name: str, node: _Node) -> None:
        def add(op: str, inputs: list[str], **attributes: Any) -> None:
            self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))

        if node.op in ("Relu", "Sigmoid"):
            add(node.op, [self.value(node.inputs[0])])
        elif node.op == "Conv3D":
            assert (_padding(node), _strides(node)) == ("SAME", [1, 1, 1])
            weight = self.weight(node.inputs[1])
            add(
                "Conv",
                [self.value(node.inputs[0]), weight],
                pads=[k // 2 for k in self.held[weight].shape[2:]] * 2,
            )
        elif node.op == "Conv3DBackpropInputV2":
            assert (_padding(node), _strides(node)) == ("SAME", [2, 2, 2])
            weight = self.weight(node.inputs[1])
            assert self.held[weight].shape[2:] == (3, 3, 3)
            inputs = [self.value(node.inputs[2]), weight]
            add("ConvTranspose", inputs, strides=[2, 2, 2], pads=[0, 0, 0, 1, 1, 1])
        elif node.op == "BiasAdd":
            bias = self.weight(node.inputs[1])
            self.held[bias] = self.held[bias].reshape(-1, 1, 1, 1)
            add("Add", [self.value(node.inputs[0]), bias])
        elif node.op == "MaxPool3D":
            add("MaxPool", [self.value(node.inputs[0])], kernel_shape=[2, 2, 2], strides=[2, 2, 2])
        elif node.op == "ConcatV2":
            add("Concat", [self.value(part) for part in node.inputs[:-1]], axis=1)
        else:
            assert node.op == "PlaceholderWithDefault", node.op


def convert(path: Path, first: str = "img", last: str = "prob") -> onnx.ModelProto:
    """The network between two nodes, channels first, with an open batch and open sizes (multiples of 8)."""
    made = _Made(_nodes(path.read_bytes()))
    made.value(last)
    graph = helper.make_graph(
        made.nodes,
        path.stem,
        [helper.make_tensor_value_info(first, TensorProto.FLOAT, ["n", 1, "depth", "height", "width"])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["n", 1, "depth", "height", "width"])],
        [numpy_helper.from_array(array, name) for name, array in made.held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
