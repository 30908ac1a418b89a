"""The nodes of a model in onnx-ir: their places, their sizes, and the constants they read."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tconv.algebra.arrays import Array
from tconv.arguments import checked
from tconv.errors import TconvError, clean, said

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = [
    "FIXED",
    "constant",
    "is_own",
    "name_of",
    "opset_at",
    "quiet",
    "root_of",
    "sizes_of",
    "tensors",
    "tensors_of",
    "walk",
    "weights_of",
]

#: The key that marks initializers of old models (IR version up to 3), which list all of them among their
#: inputs, without meaning that a caller may replace them.
FIXED = "tconv.fixed"

_FAR = 8  # casts and the like between a constant and its reader
_IDENTITIES = 64  # in a row: each reader of a long chain would follow all of it


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


@checked
def constant(value: ir.Value | None) -> Array | None:
    """The array behind a value: an initializer or a Constant node, also through Identity; None if computed.

    An initializer that is also an input of its graph may be replaced by a caller, so it is not a constant.

    >>> import onnx_ir as ir
    >>> node = ir.node("Constant", [], {"value_ints": [1, 2]})
    >>> constant(ir.node("Identity", [node.outputs[0]]).outputs[0])
    array([1, 2])
    >>> constant(ir.val("x")) is None
    True
    """
    return _array(_fixed(value))


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor of a constant as in `constant`, for its shape and type: numbers are not read."""
    value = _fixed(value)
    with _named(value):
        return _tensor(value)


def _fixed(value: ir.Value | None) -> ir.Value | None:
    """The value before any Identity, unless a caller may replace it."""
    value = _behind_identity(value)
    return None if value is not None and value.is_graph_input() and FIXED not in value.meta else value


def _tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    import onnx_ir as ir

    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None or tensor.dtype == ir.DataType.STRING else tensor


def _array(value: ir.Value | None) -> Array | None:
    with _named(value):
        tensor = _tensor(value)
        return None if tensor is None else tensor.numpy()


@contextlib.contextmanager
def _named(value: ir.Value | None) -> Iterator[None]:
    """Turn what onnx-ir raises about a constant into an error that names it."""
    try:
        yield
    except (ValueError, TypeError, AssertionError, OSError, AttributeError) as fault:
        raise TconvError(f"constant {clean(value.name if value else '')}: {said(fault)}") from fault


def _behind_identity(value: ir.Value | None) -> ir.Value | None:
    for _ in range(_IDENTITIES):
        node = None if value is None else value.producer()
        if node is None or node.op_type != "Identity" or node.domain:
            break
        value = node.inputs[0] if len(node.inputs) == 1 else None
    return value


def weights_of(value: ir.Value | None) -> Array | None:
    """The array that a layer reads: as `constant`, also through Cast and DequantizeLinear.

    An initializer that a caller may replace counts, too: it holds the weights of the file.

    >>> import onnx_ir as ir
    >>> q, scale = (ir.node("Constant", [], {"value": ir.tensor(np.array(a))}).outputs[0]
    ...             for a in (np.int8([1, -2]), np.float32(0.5)))
    >>> weights_of(ir.node("DequantizeLinear", [q, scale]).outputs[0])
    array([ 0.5, -1. ], dtype=float32)
    """
    root, steps = root_of(value)
    array = _array(root)
    for node in reversed(steps):
        array = None if array is None else _STEPS[node.op_type](node, array)
    return array


def root_of(value: ir.Value | None) -> tuple[ir.Value | None, list[ir.Node]]:
    """The value before Identity, Cast and DequantizeLinear, and nodes of the latter two, the last first."""
    steps: list[ir.Node] = []
    while len(steps) <= _FAR:
        value = _behind_identity(value)
        node = None if value is None else value.producer()
        if node is None or not is_own(node, *_STEPS) or not node.inputs:
            break
        steps.append(node)
        value = node.inputs[0]
    return value, steps


def _cast(node: ir.Node, array: Array) -> Array | None:
    import onnx_ir as ir

    to = node.attributes.get("to")
    try:
        kind = None if to is None or to.is_ref() else ir.DataType(to.value)
        if kind in (None, ir.DataType.STRING, ir.DataType.UNDEFINED):
            return None
        with np.errstate(all="ignore"):
            return array.astype(kind.numpy())
    except (TypeError, ValueError):
        return None


def _dequantized(node: ir.Node, array: Array) -> Array | None:
    """(x - zero point) * scale, each one number or one per entry of an axis; None for anything else."""
    scale = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    zero = constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else np.int8(0)
    if scale is None or zero is None or node.attributes.get("block_size") is not None:
        return None
    axis = node.attributes.get("axis")
    at = 1 if axis is None else None if axis.is_ref() else axis.value
    parts = []
    for part in (np.asarray(zero), scale):
        if part.size == 1:
            parts.append(part.astype(np.float32).reshape(()))
        elif at is not None and -array.ndim <= at < array.ndim and part.shape == (array.shape[at],):
            parts.append(
                part.astype(np.float32).reshape(
                    [-1 if a == at % array.ndim else 1 for a in range(array.ndim)]
                )
            )
        else:
            return None
    with np.errstate(all="ignore"):
        answer: Array = ((array.astype(np.float32) - parts[0]) * parts[1]).astype(scale.dtype)
    return answer


#: Operators between a constant and its reader -> the function that computes their output.
_STEPS: Mapping[str, Callable[[Any, Array], Array | None]] = MappingProxyType(
    {"Cast": _cast, "DequantizeLinear": _dequantized}
)


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
