"""Which parts of a layer are integers in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tconv.models.onnx.constants import held, is_linear, told

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["quantized_parts"]


def quantized_parts(node: ir.Node) -> dict[str, str]:
    """Of weights, bias, input and output those that are quantized -> "int8 per channel (axis 1)".

    The input is, if a DequantizeLinear computes it; the output, if a QuantizeLinear alone reads it.
    """
    found = {}
    for name, value in zip(("weights", "bias"), node.inputs[1:], strict=False):
        constant = held(value, replaceable=True)
        if constant is not None and constant.quantized:
            found[name] = constant.quantized
    before = None if node.inputs[0] is None else node.inputs[0].producer()
    after = {use.node for use in node.outputs[0].uses()}
    if before is not None and is_linear(before, "DequantizeLinear"):
        found["input"] = told(before)
    if len(after) == 1 and not node.outputs[0].is_graph_output():
        (reader,) = after
        if is_linear(reader, "QuantizeLinear"):
            found["output"] = told(reader)
    return found
