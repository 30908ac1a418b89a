"""How many numbers shape inference would hold: each Concat adds up those of its inputs."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from tconv.errors import TconvError
from tconv.models.onnx.calls import subgraphs

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["check_growth"]

_MOST = 1_000_000  # numbers of one value, in addition to those in the file
_IN_ALL = 16  # all values have at most this many times as many: inference holds them at once
_RANK = 64  # numbers in the shape of a value of unknown rank

#: Operators through which ONNX's inference propagates numbers, and Identity.
_CARRYING = frozenset(
    ["Add", "Cast", "Concat", "Gather", "Identity", "Mul", "Size", "Slice", "Squeeze", "Sub", "Unsqueeze"]
)

Counts = MutableMapping[str, int]


def check_growth(model: ModelProto, functions: Mapping[Any, Any]) -> None:
    """Check that shapes do not grow beyond what inference can hold, as in a chain of doubling Concats.

    Functions are followed at every call: `check_calls` has bounded their number.

    Raises:
        TconvError: one does, or all of them together.
    """
    most = _MOST + 4 * sum(_whole_numbers(tensor) for tensor in model.graph.initializer)
    if _follow(model.graph, {}, functions, most) > _IN_ALL * most:
        raise TconvError(f"its shapes grow to more than {_IN_ALL * most:,} numbers in all")


def _whole_numbers(tensor: Any) -> int:
    """The number of values of a tensor that may be a shape: integers along one axis."""
    integers = tensor.data_type in (tensor.INT32, tensor.INT64)
    return prod(tensor.dims) if integers and len(tensor.dims) <= 1 else 0


def _follow(body: Any, counts: Counts, functions: Mapping[Any, Any], most: int) -> int:
    """Count the numbers of each value of a body; all of them together."""
    held = 0
    for tensor in getattr(body, "initializer", ()):
        counts[tensor.name] = _whole_numbers(tensor)
    for node in body.node:
        for _, graph in subgraphs(node):
            held += _follow(graph, ChainMap({}, counts), functions, most)
        called = functions.get((node.domain, node.op_type, node.overload))
        read = [counts.get(name, 0) for name in node.input]
        if called is not None:
            inside = dict(zip(called.input, read, strict=False))
            held += _follow(called, inside, functions, most)
            made = [inside.get(name, 0) for name in called.output]
        else:
            made = [_made(node, read)] * len(node.output)
        if max(made, default=0) > most:
            raise TconvError(f"a shape in it grows to more than {most:,} numbers")
        held += sum(made)
        counts.update(zip(node.output, made, strict=False))
    return held


def _made(node: Any, read: Sequence[int]) -> int:
    if node.op_type == "Shape":
        return _RANK
    if node.op_type == "Constant":
        return sum(_whole_numbers(a.t) + len(a.ints) for a in node.attribute)
    if node.op_type not in _CARRYING:  # a map computed from a shape is not a shape
        return 0
    return sum(read) if node.op_type == "Concat" else max(read, default=0)
