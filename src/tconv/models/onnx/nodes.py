"""The nodes of a model in onnx-ir: their places, their names, their sizes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = [
    "ENGINE_DOMAIN",
    "is_layer",
    "is_own",
    "name_of",
    "opset_at",
    "quiet",
    "sizes_of",
    "tensors",
    "tensors_of",
    "walk",
]

ENGINE_DOMAIN = "tconv"
"""The domain of the operators that tconv's engine computes in ONNX Runtime: tconv::ConvTranspose."""


def walk(model: ir.Model) -> Iterator[tuple[ir.Node, str]]:
    """Every node of a model and its place: the graph first, then the functions.

    A graph may be changed meanwhile: new nodes are not visited, removed nodes still are.
    """
    yield from _walk(model.graph, "graph")
    for function in model.functions.values():
        yield from _walk(function, _place(function))


def _place(function: ir.Function) -> str:
    return f"function {function.domain}::{function.name}"


def _walk(body: Any, where: str) -> Iterator[tuple[ir.Node, str]]:
    import onnx_ir as ir

    for node in tuple(body):
        yield node, where
        for name, attribute in node.attributes.items():
            if attribute.is_ref():
                continue
            if attribute.type == ir.AttributeType.GRAPH:
                yield from _walk(attribute.value, f"{where}/{name_of(node)}/{name}")
            elif attribute.type == ir.AttributeType.GRAPHS:
                for i, graph in enumerate(attribute.value):
                    yield from _walk(graph, f"{where}/{name_of(node)}/{name}{i}")


def tensors(model: ir.Model) -> Iterator[Any]:
    """Every tensor of a model, external ones included."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value.const_value
    for node, _ in walk(model):
        for attribute in node.attributes.values():
            yield from tensors_of(attribute)


def tensors_of(attribute: ir.Attr) -> Iterator[Any]:
    """The tensors of an attribute."""
    import onnx_ir as ir

    if attribute.is_ref():
        return
    if attribute.type == ir.AttributeType.TENSOR:
        yield attribute.value
    elif attribute.type == ir.AttributeType.TENSORS:
        yield from attribute.value


def name_of(node: ir.Node) -> str:
    """The name of a node, else of its first output, else of its operator."""
    return node.name or (node.outputs[0].name if node.outputs else "") or node.op_type


def is_own(node: ir.Node, *op_types: str) -> bool:
    """Whether a node is one of these operators of ONNX's own domain."""
    return node.op_type in op_types and node.domain in ("", "ai.onnx")


def is_layer(node: ir.Node) -> bool:
    """Whether a node is a convolution, transposed or not: ONNX's own, or the engine's."""
    return is_own(node, "Conv", "ConvTranspose") or (
        node.domain == ENGINE_DOMAIN and node.op_type == "ConvTranspose"
    )


def opset_at(model: ir.Model, where: str) -> int:
    """The version of ONNX's own operators at a place that `walk` names."""
    imports = model.opset_imports
    for function in model.functions.values():
        if f"{where}/".startswith(f"{_place(function)}/"):
            imports = function.opset_imports
    return opset_of(imports)


def opset_of(imports: Mapping[str, int]) -> int:
    """The version of ONNX's own operators among the imports of a model or a function."""
    return int(imports.get("", imports.get("ai.onnx", 1)))


def sizes_of(value: ir.Value | None) -> tuple[int | None, ...]:
    """The shape of a value, None for each open axis; () if not even the rank is known."""
    if value is None or value.shape is None:
        return ()
    return tuple(size if isinstance(size, int) and size > 0 else None for size in value.shape)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress what onnx-ir logs about a file: the error says it in one line."""
    logger = logging.getLogger("onnx_ir")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
