"""`tconv.diagnosis` of a model that is at hand, with the sizes that are known by now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tconv.diagnosis import Diagnosis, ModelLayer
from tconv.diagnosis.diagnose import examine
from tconv.diagnosis.readers.onnx import of_model
from tconv.diagnosis.readers.source import Source
from tconv.errors import TconvError

if TYPE_CHECKING:
    import onnx_ir as ir

    from tconv.onnx.inspection import Inspected

__all__ = ["diagnosed"]

_SMALL = 1 << 20  # bytes: larger tensors matter to a diagnosis only as weights of a layer
_LAYERS = frozenset(["Conv", "ConvTranspose", "BatchNormalization"])


def diagnosed(
    source: str, model: ir.Model, layers: Sequence[Inspected]
) -> tuple[Diagnosis | None, tuple[str, ...]]:
    """The diagnosis of the layers whose weights are there, and why others have none.

    The model is taken apart for it: hand over one that nobody needs any more.
    """
    known = [
        ModelLayer(
            name=one.name, geometry=one.stand_in, weight=_plain(one.weight), sized=one.geometry is not None
        )
        for one in layers
        if one.stand_in is not None
    ]
    if not known:
        return None, ()
    try:
        found = Source(layers=())
        if any(one.where == "graph" and one.weight is not None for one in layers):
            found = of_model(_proto(model), source, {})
        seen = {layer.name for layer in found.layers if not layer.conv}
        rest = [layer for layer in known if layer.name not in seen]
        return examine(Source(layers=(*found.layers, *rest), graph=found.graph), source), ()
    except TconvError as fault:
        return None, (f"not diagnosed: {fault}",)


def _plain(weight: Any) -> Any:
    """Weights in a type that NumPy computes with: bfloat16 and the like as float32."""
    return weight.astype("float32") if weight is not None and weight.dtype.kind == "V" else weight


def _proto(model: ir.Model) -> Any:
    """The model in one piece, without large tensors that are no layer's."""
    import onnx_ir as ir

    for graph in model.graphs():
        for name, value in list(graph.initializers.items()):
            tensor = value.const_value
            needed = any(use.node.op_type in _LAYERS for use in value.uses())
            if tensor is None or (tensor.nbytes > _SMALL and not needed):
                graph.initializers.pop(name)
            elif isinstance(tensor, ir.ExternalTensor):
                value.const_value = ir.tensor(tensor.numpy(), dtype=tensor.dtype, name=name)
    for node in model.graph.all_nodes():
        for attribute in list(node.attributes.values()):
            if not attribute.is_ref() and isinstance(attribute.value, ir.ExternalTensor):
                held = attribute.value
                node.attributes[attribute.name] = ir.AttrTensor(
                    attribute.name, ir.tensor(held.numpy(), dtype=held.dtype, name=held.name)
                )
    return ir.to_proto(model)
