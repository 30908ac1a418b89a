"""XLA calls the engine: a handler of XLA's typed foreign-function interface.

XLA passes the addresses of its own buffers, and the engine reads and writes them directly.
`jax.pure_callback` would do the same through JAX arrays and copies; docs/guides/jax.md has both times.
Nothing in this module calls JAX, which could wait for a thread while XLA has none left.

The structures are those of xla/ffi/api/c_api.h, which comes with jaxlib, in version 0.1 of the
interface. XLA queries the version for which a handler was written and refuses one that it no longer
supports.
"""

from __future__ import annotations

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_int,
    c_int64,
    c_size_t,
    c_uint32,
    c_void_p,
    cast,
    sizeof,
    string_at,
)
from typing import Any

import jax

from tconv.jax.call_cache import plan_of
from tconv.ops.execute import execute

__all__ = ["TARGET"]

#: The handler's name in compiled programs.
TARGET = "tconv"

_API_VERSION = 0, 1
_METADATA = 1  # the type of the extension by which XLA queries the version
_INVALID_ARGUMENT = 3


class _Version(Structure):
    _fields_ = (("size", c_size_t), ("extensions", c_void_p), ("major", c_int), ("minor", c_int))


class _Metadata(Structure):
    _fields_ = (("size", c_size_t), ("version", _Version), ("traits", c_uint32))


class _Extension(Structure):
    """An extension; only the one for metadata is read beyond `next`."""


_Extension._fields_ = (
    ("size", c_size_t),
    ("type", c_int),
    ("next", POINTER(_Extension)),
    ("metadata", POINTER(_Metadata)),
)


class _Buffer(Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extensions", c_void_p),
        ("dtype", c_int),
        ("address", c_void_p),
        ("rank", c_int64),
        ("dims", c_void_p),
    )


class _Buffers(Structure):
    """Arguments or results."""

    _fields_ = (
        ("size", c_size_t),
        ("extensions", c_void_p),
        ("count", c_int64),
        ("types", c_void_p),
        ("each", POINTER(POINTER(_Buffer))),
    )


class _Text(Structure):
    _fields_ = (("start", c_void_p), ("length", c_size_t))


class _Attributes(Structure):
    """The attributes; there is one, a text."""

    _fields_ = (
        ("size", c_size_t),
        ("extensions", c_void_p),
        ("count", c_int64),
        ("types", c_void_p),
        ("names", c_void_p),
        ("each", POINTER(POINTER(_Text))),
    )


class _ErrorArguments(Structure):
    _fields_ = (("size", c_size_t), ("extensions", c_void_p), ("message", c_char_p), ("code", c_int))


class _Api(Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extensions", c_void_p),
        ("version", _Version),
        ("internal", c_void_p),
        ("make_error", CFUNCTYPE(c_void_p, POINTER(_ErrorArguments))),
    )


class _Call(Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extensions", POINTER(_Extension)),
        ("api", POINTER(_Api)),
        ("context", c_void_p),
        ("stage", c_int),
        ("arguments", _Buffers),
        ("results", _Buffers),
        ("attributes", _Attributes),
    )


def _run(call: Any) -> None:
    text, arguments = call.attributes.each[0][0], call.arguments.each
    bias = arguments[2][0].address if call.arguments.count == 3 else None
    execute(
        plan_of(string_at(text.start, text.length)),
        arguments[0][0].address,
        arguments[1][0].address,
        bias,
        call.results.each[0][0].address,
    )


def _handle(at: Any) -> Any:
    """Null on success, otherwise XLA's error."""
    call = at[0]
    extension = call.extensions
    while extension:
        if extension[0].type == _METADATA:
            metadata = extension[0].metadata[0]
            metadata.version.major, metadata.version.minor = _API_VERSION
            metadata.traits = 0
            return None
        extension = extension[0].next
    try:
        _run(call)
    except BaseException as fault:  # no caller could catch it
        message = f"{type(fault).__name__}: {fault}".encode()
        error = _ErrorArguments(sizeof(_ErrorArguments), None, message, _INVALID_ARGUMENT)
        return call.api[0].make_error(byref(error))
    return None


#: Kept alive as long as the module: XLA has only its address.
_handler = CFUNCTYPE(c_void_p, POINTER(_Call))(_handle)
_capsule = jax.ffi.pycapsule(cast(_handler, c_void_p).value)  # type: ignore[no-untyped-call]
jax.ffi.register_ffi_target(TARGET, _capsule, platform="cpu")
