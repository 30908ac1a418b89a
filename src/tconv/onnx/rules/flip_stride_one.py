"""A transposed convolution of stride 1 is a convolution with the flipped kernel.

    y[o] = sum_t w[t] x[o + lo - t d] = sum_u w[k-1-u] x[o + u d - (d(k-1) - lo)]

so pads (lo, hi) become d(k-1) - lo and d(k-1) - hi, inputs and outputs are swapped within each group, and
the bias stays (`tconv.algebra.flip`; Dumoulin & Visin 2016, chapter 4). Pads beyond d(k-1) crop the input,
which a Slice does. Runtimes have faster kernels for it, or support it where they lack the transposed layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tconv.algebra.flip import flip_stride_one
from tconv.conventions.onnx_options import ConvOptions
from tconv.geometry.normalize import Sides
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.interleaving import cropped
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import conv_attributes, pads_of, read_attributes
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A layer of stride 1, and its options."""

    node: ir.Node
    told: ConvOptions
    pads: Sides


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(told := read_attributes(node, context), str):
        return told
    if set(told.stride) != {1}:
        return f"its strides are {told.stride}"
    if context.constant_shape(node.inputs[1]) is None:
        return "its weights are computed"
    pads = pads_of(told)
    return pads if isinstance(pads, str) else Found(node, told, pads)


def apply(found: Found, context: Context) -> None:
    node, told, pads = found
    held = context.numbers(node.inputs[1])
    weight, sides = flip_stride_one(held, pads, told.output_padding, told.dilation, told.groups)
    crop: Sides = tuple((max(-lo, 0), max(-hi, 0)) for lo, hi in sides)
    around: Sides = tuple((max(lo, 0), max(hi, 0)) for lo, hi in sides)
    make = Maker(node, context)
    inputs = [cropped(make, node.inputs[0], crop), make.constant(weight, "weight"), *node.inputs[2:]]
    make.add("Conv", inputs, **conv_attributes(told.kernel, told.dilation, around, told.groups))
    make.replace(node)


RULE = Rule("flip-stride-one", ("ConvTranspose",), match, apply)
