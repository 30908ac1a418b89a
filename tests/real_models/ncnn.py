"""ncnn's .param (text) and .bin (numbers) as ONNX: the layers that waifu2x's networks are made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_HALVES = 0x01306B47  # before numbers that are stored as float16
_OPSET = 17


class _Reader:
    """The .bin file, in the order of the layers."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, dtype: str, count: int) -> np.ndarray:
        array = np.frombuffer(self.data, dtype, count, self.at)
        self.at += (array.nbytes + 3) // 4 * 4
        return array.astype(np.float32)

    def weights(self, count: int) -> np.ndarray:
        """Numbers with a word before them that says how they are stored."""
        (tag,) = np.frombuffer(self.data, "<u4", 1, self.at)
        self.at += 4
        assert tag in (0, _HALVES), hex(tag)
        return self.take("<f2" if tag else "<f4", count)


class _Made:
    def __init__(self, reader: _Reader) -> None:
        self.reader, self.nodes = reader, []
        self.held: dict[str, np.ndarray] = {}

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))

    def hold(self, name: str, array: np.ndarray) -> str:
        self.held[name] = array
        return name

    def activated(
        self, op: str, inputs: list[str], output: str, said: dict[str, str], **options: Any
    ) -> None:
        """A layer and the activation that ncnn fuses into it."""
        kind = said.get("9", "0")
        inner = output if kind == "0" else f"{output}_linear"
        self.add(op, inputs, inner, **options)
        if kind == "1":
            self.add("Relu", [inner], output)
        elif kind == "2":
            slope = float(said["-23310"].split(",")[1])
            self.add("LeakyRelu", [inner], output, alpha=slope)
        else:
            assert kind in ("0", "4"), kind
            if kind == "4":
                self.add("Sigmoid", [inner], output)


def _convolution(
    made: _Made, inputs: list[str], outputs: list[str], said: dict[str, str], transposed: bool
) -> None:
    out, kernel, stride, pad = (
        int(said.get(key, default)) for key, default in zip("0134", "1110", strict=True)
    )
    if "4" not in said:
        pad = 0
    weight = made.reader.weights(int(said["6"])).reshape(out, -1, kernel, kernel)
    if transposed:
        weight = np.ascontiguousarray(weight.swapaxes(0, 1))
    name = outputs[0]
    given = [
        *inputs,
        made.hold(f"{name}.weight", weight),
        made.hold(f"{name}.bias", made.reader.take("<f4", out)),
    ]
    made.activated(
        "ConvTranspose" if transposed else "Conv", given, name, said,
        kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4,
    )  # fmt: skip


def _inner_product(made: _Made, inputs: list[str], outputs: list[str], said: dict[str, str]) -> None:
    """On a map of 1x1 it is a convolution by 1x1."""
    out = int(said["0"])
    weight = made.reader.weights(int(said["2"])).reshape(out, -1, 1, 1)
    name = outputs[0]
    given = [
        *inputs,
        made.hold(f"{name}.weight", weight),
        made.hold(f"{name}.bias", made.reader.take("<f4", out)),
    ]
    made.activated("Conv", given, name, said)


def _crop(made: _Made, inputs: list[str], outputs: list[str], said: dict[str, str]) -> None:
    """To the second input's size; in these networks that is the same margin on all four sides."""
    margin = int(said["0"])
    assert said["1"] == said["0"]
    bounds = [
        made.hold(f"{outputs[0]}.{name}", np.array(values, np.int64))
        for name, values in (("starts", [margin] * 2), ("ends", [-margin] * 2), ("axes", [2, 3]))
    ]
    made.add("Slice", [inputs[0], *bounds], outputs[0])


_LAYERS: dict[str, Callable[[_Made, list[str], list[str], dict[str, str]], None]] = {
    "Convolution": lambda *given: _convolution(*given, transposed=False),
    "Deconvolution": lambda *given: _convolution(*given, transposed=True),
    "InnerProduct": _inner_product,
    "Crop": _crop,
    "Pooling": lambda made, inputs, outputs, _: made.add("GlobalAveragePool", inputs, outputs[0]),
    "Scale": lambda made, inputs, outputs, _: made.add("Mul", inputs, outputs[0]),
    "Eltwise": lambda made, inputs, outputs, _: made.add("Add", inputs, outputs[0]),
    "Split": lambda made, inputs, outputs, _: [made.add("Identity", inputs, out) for out in outputs] and None,
}


def convert(param: Path, numbers: Path) -> onnx.ModelProto:
    """The network as ONNX, with open height and width."""
    made = _Made(_Reader(numbers.read_bytes()))
    first = last = ""
    for line in param.read_text().splitlines()[2:]:
        kind, _, ins, outs, *rest = line.split()
        inputs, outputs = rest[: int(ins)], rest[int(ins) : int(ins) + int(outs)]
        said = dict(entry.split("=", 1) for entry in rest[int(ins) + int(outs) :])
        if kind == "Input":
            first = outputs[0]
            continue
        _LAYERS[kind](made, inputs, outputs, said)
        last = outputs[0]
    assert made.reader.at == len(made.reader.data), "not all numbers were read"
    graph = helper.make_graph(
        made.nodes,
        param.stem,
        [helper.make_tensor_value_info(first, TensorProto.FLOAT, [1, 3, "height", "width"])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, 3, "out_height", "out_width"])],
        [numpy_helper.from_array(array, name) for name, array in made.held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
