"""Exact multiplications of a model's operators: products with padding do not count.

A transposed convolution counts the taps that reach an output, a convolution those that meet an input; both
are sums of the coverage over the axes, times the pairs of channels. Operators that are not listed here
(activations, scaling, normalisation) are passes over their values and are left out. So are operators of
unknown domains, which the report names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tconv.errors import TconvError
from tconv.models import ModelLayer
from tconv.models.convolutions import conv_products
from tconv.models.onnx import options
from tconv.models.onnx.nodes import sizes_of, walk

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Work", "count"]


@dataclass(frozen=True, kw_only=True)
class Work:
    """The multiplications of the nodes of one operator."""

    operator: str
    nodes: int
    multiplications: int  #: in the nodes whose sizes are known
    open: int  #: number of nodes whose sizes are not known
    counted: bool = True  #: False: the multiplications of this operator are not known

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return dict(vars(self))


def count(model: ir.Model, layers: Iterable[ModelLayer]) -> tuple[Work, ...]:
    """The work of a model by operator, largest first; `layers` are its transposed convolutions."""
    exact = {
        layer.node: (layer.operator.partition(" ")[0], layer.known.macs_exact if layer.sized else None)
        for layer in layers
    }
    found: dict[str, list[int | None]] = {}
    unknown: dict[str, int] = {}
    for node, _ in walk(model):
        name = f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        if node in exact:
            operator, products = exact[node]
            found.setdefault(operator, []).append(products)
        elif name in _COUNTS:
            found.setdefault(name, []).append(_COUNTS[name](node))
        elif name in _UNCOUNTED or node.domain not in ("", "ai.onnx", "ai.onnx.ml"):
            unknown[name] = unknown.get(name, 0) + 1
    works = [
        Work(
            operator=name,
            nodes=len(numbers),
            multiplications=sum(number for number in numbers if number is not None),
            open=numbers.count(None),
        )
        for name, numbers in found.items()
    ]
    works.sort(key=lambda work: -work.multiplications)
    rest = [
        Work(operator=name, nodes=many, multiplications=0, open=many, counted=False)
        for name, many in unknown.items()
    ]
    return (*works, *rest)


def _whole(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape of a value, if it is known completely."""
    sizes = sizes_of(value)
    known = tuple(size for size in sizes if size is not None)
    return known if value is not None and value.shape is not None and len(known) == len(sizes) else None


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _conv(weight: int) -> Callable[[ir.Node], int | None]:
    def counted(node: ir.Node) -> int | None:
        x, w = _whole(_input(node, 0)), _whole(_input(node, weight))
        y = _whole(node.outputs[0]) if node.outputs else None
        if x is None or w is None or y is None or not len(x) == len(w) == len(y) > 2:
            return None
        if any(attribute.is_ref() for attribute in node.attributes.values()):
            return None
        try:
            told = options.read(node, w, x[2:])
        except TconvError:
            return None
        if told is None or told.pads is None:
            return None
        starts = [lo for lo, _ in told.pads]
        return conv_products(x, w, y, told.stride, starts, told.dilation)

    return counted


def _matmul(second: int) -> Callable[[ir.Node], int | None]:
    def counted(node: ir.Node) -> int | None:
        a, b = _whole(_input(node, 0)), _whole(_input(node, second))
        y = _whole(node.outputs[0]) if node.outputs else None
        return None if not a or not b or y is None else prod(y) * a[-1]

    return counted


def _gemm(node: ir.Node) -> int | None:
    a, b = _whole(_input(node, 0)), _whole(_input(node, 1))
    y = _whole(node.outputs[0]) if node.outputs else None
    if a is None or b is None or y is None or not len(a) == len(b) == len(y) == 2:
        return None
    attribute = node.attributes.get("transA")
    return prod(y) * a[0 if attribute is not None and attribute.value else 1]


def _recurrent(node: ir.Node) -> int | None:
    """Every step multiplies with all weights, those of the input and those of the state."""
    x, w, r = (_whole(_input(node, i)) for i in range(3))
    return None if x is None or w is None or r is None or len(x) != 3 else x[0] * x[1] * (prod(w) + prod(r))


def _einsum(node: ir.Node) -> int | None:
    """One product for each choice of all letters, with each operand beyond the first."""
    attribute = node.attributes.get("equation")
    equation = attribute.value if attribute is not None and isinstance(attribute.value, str) else "..."
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    shapes = [_whole(value) for value in node.inputs]
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=False):
        if shape is None or not term.isalpha() or len(term) != len(shape) or len(terms) != len(shapes):
            return None
        sizes.update(zip(term, shape, strict=True))
    return prod(sizes.values()) * (len(terms) - 1)


_COUNTS: Mapping[str, Callable[[Any], int | None]] = MappingProxyType(
    {
        "Conv": _conv(1),
        "ConvInteger": _conv(1),
        "QLinearConv": _conv(3),
        "com.microsoft.FusedConv": _conv(1),
        "MatMul": _matmul(1),
        "MatMulInteger": _matmul(1),
        "QLinearMatMul": _matmul(3),
        "Gemm": _gemm,
        "com.microsoft.FusedGemm": _gemm,
        "GRU": _recurrent,
        "LSTM": _recurrent,
        "RNN": _recurrent,
        "Einsum": _einsum,
    }
)
#: ONNX's own operators whose multiplications are not counted here.
_UNCOUNTED = frozenset(["Attention", "DeformConv", "LinearAttention", "DFT", "STFT"])
