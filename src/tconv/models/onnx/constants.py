"""The constants that nodes read: initializers and Constant nodes, also behind nodes that only convert them.

Those are Identity, Cast, QuantizeLinear and DequantizeLinear. Runtimes compute them once, before any input.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tconv.algebra.arrays import Array
from tconv.arguments import checked
from tconv.errors import TconvError, clean, said
from tconv.models.onnx.nodes import is_own
from tconv.models.onnx.quantized import DOMAINS, OPERATORS, Scale, dequantized, quantized, scale_of

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["FIXED", "Held", "constant", "held", "root_of", "weights_of"]

#: The key that marks initializers of old models (IR version up to 3), which list all of them among their
#: inputs, without meaning that a caller may replace them.
FIXED = "tconv.fixed"

_FAR = 8  # casts and the like between a constant and its reader
_IDENTITIES = 64  # in a row: each reader of a long chain would follow all of it


@dataclass(frozen=True)
class Held:
    """A constant: its tensor, and the nodes between it and its reader; its numbers are read on request."""

    tensor: ir.TensorProtocol
    steps: tuple[ir.Node, ...]  #: in the order of the data flow
    dtype: np.dtype[Any]  #: of what the reader gets

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes; no step changes them."""
        return tuple(self.tensor.shape.numpy())

    @property
    def quantized(self) -> str:
        """The integers and their scale, as "int8 per channel (axis 1)"; "" if it is not quantized."""
        last = next((node for node in reversed(self.steps) if node.op_type == "DequantizeLinear"), None)
        return "" if last is None else told(last)

    def numpy(self) -> Array | None:
        """The numbers that the reader gets; None if a step has no defined result for them."""
        array: Array | None = self.tensor.numpy()
        for node in self.steps:
            if array is None:
                break
            if node.op_type == "Cast":
                array = _cast(node, array)
                continue
            scale, zero = _parameters(node)
            how = None if scale is None else scale_of(node, self.shape, tuple(scale.shape.numpy()))
            dtype = None if how is None else _linear(node, self.shape)
            if scale is None or how is None or dtype is None:
                return None
            compute = dequantized if node.op_type == "DequantizeLinear" else quantized
            array = compute(array, scale.numpy(), None if zero is None else zero.numpy(), how, dtype)
        return array


@checked
def constant(value: ir.Value | None) -> Array | None:
    """The array behind a value: an initializer or a Constant node, also behind conversions; else None.

    An initializer that is also an input of its graph may be replaced by a caller, so it is not a constant.

    >>> import onnx_ir as ir
    >>> node = ir.node("Constant", [], {"value_ints": [1, 2]})
    >>> constant(ir.node("Identity", [node.outputs[0]]).outputs[0])
    array([1, 2])
    >>> constant(ir.val("x")) is None
    True
    """
    return _array(value, held(value))


def weights_of(value: ir.Value | None) -> Array | None:
    """The array that a layer reads: as `constant`, also if a caller may replace the initializer.

    >>> import onnx_ir as ir
    >>> q, scale = (ir.node("Constant", [], {"value": ir.tensor(np.array(a))}).outputs[0]
    ...             for a in (np.int8([1, -2]), np.float32(0.5)))
    >>> weights_of(ir.node("DequantizeLinear", [q, scale]).outputs[0])
    array([ 0.5, -1. ], dtype=float32)
    """
    return _array(value, held(value, replaceable=True))


def _array(value: ir.Value | None, found: Held | None) -> Array | None:
    with _named(value):
        return None if found is None else found.numpy()


def held(value: ir.Value | None, *, replaceable: bool = False) -> Held | None:
    """The constant behind a value, without its numbers being read; None if it is computed.

    With `replaceable` an initializer that a caller may replace counts, too.
    """
    with _named(value):
        root, steps = root_of(value)
        if root is None or (not replaceable and root.is_graph_input() and FIXED not in root.meta):
            return None
        tensor = _tensor(root)
        if tensor is None:
            return None
        shape, dtype = tuple(tensor.shape.numpy()), np.dtype(tensor.dtype.numpy())
        for node in reversed(steps):
            found = _cast_to(node) if node.op_type == "Cast" else _linear(node, shape, dtype)
            if found is None:
                return None
            dtype = found
        return Held(tensor, tuple(reversed(steps)), dtype)


def root_of(value: ir.Value | None) -> tuple[ir.Value | None, list[ir.Node]]:
    """The value before any conversions, and their nodes but for Identity, the last first."""
    steps: list[ir.Node] = []
    while len(steps) <= _FAR:
        value = _behind_identity(value)
        node = None if value is None else value.producer()
        if node is None or not _converts(node) or not node.inputs or len(node.outputs) != 1:
            break
        steps.append(node)
        value = node.inputs[0]
    return value, steps


def _converts(node: ir.Node) -> bool:
    return is_own(node, "Cast") or is_linear(node)


def is_linear(node: ir.Node, *op_types: str) -> bool:
    """Whether a node is QuantizeLinear or DequantizeLinear, or the given one of them."""
    return node.op_type in (op_types or OPERATORS) and node.domain in DOMAINS


