"""The options of a Conv or ConvTranspose node as integers, and integers as its attributes."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from tconv.errors import TconvError
from tconv.geometry.normalize import Sides
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.explicit import pads_of, read_attributes
from tconv.onnx.rules.layer import LayerNode, read_layer

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Options", "conv_attributes", "read_options", "read_with_options", "transposed_attributes"]


class Options(NamedTuple):
    """One entry a spatial axis; `padding` holds (lo, hi), output padding taken off hi."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Sides

    @property
    def call(self) -> tuple[tuple[int, ...], Sides, tuple[int, ...]]:
        """Stride, padding and dilation, in the order of the identities' arguments."""
        return self.stride, self.padding, self.dilation


def read_with_options(node: ir.Node, context: Context) -> tuple[LayerNode, Options] | str:
    """The layer at a node with its options, or the reason why one of both is not known."""
    if isinstance(layer := read_layer(node, context), str):
        return layer
    options = read_options(layer, context)
    return options if isinstance(options, str) else (layer, options)


def read_options(layer: LayerNode, context: Context) -> Options | str:
    """The options of a layer, whatever auto_pad and output_shape say, or why they are not known."""
    return _transposed(layer, context) if layer.transposed else _conv(layer.node, layer.kernel)


def _transposed(layer: LayerNode, context: Context) -> Options | str:
    if isinstance(told := read_attributes(layer.node, context), str):
        return told
    if isinstance(pads := pads_of(told), str):
        return pads
    ends = zip(pads, told.output_padding, strict=True)
    return Options(told.stride, told.dilation, tuple((lo, hi - more) for (lo, hi), more in ends))


def _conv(node: ir.Node, kernel: tuple[int, ...]) -> Options | str:
    axes = len(kernel)
    stride = tuple(node.attributes.get_ints("strides", (1,) * axes))
    dilation = tuple(node.attributes.get_ints("dilations", (1,) * axes))
    pads = tuple(node.attributes.get_ints("pads", (0,) * 2 * axes))
    how = node.attributes.get_string("auto_pad", "NOTSET")
    if len(stride) != axes or len(dilation) != axes or len(pads) != 2 * axes:
        return f"its options are not those of {axes} axes"
    padding = tuple(zip(pads[:axes], pads[axes:], strict=True))
    if how.startswith("SAME"):
        if prod(stride) != 1:
            return "its padding depends on sizes that are not known"
        # ONNX puts the odd cell behind for SAME_UPPER, before for SAME_LOWER.
        odd = int(how == "SAME_LOWER")
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        padding = tuple(((total + odd) // 2, total - (total + odd) // 2) for total in totals)
    elif how == "VALID":
        padding = ((0, 0),) * axes
    return Options(stride, dilation, padding)


def conv_attributes(
    kernel: tuple[int, ...], dilation: tuple[int, ...], padding: Sides, groups: int
) -> dict[str, Any]:
    """The attributes of a Conv of stride 1."""
    return _attributes(kernel, (1,) * len(kernel), dilation, padding, groups)


def transposed_attributes(
    kernel: tuple[int, ...], stride: tuple[int, ...], padding: Sides, groups: int
) -> dict[str, Any]:
    """The attributes of a ConvTranspose.

    ONNX takes no negative padding; behind, up to a stride less one can be said as output padding.

    Raises:
        TconvError: ONNX cannot say it.
    """
    extra = tuple(max(-hi, 0) for _, hi in padding)
    if any(lo < 0 for lo, _ in padding) or any(
        more >= s for more, s in zip(extra, stride, strict=True) if more
    ):
        raise TconvError(f"it would need the padding {padding}, which ONNX cannot say")
    said = _attributes(
        kernel, stride, (1,) * len(kernel), tuple((lo, max(hi, 0)) for lo, hi in padding), groups
    )
    return {**said, "output_padding": list(extra)} if any(extra) else said


def _attributes(
    kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...], padding: Sides, groups: int
) -> dict[str, Any]:
    return {
        "dilations": list(dilation),
        "group": groups,
        "kernel_shape": list(kernel),
        "pads": [lo for lo, _ in padding] + [hi for _, hi in padding],
        "strides": list(stride),
    }
