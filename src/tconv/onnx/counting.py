"""Multiplications of a model's operators, exactly: products with what is padded are none.

A transposed convolution counts the taps that reach an output, a convolution those that find an input; both
are sums of coverage over the axes, times the pairs of channels. What has no name here (activations, scaling,
normalisation) is a pass over its values and is left out; so are operators of unknown domains, which the
report names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tconv.geometry.axis import Axis, reach
from tconv.onnx.convolutions import Transposed, sizes_of, walk

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Work", "conv_products", "count"]

_MOST_TAPS = 1 << 20  # looked at one by one along an axis


@dataclass(frozen=True, kw_only=True)
class Work:
    """The multiplications of the nodes of one operator."""

    operator: str
    nodes: int
    multiplications: int  #: of the nodes whose sizes are known
    open: int  #: nodes whose sizes are not known
    counted: bool = True  #: False: what this operator multiplies is not known here

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return dict(vars(self))


def count(model: ir.Model, layers: list[Transposed]) -> tuple[Work, ...]:
    """The work of a model by operator, the most first; `layers` are its transposed convolutions."""
    exact = {layer.node: layer.geometry.macs_exact if layer.geometry else None for layer in layers}
    found: dict[str, list[int | None]] = {}
    unknown: dict[str, int] = {}
    for node, _ in walk(model):
        name = f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        if node in exact:
            found.setdefault(name, []).append(exact[node])
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
    """The shape of a value, if all of it is known."""
    sizes = sizes_of(value)
    known = tuple(size for size in sizes if size is not None)
    return known if value is not None and value.shape is not None and len(known) == len(sizes) else None


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _ints(node: ir.Node, name: str, default: list[int]) -> list[int]:
    attribute = node.attributes.get(name)
    value = None if attribute is None or attribute.is_ref() else attribute.value
    if not isinstance(value, list | tuple) or len(value) != len(default):
        return default
    return [int(entry) for entry in value]


def _conv(weight: int) -> Callable[[ir.Node], int | None]:
    def counted(node: ir.Node) -> int | None:
        x, w = _whole(_input(node, 0)), _whole(_input(node, weight))
        y = _whole(node.outputs[0]) if node.outputs else None
        if x is None or w is None or y is None or not len(x) == len(w) == len(y) > 2:
            return None
        axes = len(w) - 2
        kernel = w[2:]
        stride = _ints(node, "strides", [1] * axes)
        dilation = _ints(node, "dilations", [1] * axes)
        if min(*stride, *dilation) < 1 or max(kernel) > _MOST_TAPS:
            return None
        starts = _starts(node, x[2:], kernel, stride, dilation)
        return conv_products(x, w, y, stride, starts, dilation)

    return counted


def conv_products(
    x: Sequence[int],
    w: Sequence[int],
    y: Sequence[int],
    stride: Sequence[int],
    starts: Sequence[int],
    dilation: Sequence[int],
) -> int:
    """Multiplications of a convolution, from the shapes of input, weights and output.

    The weights' is (out, in/groups, *kernel); `starts` is what is padded before each axis.

    >>> conv_products((1, 1, 4), (1, 1, 3), (1, 1, 4), [1], [1], [1])  # 4*3 less the 2 that fall on padding
    10
    """
    taps = 1
    for before, after, k, s, d, lo in zip(x[2:], y[2:], w[2:], stride, dilation, starts, strict=True):
        # Backwards, y is the input and x the output of a transposed convolution with the same pairs.
        axis = Axis(after, k, s, lo, 0, 0, d)
        taps *= axis._replace(output_padding=before - axis.smallest_output).products()
    return y[0] * w[0] * w[1] * taps


def _starts(
    node: ir.Node, sizes: tuple[int, ...], kernel: tuple[int, ...], stride: list[int], dilation: list[int]
) -> list[int]:
    """How much is padded before each axis of a convolution."""
    axes = len(kernel)
    attribute = node.attributes.get("auto_pad")
    how = "NOTSET" if attribute is None or attribute.is_ref() else attribute.value
    if how == "VALID":
        return [0] * axes
    if how in ("SAME_UPPER", "SAME_LOWER"):
        totals = [
            max(0, (-(-size // s) - 1) * s + reach(k, d) - size)
            for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)
        ]
        return [total // 2 if how == "SAME_UPPER" else total - total // 2 for total in totals]
    return _ints(node, "pads", [0] * 2 * axes)[:axes]


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
    """Every step multiplies all weights, those of the input and those of the state."""
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
#: ONNX's own operators that multiply, in ways not counted here.
_UNCOUNTED = frozenset(["Attention", "DeformConv", "LinearAttention", "DFT", "STFT"])