def told(node: ir.Node) -> str:
    """The integers that a node of `is_linear` reads or writes, and their scale: "uint8 per tensor"."""
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    dequantizes = node.op_type == "DequantizeLinear"
    many = node.inputs[0] if dequantizes else node.outputs[0]
    kinds = [v.dtype.name.lower() for v in (zero, many) if v is not None and v.dtype is not None]
    tensor = _plain(many) or (None if zero is None else _plain(zero))
    kind = tensor.dtype.name.lower() if tensor is not None else kinds[0] if kinds else "integers"
    scale = _plain(node.inputs[1]) if len(node.inputs) > 1 else None
    shape = None if many is None or many.shape is None else many.shape
    sizes = tuple(scale.shape.numpy()) if scale is not None else None
    if sizes in ((), (1,)):
        return f"{kind} {Scale(None, 0)}"
    known = None if shape is None else tuple(size if isinstance(size, int) else -1 for size in shape)
    if known is None and tensor is not None:
        known = tuple(tensor.shape.numpy())
    how = None if known is None or sizes is None else scale_of(node, known, sizes)
    return kind if how is None else f"{kind} {how}"


def _parameters(node: ir.Node) -> tuple[ir.TensorProtocol | None, ir.TensorProtocol | None]:
    """The scale and the zero point of a node, if they are constants."""
    scale, zero = ([*node.inputs, None, None][i] for i in (1, 2))
    return _plain(scale), _plain(zero)


def _plain(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor of a constant that no conversion but Identity changes."""
    root = _behind_identity(value)
    if root is None or (root.is_graph_input() and FIXED not in root.meta):
        return None
    return _tensor(root)


def _linear(node: ir.Node, shape: Sequence[int], dtype: np.dtype[Any] | None = None) -> np.dtype[Any] | None:
    """The type of a node's output for an input of `shape` and `dtype`; None if it is not computed here."""
    import onnx_ir as ir

    if not 2 <= len(node.inputs) <= 3 or any(a.is_ref() for a in node.attributes.values()):
        return None
    scale, zero = _parameters(node)
    wants_zero = len(node.inputs) > 2 and node.inputs[2] is not None
    if scale is None or not scale.dtype.is_floating_point():
        return None
    if scale_of(node, shape, tuple(scale.shape.numpy())) is None:
        return None
    if wants_zero and (zero is None or _sizes(zero) != _sizes(scale)):
        return None
    named = node.attributes.get_int("output_dtype", 0)
    if node.op_type == "DequantizeLinear":
        if dtype is not None and not _small(dtype):
            return None
        if dtype is not None and zero is not None and np.dtype(zero.dtype.numpy()) != dtype:
            return None
        found = ir.DataType(named) if named else scale.dtype
        return np.dtype(found.numpy()) if found.is_floating_point() else None
    if node.attributes.get_int("precision", 0) or (dtype is not None and dtype.kind != "f"):
        return None
    found = ir.DataType(named) if named else zero.dtype if zero is not None else ir.DataType.UINT8
    made = np.dtype(found.numpy())
    return made if found.is_integer() and _small(made) else None


def _sizes(tensor: ir.TensorProtocol) -> tuple[int, ...]:
    return () if tensor.size == 1 else tuple(tensor.shape.numpy())


def _small(dtype: np.dtype[Any]) -> bool:
    """Whether values of this type are scaled: integers of up to 32 bits, floats of 8 and less."""
    return ("int" in dtype.name and dtype.itemsize <= 4) or dtype.name.startswith(("float8", "float4"))


def _cast_to(node: ir.Node) -> np.dtype[Any] | None:
    import onnx_ir as ir

    to = node.attributes.get("to")
    try:
        kind = None if to is None or to.is_ref() else ir.DataType(to.value)
        if kind in (None, ir.DataType.STRING, ir.DataType.UNDEFINED):
            return None
        return np.dtype(kind.numpy())
    except (TypeError, ValueError):
        return None


def _cast(node: ir.Node, array: Array) -> Array | None:
    to = _cast_to(node)
    try:
        with np.errstate(all="ignore"):
            return None if to is None else array.astype(to)
    except (TypeError, ValueError):
        return None


def _tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    import onnx_ir as ir

    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None or tensor.dtype == ir.DataType.STRING else tensor


@contextlib.contextmanager
def _named(value: ir.Value | None) -> Iterator[None]:
    """Turn what onnx-ir raises about a constant into an error that names it."""
    try:
        yield
    except (ValueError, TypeError, AssertionError, OSError, AttributeError) as fault:
        if isinstance(fault, TconvError):
            raise
        raise TconvError(f"constant {clean(value.name if value else '')}: {said(fault)}") from fault


def _behind_identity(value: ir.Value | None) -> ir.Value | None:
    for _ in range(_IDENTITIES):
        node = None if value is None else value.producer()
        if node is None or node.op_type != "Identity" or node.domain:
            break
        value = node.inputs[0] if len(node.inputs) == 1 else None
    return value
