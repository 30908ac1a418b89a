"""New weights put into a model where its layers read theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tconv.algebra.arrays import Array
from tconv.errors import TconvError, clean
from tconv.models.layer import ModelLayer
from tconv.models.onnx.constants import root_of
from tconv.models.onnx.nodes import walk

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["put"]


def put(model: ir.Model, weights: Mapping[ModelLayer, Array]) -> None:
    """Give layers new weights, in place; `model` is a copy of the one that contains them.

    A tensor that only these layers read is replaced. Otherwise the layer gets its own tensor: if others
    read it, too, or if it is quantized or of another type.

    Raises:
        TconvError: weights in a function, which other calls read as well.
    """
    by_root: dict[ir.Value, list[ModelLayer]] = defaultdict(list)
    for layer in weights:
        root, _ = root_of(layer.node.inputs[1])
        assert root is not None
        by_root[root].append(layer)
    nodes = [node for node, _ in walk(model)]
    constants, names = _constants(model), _Names(model)
    for root, layers in by_root.items():
        # Before Cast or DequantizeLinear the numbers differ from those that the layer reads.
        alone = len(root.uses()) == len(layers) and all(
            np.array_equal(weights[layer], weights[layers[0]]) and not root_of(layer.node.inputs[1])[1]
            for layer in layers
        )
        held = constants[str(root.name)] if alone else []
        if len(held) == 1:
            _replace(held[0], weights[layers[0]])
            continue
        for layer in layers:
            if layer.origin.where.startswith("function "):
                raise TconvError(
                    f"{clean(layer.name)}: its weights are read in {clean(layer.origin.where)}, where other "
                    "calls read them as well; a model without functions would fit"
                )
            _own(model, nodes[layer.origin.number], layer, weights[layer], names.new(f"{layer.name}_weight"))


def _constants(model: ir.Model) -> dict[str, list[ir.Value]]:
    """The constants outside of functions, by name."""
    found: dict[str, list[ir.Value]] = defaultdict(list)
    for graph in model.graphs():
        for name, value in graph.initializers.items():
            found[name].append(value)
    for node in model.graph.all_nodes():
        if node.op_type == "Constant" and not node.domain:
            found[str(node.outputs[0].name)].append(node.outputs[0])
    return found


class _Names:
    """The names of a model's values, and new ones."""

    def __init__(self, model: ir.Model) -> None:
        self._taken = {str(value.name) for node, _ in walk(model) for value in node.outputs}
        for graph in model.graphs():
            self._taken |= {*map(str, graph.initializers), *(str(value.name) for value in graph.inputs)}
        self._used: dict[str, int] = defaultdict(int)

    def new(self, wanted: str) -> str:
        """The wanted name, or the first with a number behind it that is free."""
        while (name := f"{wanted}{self._used[wanted] or ''}") in self._taken:
            self._used[wanted] += 1
        self._taken.add(name)
        return name


def _replace(value: ir.Value, array: Array) -> None:
    import onnx_ir as ir

    old = ir.convenience.get_const_tensor(value)
    assert old is not None
    made = ir.tensor(np.ascontiguousarray(array).astype(old.dtype.numpy()), dtype=old.dtype, name=old.name)
    node = value.producer()
    if node is None:
        value.const_value = made
    else:
        node.attributes["value"] = ir.AttrTensor("value", made)


def _own(model: ir.Model, node: ir.Node, layer: ModelLayer, array: Array, name: str) -> None:
    """Give this node its own constant, of this name, in the main graph."""
    import onnx_ir as ir

    assert layer.weight is not None
    tensor = ir.tensor(np.ascontiguousarray(array).astype(layer.weight.dtype), name=name)
    made = ir.node("Constant", [], {"value": tensor}, name=name)
    made.outputs[0].name = name
    first = next(iter(model.graph))
    model.graph.insert_before(first, made)
    before = node.inputs[1]
    node.replace_input_with(1, made.outputs[0])
    _drop(before)


def _drop(value: ir.Value | None) -> None:
    """Remove what computes a value, if nothing reads it any more: an initializer, conversions."""
    if value is None or value.uses() or value.is_graph_output() or value.is_graph_input():
        return
    node = value.producer()
    if node is None:
        if value.graph is not None:
            value.graph.initializers.pop(str(value.name), None)
    elif len(node.outputs) == 1 and node.graph is not None:
        inputs = tuple(node.inputs)
        node.graph.remove(node, safe=True)
        for read in inputs:
            _drop(read)
