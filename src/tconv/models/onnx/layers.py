"""The convolutions of a model, transposed and ordinary, in all its graphs, as integers and arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tconv.algebra.arrays import Array
from tconv.arguments import checked
from tconv.conventions.onnx_options import ConvOptions
from tconv.errors import TconvError, clean
from tconv.models.convolutions import conv_layer
from tconv.models.layer import ModelLayer, Origin, stand_in
from tconv.models.onnx import options as options_
from tconv.models.onnx.constants import constant, weights_of
from tconv.models.onnx.engine_nodes import operator
from tconv.models.onnx.nodes import is_layer, name_of, sizes_of, tensors, walk
from tconv.models.onnx.options import shown
from tconv.models.onnx.quantized_parts import quantized_parts

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["ORIGIN", "convolutions", "transposed"]

_SHARED, _SMALL = (
    16,
    1 << 26,
)  # how often the tensors of a file may be used as weights; bytes that are always allowed

#: The key of a node's metadata that holds its `Origin`.
ORIGIN = "tconv.origin"


@checked
def transposed(model: ir.Model) -> list[ModelLayer]:
    """Every ConvTranspose of a model, in the file's order: in its graph, in subgraphs and in functions.

    The engine's are among them.

    Raises:
        TconvError: weights, attributes and shapes that contradict each other.

    >>> import numpy as np, onnx_ir as ir
    >>> x = ir.val("x", ir.DataType.FLOAT, [1, 2, 5])
    >>> w = ir.node("Constant", [], {"value": ir.tensor(np.zeros((2, 3, 4), np.float32))})
    >>> up = ir.node("ConvTranspose", [x, w.outputs[0]], {"strides": [2], "pads": [1, 1]}, name="up")
    >>> graph = ir.Graph([x], [up.outputs[0]], nodes=[w, up], opset_imports={"": 21})
    >>> [(layer.name, str(layer.geometry)) for layer in transposed(ir.Model(graph, ir_version=10))]
    [('up', 'n1 c2>3 i5 k4 s2 p1')]
    """
    return [layer for layer in convolutions(model) if not layer.conv]


def convolutions(model: ir.Model) -> list[ModelLayer]:
    """Every ConvTranspose as `transposed` has it, and every Conv whose weights are constants."""
    layers, claimed, most = [], 0, _SHARED * sum(tensor.nbytes for tensor in tensors(model)) + _SMALL
    for node, where in walk(model):
        layer = _read(node, where) if is_layer(node) else None
        if layer is not None:
            claimed += 0 if layer.weight is None else layer.weight.nbytes
            if claimed > most:  # each is examined separately, though many may be the same
                raise TconvError(f"its layers share weights so often that they come to {claimed:,} bytes")
            layers.append(layer)
    return _named(layers)


def _named(layers: list[ModelLayer]) -> list[ModelLayer]:
    """The layers with unique names: with their place as a prefix, or a number as a suffix."""
    ways: tuple[Callable[[ModelLayer, int], str], ...] = (
        lambda layer, _: "/".join([*layer.where.split("/")[layer.where.startswith("graph") :], layer.name]),
        lambda layer, number: f"{layer.name} #{number}",
    )
    for way in ways:
        many = Counter(layer.name for layer in layers)
        seen: Counter[str] = Counter()
        for at, layer in enumerate(layers):
            if many[layer.name] > 1:
                seen[layer.name] += 1
                layers[at] = replace(layer, name=way(layer, seen[layer.name]))
    return layers


def _read(node: ir.Node, where: str) -> ModelLayer | None:
    name = name_of(node)
    try:
        return _layer(node, name, where)
    except TconvError as fault:
        place = "" if where == "graph" else f"{clean(where)}: "
        raise TconvError(f"{place}{node.op_type} {clean(name)}: {fault}") from None


def _layer(node: ir.Node, name: str, where: str) -> ModelLayer | None:
    if not 2 <= len(node.inputs) <= 3 or node.inputs[0] is None or node.inputs[1] is None:
        raise TconvError(f"{len(node.inputs)} inputs; x, weights and perhaps a bias would fit")
    if len(node.outputs) != 1:
        raise TconvError(f"{len(node.outputs)} outputs; one would fit")
    weight, bias = weights_of(node.inputs[1]), constant(node.inputs[2] if len(node.inputs) > 2 else None)
    shape = sizes_of(node.inputs[1]) if weight is None else weight.shape
    x = sizes_of(node.inputs[0])
    if node.op_type == "Conv" and (weight is None or weight.ndim > 5):
        return None
    referred = [key for key, value in node.attributes.items() if value.is_ref()]
    known = tuple(size for size in x[2:] if size is not None)
    sizes = known if known and len(known) == len(x) - 2 else None
    if x and shape and len(x) != len(shape):
        raise TconvError(f"an input of {len(x)} axes and weights of shape {shown(shape)}")
    options = None if referred else options_.read(node, shape, sizes)
    if node.op_type == "Conv":
        assert weight is not None
        return _ordinary(node, name, where, weight, bias, options, x)
    channels = _channels(shape, options)
    _check(shape, x, options, bias, channels)
    geometry = None
    if options is not None and channels is not None:
        at = tuple(
            size or stand
            for size, stand in zip(x[2:] or (None,) * options.axes, _stand_in(options), strict=True)
        )
        geometry = options.geometry(channels, at, (x[0] if x else 1) or 1)
    return ModelLayer(
        name=name, geometry=geometry, weight=weight, bias=bias,
        sized=bool(sizes) and geometry is not None,
        why=_why(referred, options, channels, weight, x), where=where, input=x, options=options,
        channels=channels, dtype=_dtype(node, weight),
        origin=node.meta.get(ORIGIN, Origin(where, name)), operator=operator(node),
        quantized=quantized_parts(node), node=node,
    )  # fmt: skip


def _stand_in(options: ConvOptions) -> tuple[int, ...]:
    """Input sizes where they are open: those that give output_shape, else enough to have an inside."""
    if options.output_shape is not None:
        return tuple(max(1, -(-m // s)) for m, s in zip(options.output_shape, options.stride, strict=True))
    return stand_in(options.stride, options.pads or ())


def _ordinary(
    node: ir.Node, name: str, where: str, weight: Array, bias: Array | None, options: ConvOptions | None,
    x: tuple[int | None, ...],
) -> ModelLayer | None:  # fmt: skip
    """A Conv; None if its padding or attributes are not known, or the numbers are not valid."""
    if (
        weight is None
        or options is None
        or options.pads is None
        or 0 in weight.shape
        or weight.shape[0] % options.groups
    ):
        return None
    made = conv_layer(
        name, weight, sizes=x[2:] or (None,) * options.axes, stride=options.stride, padding=options.pads,
        dilation=options.dilation, groups=options.groups,
    )  # fmt: skip
    if made is None:
        return None
    layer: ModelLayer = made[1]["layer"]
    return replace(
        layer, bias=bias, where=where, input=x, options=options, dtype=str(weight.dtype),
        channels=(weight.shape[1] * options.groups, weight.shape[0]),
        origin=node.meta.get(ORIGIN, Origin(where, name)), operator=operator(node),
        quantized=quantized_parts(node), node=node,
    )  # fmt: skip


def _dtype(node: ir.Node, weight: Array | None) -> str:
    if weight is not None:
        return str(weight.dtype)
    kinds = [value.dtype for value in node.inputs if value is not None and value.dtype is not None]
    return str(kinds[0].numpy()) if kinds else "float32"


def _why(
    referred: list[str],
    options: ConvOptions | None,
    channels: tuple[int, int] | None,
    weight: Array | None,
    x: tuple[int | None, ...],
) -> str:
    if referred:
        return f"{', '.join(map(clean, referred))} given where the function is called"
    if options is None or channels is None:
        return "the shape of the weights is not known"
    reasons = [] if weight is not None else ["the weights are computed, or an input"]
    if not x:
        reasons.append("the input's shape is not known")
    elif None in x:
        names = ["batch", "channels", "depth", "height", "width"]
        names[2:] = ["length"] if len(x) == 3 else names[7 - len(x) :]
        reasons.append(f"open: {', '.join(n for n, size in zip(names, x, strict=True) if size is None)}")
    return "; ".join(reasons)


def _channels(shape: tuple[int | None, ...], said: ConvOptions | None) -> tuple[int, int] | None:
    if said is None or len(shape) < 2 or shape[0] is None or shape[1] is None:
        return None
    return shape[0], shape[1] * said.groups


def _check(
    shape: tuple[int | None, ...],
    x: tuple[int | None, ...],
    said: ConvOptions | None,
    bias: Array | None,
    channels: tuple[int, int] | None,
) -> None:
    if said is None or channels is None:
        return
    if channels[0] % said.groups:
        raise TconvError(f"weights of shape {shown(shape)} and {said.groups} groups")
    if len(x) > 1 and x[1] not in (None, channels[0]):
        raise TconvError(f"weights of shape {shown(shape)} and an input of {x[1]} channels")
    if bias is not None and bias.shape != (channels[1],):
        raise TconvError(f"a bias of shape {shown(bias.shape)}; ({channels[1]},) would fit")
