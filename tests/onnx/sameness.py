"""Whether all commands see the same layers in a model: names, geometry, options and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import onnx
import onnx_ir as ir

from tconv.diagnosis.diagnose import examine
from tconv.models import Model
from tconv.models.onnx.nodes import name_of
from tconv.models.onnx.reader import of_ir
from tconv.onnx.inspection import inspect
from tconv.onnx.rewriting.goals import needs
from tconv.onnx.rules import Context
from tconv.onnx.rules.options import read_attributes


def transposed_nodes(model: onnx.ModelProto) -> int:
    """ConvTranspose nodes counted in the file itself, those of a function at every call."""
    functions = {
        (function.domain, function.name, function.overload): function for function in model.functions
    }

    def count(nodes: Any) -> int:
        total = 0
        for node in nodes:
            total += node.op_type == "ConvTranspose" and node.domain in ("", "ai.onnx")
            called = functions.get((node.domain, node.op_type, node.overload))
            total += count(called.node) if called else 0
            for attribute in node.attribute:
                total += count(attribute.g.node) + sum(count(graph.node) for graph in attribute.graphs)
        return total

    return count(model.graph.node)


def same_layers(found: Model) -> int:
    """The number of transposed convolutions that diagnose, inspect and rewrite see; all see the same ones."""
    held = found.onnx
    layers = {layer.name: layer for layer in found.layers if not layer.conv}
    assert len(layers) == sum(not layer.conv for layer in found.layers), "two layers of one name"
    followed = not any("functions are not inlined" in note for note in found.notes)
    if followed:
        assert len(layers) == transposed_nodes(ir.to_proto(held))

    inspected = inspect(found).layers
    assert [one.name for one in inspected] == list(layers)
    for one in inspected:
        layer = layers[one.name]
        assert one.geometry == (layer.geometry if layer.sized else None), one.name
        assert one.multiplications == (layer.known.macs_exact if layer.sized else None), one.name

    known = [name for name, layer in layers.items() if layer.geometry is not None]
    diagnosed = examine(found, "model").layers
    assert [entry.layer.name for entry in diagnosed] == known
    for entry in diagnosed:
        assert entry.layer.geometry == layers[entry.layer.name].geometry
        assert entry.measures.multiplications == layers[entry.layer.name].known.macs_exact

    _seen_by_rules(held, layers if followed else {})
    return len(layers)


def _seen_by_rules(held: ir.Model, layers: Mapping[str, Any]) -> None:
    """Each node at which rules start is a layer, with the options that its layer has."""
    context = Context(held)
    nodes = [
        (where, node)
        for where, node in context.nodes()
        if node.op_type == "ConvTranspose" and not node.domain
    ]
    by_origin: dict[tuple[str, str], list[Any]] = {}
    for layer in layers.values():
        by_origin.setdefault(layer.origin[:2], []).append(layer)
    if layers:
        assert set(by_origin) == {(where, name_of(node)) for where, node in nodes}
    many = Counter((where, name_of(node)) for where, node in nodes)
    for where, node in nodes:
        told = read_attributes(node, context)
        for layer in by_origin.get((where, name_of(node)), ()):
            if isinstance(told, str) or many[where, name_of(node)] > 1 or layer.options is None:
                continue
            assert told.kernel == layer.options.kernel
            assert (told.stride, told.dilation, told.groups) == (
                layer.options.stride, layer.options.dilation, layer.options.groups,
            )  # fmt: skip
            assert told.pads in (None, layer.options.pads)  # a function does not know the sizes
            assert needs(node, context) is not None


_SEEN: set[Any] = set()


def same_layers_once(held: ir.Model) -> None:
    """`same_layers` for a model that differs by more than its numbers from all that were examined before."""
    kind = _kind(ir.to_proto(held).graph.node), len(held.functions)
    if kind not in _SEEN:
        _SEEN.add(kind)
        same_layers(of_ir(held, "model"))


def _kind(nodes: Any) -> tuple[Any, ...]:
    return tuple(
        (node.op_type, tuple((a.name, _kind(a.g.node)) for a in sorted(node.attribute, key=lambda a: a.name)))
        for node in nodes
    )
