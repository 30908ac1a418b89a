"""The main graph of a model in ONNX as the small graph of kinds that a diagnosis looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tconv.models.graph import Graph, Node
from tconv.models.layer import ModelLayer
from tconv.models.onnx.constants import constant, held, is_linear
from tconv.models.onnx.nodes import is_own, name_of, opset_at, sizes_of
from tconv.models.onnx.resize import read_resize, repeats

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["graph_of"]

_POINTWISE = frozenset(
    [
        "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish",
        "Softplus", "Softsign", "Clip", "Gelu", "Mish", "Identity", "Dropout", "Cast", "Neg", "Abs", "Exp",
        "Sqrt", "Erf",
    ]
)  # fmt: skip
_JOINS = frozenset(("Add", "Mul", "Sub", "Concat", "Sum", "Max"))
_Kind: TypeAlias = tuple[str, dict[str, Any]]


def graph_of(model: ir.Model, layers: Iterable[ModelLayer]) -> Graph:
    """The nodes of the main graph, and those of them that are `layers`."""
    by_node = {layer.node: layer for layer in layers}
    constants = {str(name) for name in model.graph.initializers}
    constants |= {
        str(value.name)
        for node in model.graph
        for value in node.outputs[:1]
        if is_own(node, "Constant") or (is_linear(node) and held(value, replaceable=True) is not None)
    }
    nodes, opset = [], opset_at(model, "graph")
    for node in model.graph:
        kind, options = _layer(by_node[node]) if node in by_node else _kind(node, constants, opset)
        nodes.append(
            Node(
                kind=kind,
                name=name_of(node),
                inputs=tuple("" if value is None else str(value.name) for value in node.inputs),
                outputs=tuple(str(value.name) for value in node.outputs),
                options=options,
            )
        )
    return Graph(nodes, constants, (str(value.name) for value in model.graph.outputs))


def _layer(layer: ModelLayer) -> _Kind:
    if layer.geometry is None:
        return "other", {}
    if not layer.conv:
        return "transposed", {"layer": layer}
    told = layer.options
    assert told is not None
    return "conv", {"layer": layer, "stride": told.stride, "padding": told.pads, "dilation": told.dilation}


def _kind(node: ir.Node, constants: set[str], opset: int) -> _Kind:
    if is_linear(node) and node.inputs and node.inputs[0] is not None:
        return ("other" if node.outputs[0].name in constants else "quantized"), {}
    known = is_own(node, node.op_type) and not any(a.is_ref() for a in node.attributes.values())
    read_kind = _KINDS.get(node.op_type) if known else None
    found = read_kind(node, opset) if read_kind else None
    if found is not None or not known:
        return found or ("other", {})
    computed = [value for value in node.inputs if value is not None and value.name not in constants]
    axis = node.attributes.get_int("axis", 1)
    joins = node.op_type in _JOINS and axis % _rank(node) == 1  # along other axes sizes need not match
    if node.op_type in _POINTWISE or (joins and len(computed) == 1):
        # Some exporters write a layer's bias as the addition of a constant after it.
        return "pointwise", {"bias": node.op_type == "Add"}
    return ("join" if joins else "other"), {}


def _rank(node: ir.Node) -> int:
    return len(sizes_of(node.inputs[0])) or 4  # that of pictures, if inference does not know it


def _norm(node: ir.Node, _: int) -> _Kind | None:
    if node.attributes.get_int("training_mode", 0):
        return None
    return "norm", {"epsilon": node.attributes.get_float("epsilon", 1e-5)}


def _nearest(node: ir.Node, opset: int) -> _Kind | None:
    """Resize or Upsample, if it repeats every value an integer number of times."""
    found = read_resize(node, sizes_of(node.inputs[0]) or None, opset)
    if isinstance(found, str) or repeats(found) is not None:
        return None
    return "nearest", {"factor": found.factors}


def _numbers(node: ir.Node, name: str, at: int) -> Any:
    """Numbers that are an attribute in old opsets and an input in new ones; None if they are computed."""
    attribute = node.attributes.get(name)
    if attribute is not None:
        return np.ravel(attribute.value)
    found = constant(node.inputs[at]) if len(node.inputs) > at else None
    return None if found is None else np.ravel(found)


def _crop(node: ir.Node, _: int) -> _Kind | None:
    axes = _numbers(node, "axes", 3)
    return None if axes is None or all(axis % _rank(node) < 2 for axis in axes) else ("crop", {})


def _pad(node: ir.Node, _: int) -> _Kind:
    amounts = _numbers(node, "pads", 1)
    return ("pad", {}) if amounts is None or any(amounts) else ("pointwise", {})


_KINDS: Mapping[str, Callable[[Any, int], _Kind | None]] = MappingProxyType(
    {
        "BatchNormalization": _norm,
        "Resize": _nearest,
        "Upsample": _nearest,
        "Slice": _crop,
        "CenterCropPad": lambda *_: ("crop", {}),
        "Pad": _pad,
    }
)
