"""The engine's layers in files of `tconv rewrite --for engine`, read as the layers that they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tconv.errors import TconvError, clean
from tconv.models.onnx.nodes import ENGINE_DOMAIN, name_of, walk

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["ACTIVATIONS", "as_onnx", "operator"]

#: The key of a node's metadata that holds what `operator` says of the engine's node before `as_onnx`.
_OPERATOR = "tconv.operator"
#: Those of core/ort/layer.cpp.
ACTIVATIONS = (
    "Relu", "LeakyRelu", "PRelu", "Clip", "Tanh", "Sigmoid", "Gelu", "GeluTanh", "Silu", "Elu", "HardSwish",
    "Softplus", "Mish",
)  # fmt: skip


def operator(node: ir.Node) -> str:
    """The operator of a layer: "ConvTranspose"; the engine's, "tconv::ConvTranspose with Relu".

    Raises:
        TconvError: an activation that the engine does not have.
    """
    if node.domain != ENGINE_DOMAIN:
        return str(node.meta.get(_OPERATOR, node.op_type))
    activation = _activation(node)
    return f"{ENGINE_DOMAIN}::{node.op_type}{f' with {activation}' if activation else ''}"


def _activation(node: ir.Node) -> str:
    attribute = node.attributes.get("activation")
    if attribute is None or attribute.is_ref():
        return ""
    if attribute.type.name != "STRING" or attribute.value not in ("", *ACTIVATIONS):
        raise TconvError(f"activation {clean(attribute.value)}; {', '.join(ACTIVATIONS)} would fit")
    return str(attribute.value)


def as_onnx(model: ir.Model) -> None:
    """Turn the engine's layers into ONNX's, in place, so that shapes are inferred through them.

    An activation becomes an Identity after the layer, as which it counts for shapes and neighbours.
    """
    import onnx_ir as ir

    layers = [
        node for node, _ in walk(model) if node.domain == ENGINE_DOMAIN and node.op_type == "ConvTranspose"
    ]
    taken = {value.name for node, _ in walk(model) for value in node.outputs} if layers else set()
    for node in layers:
        node.meta[_OPERATOR] = operator(node)
        activation = _activation(node)
        node.domain = ""
        for name in ("activation", "activation_params"):
            node.attributes.pop(name, None)
        if not activation or len(node.outputs) != 1 or node.graph is None:
            continue
        output, name, number = node.outputs[0], "", 0
        while not name or name in taken:
            name, number = f"{name_of(node)} before {activation} {number}", number + 1
        taken.add(name)
        made = ir.node("Identity", [output], name=name)
        made.outputs[0].name, output.name = output.name, name
        made.outputs[0].type, made.outputs[0].shape = output.type, output.shape
        ir.convenience.replace_all_uses_with(output, made.outputs[0], replace_graph_outputs=True)
        made.replace_input_with(0, output)
        node.graph.insert_after(node, made)
