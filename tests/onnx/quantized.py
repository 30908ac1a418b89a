"""A small network as quantizers write it: every map and weight between QuantizeLinear and its reverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.onnx.helpers import model_proto

SIZE = 12
STEP = np.float32(0.02)
"""The scale of every map."""


class Quantized:
    """Nodes and arrays so far; each method adds a step and returns the name of its output."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.rng = np.random.default_rng(seed)

    def add(self, op_type: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
        return output

    def between(self, x: str, zero: int) -> str:
        """A map, quantized and dequantized again."""
        self.arrays |= {f"{x}_scale": STEP, f"{x}_zero": np.uint8(zero)}
        self.add("QuantizeLinear", [x, f"{x}_scale", f"{x}_zero"], f"{x}_q")
        return self.add("DequantizeLinear", [f"{x}_q", f"{x}_scale", f"{x}_zero"], f"{x}_d")

    def weight(self, name: str, shape: tuple[int, ...], axis: int, most: float = 0.004) -> str:
        self.arrays[name] = self.rng.integers(-127, 128, shape).astype(np.int8)
        self.arrays[f"{name}_scale"] = self.rng.uniform(0.001, most, shape[axis]).astype(np.float32)
        self.arrays[f"{name}_zero"] = np.zeros(shape[axis], np.int8)
        return self.add("DequantizeLinear", [name, f"{name}_scale", f"{name}_zero"], f"{name}_d", axis=axis)

    def bias(self, name: str, weight: str) -> str:
        """In the scale of the products, as ONNX Runtime's convolution of integers adds it."""
        scale = self.arrays[f"{weight}_scale"] * STEP
        self.arrays[name] = self.rng.integers(-1000, 1000, scale.size).astype(np.int32)
        self.arrays[f"{name}_scale"] = scale
        return self.add("DequantizeLinear", [name, f"{name}_scale"], f"{name}_d", axis=0)

    def proto(self, output: str, channels: int = 16, opset: int = 17) -> onnx.ModelProto:
        self.add("Identity", [output], "y")
        shape = [1, channels, SIZE, SIZE]
        return model_proto(self.nodes, {"x": shape}, weights=self.arrays, opset=opset)


def network(*, maps: bool = True, bias: bool = True) -> onnx.ModelProto:
    """Nearest upsampling, a convolution, two transposed ones; Relu after the first two.

    With `maps` the maps are quantized, too, and the convolution becomes one of integers in ONNX Runtime.
    """
    net = Quantized()

    def between(x: str, zero: int) -> str:
        return net.between(x, zero) if maps else x

    def layer(op_type: str, x: str, number: int, inputs: int, outputs: int, **attributes: Any) -> str:
        axis = 0 if op_type == "Conv" else 1
        shape = (outputs, inputs, 3, 3) if op_type == "Conv" else (inputs, outputs, 4, 4)
        names = [x, net.weight(f"w{number}", shape, axis)]
        if bias:
            names.append(net.bias(f"b{number}", f"w{number}"))
        return net.add(op_type, names, f"layer{number}", **attributes)

    up = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    net.arrays["scales"] = np.float32([1, 1, 2, 2])
    x = net.add(
        "Resize", [between("x", 128), "", "scales"], "nearest",
        mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric",
    )  # fmt: skip
    x = layer("Conv", between(x, 128), 0, 16, 32, pads=[1, 1, 1, 1])
    x = layer("ConvTranspose", between(net.add("Relu", [x], "relu0"), 0), 1, 32, 16, **up)
    x = layer("ConvTranspose", between(net.add("Relu", [x], "relu1"), 0), 2, 16, 8, **up)
    return net.proto(between(x, 128))


def weights_alone() -> onnx.ModelProto:
    """A layer of which only the weights are quantized, and a scaling of its output."""
    net = Quantized()
    x = net.add("ConvTranspose", ["x", net.weight("w", (16, 8, 4, 4), 1)], "layer", strides=[2, 2])
    net.arrays["gain"] = net.rng.uniform(0.5, 2, (1, 8, 1, 1)).astype(np.float32)
    return net.proto(net.add("Mul", [x, "gain"], "scaled"))


def maps_alone(channels: int = 16, opset: int = 12) -> onnx.ModelProto:
    """A layer of plain weights between quantized maps; before opset 13 all scales are per tensor."""
    net = Quantized()
    net.arrays["w"] = net.rng.normal(size=(channels, 8, 4, 4)).astype(np.float32) / 10
    x = net.add("ConvTranspose", [net.between("x", 128), "w"], "layer", strides=[2, 2])
    return net.proto(net.between(x, 128), channels, opset)


def feeds(seed: int = 1, channels: int = 16) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).normal(size=(1, channels, SIZE, SIZE)).astype(np.float32)}
