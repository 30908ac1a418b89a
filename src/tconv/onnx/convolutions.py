"""The transposed convolutions of a model, wherever they stand, as integers and arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tconv.algebra.arrays import Array
from tconv.diagnosis.text import clean
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.onnx import attributes as attributes_
from tconv.onnx.attributes import Attributes, shown
from tconv.onnx.model import constant

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Transposed", "sizes_of", "transposed", "walk"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Transposed:
    """One ConvTranspose node."""

    node: ir.Node
    name: str  #: the node's own, else that of its output
    where: str  #: "graph", a path such as "graph/If_3/then_branch", or "function DOMAIN::NAME"
    weight: Array | None  #: (in, out/groups, *kernel); None if it is computed, or an input
    bias: Array | None
    attributes: Attributes | None  #: None if neither weights nor kernel_shape tell the kernel
    channels: tuple[int, int] | None  #: in and out, if the shape of the weights is known
    input: tuple[int | None, ...]  #: (batch, channels, *sizes) as far as known; () if not even the rank is
    geometry: Geometry | None  #: None where a size is open; an open batch counts as 1
    why: str = ""  #: what is not known, if anything

    def geometry_at(self, sizes: tuple[int, ...], batch: int = 1) -> Geometry:
        """The problem at input sizes of your choice.

        Raises:
            TconvError: the weights' shape is not known, or nothing is left of such an input.
        """
        if self.attributes is None or self.channels is None:
            raise TconvError(f"{clean(self.name)}: {self.why}")
        return attributes_.geometry(self.attributes, self.channels, sizes, batch)


def transposed(model: ir.Model) -> list[Transposed]:
    """Every ConvTranspose of a model: in its graph, in subgraphs and in functions, in the file's order.

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
    return [_read(node, where) for node, where in walk(model) if _is_transposed(node)]


def _is_transposed(node: ir.Node) -> bool:
    return node.op_type == "ConvTranspose" and node.domain in ("", "ai.onnx")


def walk(model: ir.Model) -> Iterator[tuple[ir.Node, str]]:
    """Every node of a model and where it stands: the graph first, then the functions."""
    yield from _walk(model.graph, "graph")
    for function in model.functions.values():
        yield from _walk(function, f"function {function.domain}::{function.name}")


def _walk(body: Any, where: str) -> Iterator[tuple[ir.Node, str]]:
    import onnx_ir as ir

    for node in body:
        yield node, where
        for name, attribute in node.attributes.items():
            if attribute.is_ref():
                continue
            if attribute.type == ir.AttributeType.GRAPH:
                yield from _walk(attribute.value, f"{where}/{name_of(node)}/{name}")
            elif attribute.type == ir.AttributeType.GRAPHS:
                for i, graph in enumerate(attribute.value):
                    yield from _walk(graph, f"{where}/{name_of(node)}/{name}{i}")


def name_of(node: ir.Node) -> str:
    """The name of a node, else that of its first output, else its operator's."""
    return node.name or (node.outputs[0].name if node.outputs else "") or node.op_type


def sizes_of(value: ir.Value | None) -> tuple[int | None, ...]:
    """The shape of a value, None for each open axis; () if not even the rank is known."""
    if value is None or value.shape is None:
        return ()
    return tuple(size if isinstance(size, int) and size > 0 else None for size in value.shape)


def _read(node: ir.Node, where: str) -> Transposed:
    name = name_of(node)
    try:
        return _layer(node, name, where)
    except TconvError as fault:
        place = "" if where == "graph" else f"{clean(where)}: "
        raise TconvError(f"{place}ConvTranspose {clean(name)}: {fault}") from None


def _layer(node: ir.Node, name: str, where: str) -> Transposed:
    if not 2 <= len(node.inputs) <= 3 or node.inputs[0] is None or node.inputs[1] is None:
        raise TconvError(f"{len(node.inputs)} inputs; x, weights and perhaps a bias would fit")
    if len(node.outputs) != 1:
        raise TconvError(f"{len(node.outputs)} outputs; one would fit")
    weight, bias = constant(node.inputs[1]), constant(node.inputs[2] if len(node.inputs) > 2 else None)
    shape = sizes_of(node.inputs[1]) if weight is None else weight.shape
    x = sizes_of(node.inputs[0])
    referred = [key for key, value in node.attributes.items() if value.is_ref()]
    known = tuple(size for size in x[2:] if size is not None)
    sizes = known if known and len(known) == len(x) - 2 else None
    if x and shape and len(x) != len(shape):
        raise TconvError(f"an input of {len(x)} axes and weights of shape {shown(shape)}")
    attributes = None if referred else attributes_.read(node, shape, sizes)
    channels = _channels(shape, attributes)
    _check(shape, x, attributes, bias, channels)
    why = _why(referred, attributes, channels, weight, x)
    geometry = None
    if attributes is not None and channels is not None and sizes:
        geometry = attributes_.geometry(attributes, channels, sizes, x[0] or 1)
    return Transposed(
        node=node, name=name, where=where, weight=weight, bias=bias, attributes=attributes, channels=channels,
        input=x, geometry=geometry, why=why,
    )  # fmt: skip


def _why(
    referred: list[str],
    attributes: Attributes | None,
    channels: tuple[int, int] | None,
    weight: Array | None,
    x: tuple[int | None, ...],
) -> str:
    if referred:
        return f"{', '.join(map(clean, referred))} given where the function is called"
    if attributes is None or channels is None:
        return "the shape of the weights is not known"
    reasons = [] if weight is not None else ["the weights are computed, or an input"]
    if not x:
        reasons.append("the input's shape is not known")
    elif None in x:
        names = ["batch", "channels", "depth", "height", "width"]
        names[2:] = ["length"] if len(x) == 3 else names[7 - len(x) :]
        reasons.append(f"open: {', '.join(n for n, size in zip(names, x, strict=True) if size is None)}")
    return "; ".join(reasons)


def _channels(shape: tuple[int | None, ...], said: Attributes | None) -> tuple[int, int] | None:
    if said is None or len(shape) < 2 or shape[0] is None or shape[1] is None:
        return None
    return shape[0], shape[1] * said.groups


def _check(
    shape: tuple[int | None, ...],
    x: tuple[int | None, ...],
    said: Attributes | None,
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
