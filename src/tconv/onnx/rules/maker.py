"""Nodes made one after the other in the place of another, as the model's opset spells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Maker"]


class Maker:
    """Makes nodes one after the other in the place of `node`."""

    def __init__(self, node: ir.Node, context: Context, like: str) -> None:
        self.node, self.context, self.like = node, context, like
        self.opset = context.opset(node)
        self.nodes: list[ir.Node] = []

    def add(self, op_type: str, inputs: Sequence[ir.Value | None], **attributes: object) -> ir.Value:
        """The answer of a new node."""
        made = self.context.make_node(op_type, inputs, attributes, like=f"{self.like}_{op_type}")
        self.nodes.append(made)
        return made.outputs[0]

    def constant(self, array: np.typing.ArrayLike, what: str) -> ir.Value:
        """A constant; whole numbers are int64, as operators want their sizes."""
        found = np.asarray(array)
        held = found.astype(np.int64) if found.dtype.kind == "i" else found
        return self.context.make_constant(self.node, held, f"{self.like}_{what}")

    def pad(
        self, value: ir.Value | None, before: list[int], behind: list[int], mode: str = "constant"
    ) -> ir.Value:
        """`value` with so many cells before and behind along every axis: zeros, or by another mode of Pad."""
        pads = [*before, *behind]
        if self.opset < 11:
            return self.add("Pad", [value], mode=mode, pads=pads)
        return self.add("Pad", [value, self.constant(pads, "pads")], mode=mode)

    def split(self, value: ir.Value, axis: int, parts: int, length: int) -> list[ir.Value]:
        """`value` in parts of one length along an axis."""
        import onnx_ir as ir

        lengths = [length] * parts
        inputs: list[ir.Value] = [value]
        said: dict[str, int | list[int]] = {"axis": axis}
        if self.opset < 13:
            said["split"] = lengths
        else:
            inputs.append(self.constant(lengths, "lengths"))
        outputs = [ir.Value(name=self.context.name(f"{self.like}_part{part}")) for part in range(parts)]
        name = self.context.name(f"{self.like}_Split")
        self.nodes.append(ir.node("Split", inputs, said, outputs=outputs, name=name))
        return outputs
