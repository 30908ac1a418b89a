"""The model around a node: what a rule may query, and how it replaces nodes by others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tconv.models.onnx.constants import constant, held
from tconv.models.onnx.nodes import opset_of, walk

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Context", "Shape", "refers"]

Shape = tuple[int | str | None, ...]
"""Sizes: a number, the name of a dynamic axis, or None for one that is not known."""


class Context:
    """The model around a node: opset, constants, shapes, users; new names, and nodes replaced."""

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self._names: set[str] | None = None
        self._twins: dict[ir.Value, ir.Value] | None = None
        self._functions = {
            graph: function
            for function in model.functions.values()
            for graph in (function.graph, *function.subgraphs())
        }

    def nodes(self) -> Iterator[tuple[str, ir.Node]]:
        """Every node with its place: "graph", "graph/IF/then_branch", "function DOMAIN::NAME"."""
        yield from ((where, node) for node, where in walk(self.model))

    def opset(self, node: ir.Node) -> int:
        """The version of ONNX's own operators at the node's place."""
        function = self._function(node)
        return opset_of((self.model if function is None else function).opset_imports)

    def in_function(self, node: ir.Node) -> bool:
        """Whether the node is in the body of a function, which has no initializers."""
        return self._function(node) is not None

    def _function(self, node: ir.Node) -> ir.Function | None:
        return None if node.graph is None else self._functions.get(node.graph)

    def constant(self, value: ir.Value | None) -> np.ndarray[Any, Any] | None:
        """The array of an initializer or of a Constant node, also behind conversions; else None."""
        return constant(value)

    def numbers(self, value: ir.Value | None) -> np.ndarray[Any, Any]:
        """The array of a value that is known to be a constant."""
        found = constant(value)
        assert found is not None
        return found

    def constant_shape(self, value: ir.Value | None) -> tuple[int, ...] | None:
        """The shape of a constant, without reading its numbers; None if the value is not a constant."""
        found = held(value)
        return None if found is None else found.shape

    def sizes(self, value: ir.Value | None) -> tuple[int | None, ...]:
        """The shape of a value, constant or not, None for each open size; () if nothing is known."""
        known = self.constant_shape(value)
        known_or_open = (self.shape(value) or ()) if known is None else known
        return tuple(size if isinstance(size, int) else None for size in known_or_open)

    def shape(self, value: ir.Value | None) -> Shape | None:
        """The sizes of a value, from the file and shape inference; None if not even the rank is known."""
        if value is None:
            return None
        twin = self._twin(value)
        return (None if twin is None else _sizes(twin)) or _sizes(value)

    def spatial(self, value: ir.Value | None, axes: int) -> tuple[int | None, ...]:
        """The sizes of the spatial axes, None for each open one."""
        shape = self.shape(value) or (None,) * (2 + axes)
        return tuple(size if isinstance(size, int) else None for size in shape[2:])

    def dtype(self, value: ir.Value | None) -> np.dtype[Any] | None:
        """The dtype of a value, from the file and inference; None if it is not known."""
        if value is None:
            return None
        twin = self._twin(value)
        found = (None if twin is None else twin.dtype) or value.dtype
        return None if found is None else np.dtype(found.numpy())

    def type(self, value: ir.Value) -> ir.TypeProtocol | None:
        """The type of a value, from the file and inference; None if it is not known."""
        twin = self._twin(value)
        return value.type or (None if twin is None else twin.type)

    def use_domain(self, node: ir.Node, domain: str) -> None:
        """Import a domain of operators, version 1, at the node's place; and for the model as a whole."""
        function = self._function(node)
        self.model.opset_imports.setdefault(domain, 1)
        if function is not None:
            function.opset_imports.setdefault(domain, 1)

    def _twin(self, value: ir.Value) -> ir.Value | None:
        """The value of a copy of the model in which shapes and types were inferred."""
        if self._twins is None:
            self._twins = _inferred(self.model)
        return self._twins.get(value)

    def user(self, value: ir.Value, *op_types: str) -> ir.Node | str:
        """The only node that reads a value, if it is one of these operators; else the reason.

        If there is one, the value can be removed: it is not an output of its graph and has no other reader.
        """
        if value.is_graph_output():
            return "its output is an output of the model"
        readers = {use.node for use in value.uses()}
        if len(readers) != 1:
            return "nothing reads its output" if not readers else f"{len(readers)} nodes read its output"
        (reader,) = readers
        producer = value.producer()
        if producer is not None and reader.graph is not producer.graph:
            return "its output is read inside a branch or loop"
        if reader.domain or reader.op_type not in op_types:
            name = f"{reader.domain}.{reader.op_type}".lstrip(".")
            return f"followed by {name}, not by {' or '.join(op_types)}"
        return "an attribute is a parameter of its function" if refers(reader) else reader

    def name(self, like: str) -> str:
        """An unused name that begins with `like`."""
        if self._names is None:
            self._names = set(_all_names(self))
        made, number = like, 0
        while made in self._names:
            number += 1
            made = f"{like}_{number}"
        self._names.add(made)
        return made

    def replace(self, old: Sequence[ir.Node], new: Sequence[ir.Node]) -> None:
        """Replace the nodes `old` by `new`, both in the order of the data flow.

        The last of `new` takes over the output of the last of `old`: its name, users and role as an output.
        """
        import onnx_ir as ir

        last = old[-1]
        assert last.graph is not None
        ir.convenience.replace_nodes_and_values(
            last.graph, last, list(old), list(new), [last.outputs[0]], [new[-1].outputs[0]]
        )
        for op_type in {node.op_type for node in old}:
            gone, come = ([node for node in nodes if node.op_type == op_type] for nodes in (old, new))
            if len(gone) == len(come) == 1:  # the layer keeps its name, by which users know it
                come[0].name, gone[0].name = gone[0].name, None
        self._twins = None


def refers(node: ir.Node) -> bool:
    """Whether an attribute is a parameter of the function around it, so its value is not known here."""
    return any(attribute.is_ref() for attribute in node.attributes.values())


def _all_names(context: Context) -> Iterator[str]:
    for graph in (*context.model.graphs(), *context._functions):
        yield from (value.name or "" for value in graph.inputs)
        yield from graph.initializers
    for _, node in context.nodes():
        yield node.name or ""
        yield from (value.name or "" for value in node.outputs)


def _sizes(value: ir.Value) -> Shape | None:
    if value.shape is None:
        return None
    return tuple(size if isinstance(size, int) else size.value for size in value.shape)


def _values(model: ir.Model) -> Iterable[ir.Value]:
    yield from model.graph.inputs
    for _, node in Context(model).nodes():
        yield from node.outputs


def _inferred(model: ir.Model) -> dict[ir.Value, ir.Value]:
    """Each value's twin in a copy with shapes and types as ONNX infers them; the model keeps its own."""
    from onnx_ir.passes.common import ShapeInferencePass

    from tconv.models.onnx.nodes import quiet

    copy = model.clone()
    with quiet():
        ShapeInferencePass(check_type=False, strict_mode=False)(copy)
    return dict(zip(_values(model), _values(copy), strict=True))
