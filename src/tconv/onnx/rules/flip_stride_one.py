"""A transposed convolution of stride 1 is a convolution by the turned kernel.

    y[o] = sum_t w[t] x[o + lo - t d] = sum_u w[k-1-u] x[o + u d - (d(k-1) - lo)]

so pads (lo, hi) become d(k-1) - lo and d(k-1) - hi, inputs and outputs change places within each group, and
the bias stays (`tconv.algebra.flip`; Dumoulin & Visin 2016, chapter 4). Pads beyond d(k-1) crop the input,
which a Slice does. Runtimes have better kernels for it, or have it where they lack the transposed layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tconv.algebra.flip import Flipped, flip_stride_one
from tconv.conventions.onnx_options import ConvOptions
from tconv.geometry.normalize import Sides
from tconv.onnx.rules.explicit import pads_of, read_attributes
from tconv.onnx.rules.interleaving import cropped
from tconv.onnx.rules.layer import label, matching
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import conv_attributes
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class _Match(NamedTuple):
    told: ConvOptions
    flipped: Flipped


def _match(node: ir.Node, context: Context) -> _Match | str:
    told = read_attributes(node, context)
    if isinstance(told, str):
        return told
    if set(told.stride) != {1}:
        return f"its strides are {told.stride}"
    weight, pads = context.constant(node.inputs[1]), pads_of(told)
    if weight is None:
        return "its weights are computed"
    if isinstance(pads, str):
        return pads
    return _Match(told, flip_stride_one(weight, pads, told.output_padding, told.dilation, told.groups))


def _rewrite(node: ir.Node, context: Context, found: _Match) -> None:
    make = Maker(node, context, label(node))
    told, (weight, sides) = found
    crop: Sides = tuple((max(-lo, 0), max(-hi, 0)) for lo, hi in sides)
    around: Sides = tuple((max(lo, 0), max(hi, 0)) for lo, hi in sides)
    x = node.inputs[0]
    assert x is not None  # read_attributes has seen to it
    inputs = [cropped(make, x, crop), make.constant(weight, "weight"), *node.inputs[2:]]
    make.add("Conv", inputs, **conv_attributes(told.kernel, told.dilation, around, told.groups))
    context.replace([node], make.nodes)


RULE = matching(
    "flip-stride-one",
    "a transposed convolution of stride 1 becomes a convolution by the turned kernel",
    ["ConvTranspose"],
    _match,
    _rewrite,
)
