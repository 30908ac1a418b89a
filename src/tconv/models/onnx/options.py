"""The options of Conv and ConvTranspose nodes, read once for all commands."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tconv.conventions.onnx_options import ConvOptions
from tconv.errors import TconvError, clean
from tconv.models.onnx.nodes import ENGINE_DOMAIN

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["read", "shown"]

_MOST = 1 << 20  # taps, cells: more cannot be examined one by one

#: Attribute -> its kind of value.
_OF_CONV = MappingProxyType(
    {
        "auto_pad": "STRING", "dilations": "INTS", "group": "INT", "kernel_shape": "INTS", "pads": "INTS",
        "strides": "INTS",
    }
)  # fmt: skip
_OF_TRANSPOSE = MappingProxyType({**_OF_CONV, "output_padding": "INTS", "output_shape": "INTS"})


def read(node: ir.Node, shape: tuple[Any, ...], sizes: tuple[int, ...] | None) -> ConvOptions | None:
    """The options of a node; None if neither they nor the weights' `shape` give the kernel.

    `sizes` are the spatial sizes of the input, None if they are not all known.

    Raises:
        TconvError: attributes that contradict each other, the weights or the standard.
    """
    transposed = node.op_type == "ConvTranspose"
    kinds = _OF_TRANSPOSE if transposed else _OF_CONV
    given = {
        name: _plain(name, attribute, kinds)
        for name, attribute in node.attributes.items()
        if name in kinds or (node.op_type in ("Conv", "ConvTranspose") and not _of_engine(node, name))
    }
    if shape and not 3 <= len(shape) <= 5:
        order = "in, out/groups" if transposed else "out, in/groups"
        raise TconvError(f"weights of shape {shown(shape)}; {order} and 1 to 3 kernel sizes would fit")
    kernel = given.get("kernel_shape") or shape[2:]
    if not kernel or None in kernel:
        return None
    axes = len(kernel)
    if axes > 3:
        raise TconvError(f"{axes} spatial axes; 1 to 3 would fit")
    for name, numbers_ in (("kernel_shape", kernel), *given.items()):
        if isinstance(numbers_, list | tuple) and max(map(abs, numbers_), default=0) > _MOST:
            raise TconvError(f"{name} {clean(list(numbers_))}; numbers of up to {_MOST} would fit")
    if shape and len(shape) != axes + 2:
        raise TconvError(f"weights of shape {shown(shape)} and a kernel of {axes} axes")
    if sizes is not None and len(sizes) != axes:
        raise TconvError(f"an input of {len(sizes)} spatial axes and a kernel of {axes}")
    if any(has not in (None, told) for has, told in zip(shape[2:], kernel, strict=False)):
        raise TconvError(f"kernel_shape {shown(kernel)} and weights of shape {shown(shape)}")

    def numbers(name: str, default: int, count: int) -> tuple[int, ...]:
        found = given.get(name) or [default] * count
        if len(found) != count:
            raise TconvError(f"{name} has {len(found)} numbers; {count} would fit a kernel of {axes} axes")
        return tuple(found)

    ends = numbers("pads", 0, 2 * axes)
    told = ConvOptions(
        kernel=tuple(kernel),
        stride=numbers("strides", 1, axes),
        dilation=numbers("dilations", 1, axes),
        pads=tuple(zip(ends[:axes], ends[axes:], strict=True)),
        output_padding=numbers("output_padding", 0, axes),
        groups=given.get("group", 1),
        auto_pad=given.get("auto_pad", "NOTSET"),
        output_shape=numbers("output_shape", 0, axes) if given.get("output_shape") else None,
        transposed=transposed,
    )
    if told.auto_pad == "NOTSET" and told.output_shape is None and min(ends) < 0:
        raise TconvError(f"pads={ends}; it must be at least 0")
    if transposed and (sizes is not None or not told.sized):  # whether the numbers are a valid layer
        told.geometry((told.groups, told.groups), sizes or told.enough)
    return told.resolved(sizes)


def _of_engine(node: ir.Node, name: str) -> bool:
    """Whether an attribute is one that the engine's layers have besides ONNX's."""
    return node.domain == ENGINE_DOMAIN and name in ("activation", "activation_params")


def _plain(name: str, attribute: Any, kinds: MappingProxyType[str, str]) -> Any:
    kind = kinds.get(name)
    if kind is None:
        raise TconvError(f"unknown attribute {clean(name)}; it takes {', '.join(kinds)}")
    if attribute.type.name != kind:
        raise TconvError(f"{name} is of the kind {attribute.type.name}; {kind} would fit")
    return list(attribute.value) if kind == "INTS" else attribute.value


def shown(shape: Any) -> str:
    """A shape as text: 1x3x?x?."""
    return "x".join("?" if size is None else str(size) for size in shape)
