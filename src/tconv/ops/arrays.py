"""Arrays in, arrays out: NumPy's, or any CPU array that supports DLPack, returned as the caller's type."""

from __future__ import annotations

import sys
from importlib import import_module
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tconv import _core
from tconv.errors import TconvError

__all__ = ["CODES", "Array", "Operand", "allocate", "operand", "returned"]

Array: TypeAlias = npt.NDArray[Any]

#: NumPy's name of a dtype -> ours, in planning.DTYPES.
CODES = {
    "float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16",
    "complex64": "c64", "complex128": "c128",
    "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64",
}  # fmt: skip

#: The module with an array package's `from_dlpack`.
_NAMESPACES = {"torch": "torch", "jax": "jax.numpy", "jaxlib": "jax.numpy"}

#: Outputs of at least this size come from the engine's cache of blocks, which saves page faults.
_FROM_CACHE = 1 << 20


class Operand(NamedTuple):
    """An argument as a C-contiguous NumPy array, with tconv's name of its dtype and its original package."""

    array: Array
    code: str
    package: str


def operand(name: str, value: Any) -> Operand:
    """`value` as a contiguous NumPy array; bfloat16 is represented as uint16.

    Raises:
        TconvError: not an array, not on the CPU, or a dtype that has no kernel.
    """
    package = "numpy"
    if not isinstance(value, np.ndarray):
        if not hasattr(value, "__dlpack__"):
            raise TconvError(
                f"{name} is a {type(value).__name__}; a NumPy array, or one with __dlpack__, would fit"
            )
        package = type(value).__module__.partition(".")[0]
        if getattr(value, "requires_grad", False):
            raise TconvError(
                f"{name} requires a gradient, which is not recorded; tconv.torch records it, or detach it"
            )
        try:
            if "bfloat16" in str(getattr(value, "dtype", "")):
                return Operand(np.ascontiguousarray(_core.bfloat16_bits(value)), "bf16", package)
            value = np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError) as error:
            raise TconvError(f"{name} cannot be read in place: {error}; a CPU array would fit") from error
    code = CODES.get(value.dtype.name)
    if code is None or not value.dtype.isnative:
        raise TconvError(f"{name} has dtype {value.dtype}; {', '.join(CODES)} would fit")
    try:
        array = np.ascontiguousarray(value)
    except MemoryError:
        raise TconvError(
            f"{name} of shape {value.shape} lies apart in memory, and there is too little for a copy; "
            "a smaller one would fit"
        ) from None
    if array.ndim != value.ndim:  # ascontiguousarray makes a scalar one-dimensional
        array = array.reshape(value.shape)
    return Operand(array.view(np.uint16) if code == "bf16" else array, code, package)


def returned(array: Array, like: Operand, given: Any) -> Any:
    """`array` as an array of the same type as the argument `given`, which became `like`."""
    if like.package == "numpy":
        return array.view(given.dtype) if like.code == "bf16" else array
    source: Any = _core.as_bfloat16(array) if like.code == "bf16" else array
    package = import_module(_NAMESPACES.get(like.package, like.package))
    return package.from_dlpack(source)


def allocate(what: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An uninitialised array, the output of `what`.

    Raises:
        TconvError: there is not enough memory for it.
    """
    nbytes = prod(shape) * dtype.itemsize
    try:
        if nbytes > sys.maxsize:
            raise MemoryError
        if nbytes < _FROM_CACHE:
            return np.empty(shape, dtype)
        block: Array = _core.empty(nbytes)
        return block.view(dtype).reshape(shape)
    except MemoryError:
        raise TconvError(
            f"{what}: not enough memory for an output of shape {shape}, {nbytes:,} bytes; "
            "a smaller batch or input would fit"
        ) from None
