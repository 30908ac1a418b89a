"""QuantizeLinear and DequantizeLinear of arrays, to the last bit as ONNX Runtime computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tconv.algebra.arrays import Array

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["DOMAINS", "OPERATORS", "Scale", "dequantized", "quantized", "scale_of"]

OPERATORS = ("QuantizeLinear", "DequantizeLinear")
#: ONNX's own domain, and that of ONNX Runtime, whose tools use it for integers of 16 and of 4 bits.
DOMAINS = ("", "ai.onnx", "com.microsoft")

_FAR = 1 << 30


class Scale(NamedTuple):
    """How the scale of a node belongs to the entries of its input.

    `axis` is None if one number scales all. Otherwise one number scales an index of the axis, or `block`
    indices in a row if that is above 0.
    """

    axis: int | None
    block: int

    def __str__(self) -> str:
        """ "per tensor", "per channel (axis 0)", "in blocks of 32 (axis 1)"."""
        if self.axis is None:
            return "per tensor"
        what = f"in blocks of {self.block}" if self.block else "per channel"
        return f"{what} (axis {self.axis})"

    def spread(self, part: Array, shape: Sequence[int]) -> Array:
        """A scale or zero point in a shape that broadcasts against the input's."""
        if self.axis is None:
            return part.reshape(())
        if self.block:
            kept: Array = np.repeat(part, min(self.block, shape[self.axis]), self.axis)
            return kept[(slice(None),) * self.axis + (slice(shape[self.axis]),)]
        return part.reshape([-1 if a == self.axis else 1 for a in range(len(shape))])


def scale_of(node: ir.Node, shape: Sequence[int], scale: Sequence[int]) -> Scale | None:
    """How a scale of this shape belongs to an input of `shape`; None if the standard has no such node."""
    numbers = {}
    for name, default in (("axis", 1), ("block_size", 0)):
        attribute = node.attributes.get(name)
        if attribute is not None and (attribute.is_ref() or attribute.type.name != "INT"):
            return None
        numbers[name] = default if attribute is None else int(attribute.value)
    axis, block, many = numbers["axis"], numbers["block_size"], len(shape)
    if block < 0 or not (-many <= axis < many or (not block and not scale)):
        return Scale(None, 0) if not block and tuple(scale) == (1,) else None
    axis %= max(many, 1)
    if block:
        wanted = [*shape]
        wanted[axis] = -(-shape[axis] // block)
        return Scale(axis, block) if [*scale] == wanted else None
    if tuple(scale) in ((), (1,)):
        return Scale(None, 0)
    return Scale(axis, 0) if tuple(scale) == (shape[axis],) else None


def dequantized(array: Array, scale: Array, zero: Array | None, how: Scale, dtype: np.dtype[Any]) -> Array:
    """(array - zero) * scale; the difference of integers is exact, the product first rounded to float32."""
    whole = array.dtype.kind in "iu" or "int" in array.dtype.name  # NumPy lacks integers of 4 bits
    between = np.dtype(np.int64 if whole else np.float32)
    with np.errstate(all="ignore"):
        held = array.astype(between)
        if zero is not None:
            held = held - how.spread(zero.astype(between), array.shape)
        answer: Array = (held.astype(np.float32) * how.spread(scale.astype(np.float32), array.shape)).astype(
            dtype
        )
    return answer


def quantized(
    array: Array, scale: Array, zero: Array | None, how: Scale, dtype: np.dtype[Any]
) -> Array | None:
    """round(array / scale) + zero within the bounds of an integer type, half to even.

    None if a quotient is NaN or beyond 32 bits: ONNX Runtime's kernels do not agree about it.
    """
    from ml_dtypes import iinfo

    with np.errstate(all="ignore"):
        held = np.rint(array.astype(np.float32) / how.spread(scale.astype(np.float32), array.shape))
        if not (np.abs(held) <= _FAR).all():
            return None
        if zero is not None:
            held = held + how.spread(zero.astype(np.float32), array.shape)
        bounds: Any = iinfo(dtype)  # type: ignore[no-untyped-call]
        answer: Array = np.clip(held, float(bounds.min), float(bounds.max)).astype(np.int64).astype(dtype)
    return answer
