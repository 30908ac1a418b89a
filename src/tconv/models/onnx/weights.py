"""New weights put into a model where its layers read theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tconv.algebra.arrays import Array
from tconv.errors import TconvError, clean
from tconv.models.layer import ModelLayer
from tconv.models.onnx.nodes import root_of, walk

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
    for root, layers in by_root.items():
        # Before Cast or DequantizeLinear the numbers differ from those that the layer reads.
        alone = len(root.uses()) == len(layers) and all(
            np.array_equal(weights[layer], weights[layers[0]]) and not root_of(layer.node.inputs[1])[1]
            for layer in layers
        )
        held = _held(model, str(root.name)) if alone else []
        if len(held) == 1:
            _replace(held[0], weights[layers[0]])
            continue
        for layer in layers:
            if layer.origin.where.startswith("function "):
                raise TconvError(
                    f"{clean(layer.name)}: its weights are read in {clean(layer.origin.where)}, where other "
                    "calls read them as well; a model without functions would fit"
                )
            _own(model, nodes[layer.origin.number], layer, weights[layer])


def _held(model: ir.Model, name: str) -> list[ir.Value]:
    """The constants of this name outside of functions."""
    found = [graph.initializers[name] for graph in model.graphs() if name in graph.initializers]
    made = (
        node.outputs[0] for node in model.graph.all_nodes() if node.op_type == "Constant" and not node.domain
    )
    return found + [value for value in made if value.name == name]


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


def _own(model: ir.Model, node: ir.Node, layer: ModelLayer, array: Array) -> None:
    """Give this node its own constant in the main graph."""
    import onnx_ir as ir

    assert layer.weight is not None
    taken = {str(value.name) for other, _ in walk(model) for value in other.outputs}
    for graph in model.graphs():
        taken |= {*map(str, graph.initializers), *(str(value.name) for value in graph.inputs)}
    name = next(n for i in range(len(taken) + 1) if (n := f"{layer.name}_weight{i or ''}") not in taken)
    tensor = ir.tensor(np.ascontiguousarray(array).astype(layer.weight.dtype), name=name)
    made = ir.node("Constant", [], {"value": tensor}, name=name)
    made.outputs[0].name = name
    first = next(iter(model.graph))
    model.graph.insert_before(first, made)
    node.replace_input_with(1, made.outputs[0])
