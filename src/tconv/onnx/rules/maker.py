"""New nodes in place of others, in the form of the model's opset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tconv.onnx.rules.context import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Maker"]


class Maker:
    """Makes nodes named after `node`; they are not in a graph until `replace`."""

    def __init__(self, node: ir.Node, context: Context) -> None:
        self.node, self.context = node, context
        self.like = node.name or str(node.outputs[0].name)
        self.opset = context.opset(node)
        self.nodes: list[ir.Node] = []

    def add(
        self, op_type: str, inputs: Sequence[ir.Value | None], domain: str = "", /, **attributes: object
    ) -> ir.Value:
        """The output of a new node."""
        return self._add(op_type, inputs, attributes, f"{self.like}_{op_type}", domain).outputs[0]

    def renew(
        self,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any],
        op_type: str | None = None,
        domain: str = "",
    ) -> ir.Value:
        """The output of a new node of the same name as `node`, and the same operator unless one is given."""
        made = self._add(op_type or self.node.op_type, inputs, attributes, self.like, domain)
        made.name = self.node.name
        return made.outputs[0]

    def _add(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any],
        like: str,
        domain: str = "",
    ) -> ir.Node:
        import onnx_ir as ir

        name = self.context.name(like)
        out = ir.Value(name=self.context.name(f"{name}_out"))
        made = ir.node(op_type, inputs, dict(attributes), domain=domain, outputs=[out], name=name)
        self.nodes.append(made)
        return made

    def constant(self, array: np.typing.ArrayLike, what: str, *, exact: bool = False) -> ir.Value:
        """An array as a value for the new nodes; integers are int64, as operators take sizes, unless `exact`.

        It is an initializer, or a Constant node in a function and where initializers are also inputs.
        """
        import onnx_ir as ir

        held = np.asarray(array)
        name = self.context.name(f"{self.like}_{what}")
        kept = np.ascontiguousarray(held.astype(np.int64) if held.dtype.kind == "i" and not exact else held)
        tensor = ir.tensor(kept, name=name)
        value = ir.Value(name=name, shape=ir.Shape(held.shape), type=ir.TensorType(tensor.dtype))
        graph = self.node.graph
        assert graph is not None
        if self.context.in_function(self.node) or self.context.model.ir_version < 4:
            said = {"value": tensor}
            graph.insert_before(
                self.node, ir.node("Constant", [], said, outputs=[value], name=self.context.name(name))
            )
        else:
            value.const_value = tensor
            graph.register_initializer(value)
        return value

    def replace(self, *old: ir.Node) -> None:
        """Replace the nodes `old` by the new ones, both in the order of the data flow."""
        self.context.replace(old, self.nodes)

    def pad(
        self, value: ir.Value | None, before: list[int], behind: list[int], mode: str = "constant"
    ) -> ir.Value:
        """`value` padded at both ends of every axis: with zeros, or by another mode of Pad."""
        pads = [*before, *behind]
        if self.opset < 11:
            return self.add("Pad", [value], mode=mode, pads=pads)
        return self.add("Pad", [value, self.constant(pads, "pads")], mode=mode)

    def split(self, value: ir.Value | None, axis: int, parts: int, length: int) -> list[ir.Value]:
        """`value` in parts of one length along an axis."""
        import onnx_ir as ir

        lengths = [length] * parts
        inputs = [value]
        said: dict[str, int | list[int]] = {"axis": axis}
        if self.opset < 13:
            said["split"] = lengths
        else:
            inputs.append(self.constant(lengths, "lengths"))
        outputs = [ir.Value(name=self.context.name(f"{self.like}_part{part}")) for part in range(parts)]
        name = self.context.name(f"{self.like}_Split")
        self.nodes.append(ir.node("Split", inputs, said, outputs=outputs, name=name))
        return outputs
