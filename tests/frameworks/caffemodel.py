"""A Caffe model file: protocol buffers' wire format, as far as layers with one weight blob need it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def varint(number: int) -> bytes:
    done = b""
    while number > 127:
        done += bytes([number & 127 | 128])
        number >>= 7
    return done + bytes([number])


def field(number: int, payload: bytes) -> bytes:
    """A field of bytes: text, a message or packed numbers."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def blob(weight: np.ndarray) -> bytes:
    """BlobProto: shape = 7 { dim = 1 }, data = 5."""
    shape = field(1, b"".join(varint(size) for size in weight.shape))
    return field(7, shape) + field(5, np.ascontiguousarray(weight, "<f4").tobytes())


def caffemodel(weights: Mapping[str, tuple[str, np.ndarray]]) -> bytes:
    """NetParameter: layer = 100 { name = 1, type = 2, blobs = 7 } for each name -> (type, weight)."""
    return b"".join(
        field(100, field(1, name.encode()) + field(2, kind.encode()) + field(7, blob(weight)))
        for name, (kind, weight) in weights.items()
    )
