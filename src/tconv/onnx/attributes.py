"""What a ConvTranspose node says, all of it explicit, as ONNX Runtime reads it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tconv import conventions
from tconv.diagnosis.text import clean
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.normalize import Sides

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Attributes", "geometry", "pads_of", "read", "shown"]


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """What a ConvTranspose node says, all of it explicit: one entry a spatial axis.

    ONNX Runtime's reading stands behind `pads`, whatever auto_pad and output_shape say; None where they
    depend on an input size that is not known.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: Sides | None
    output_padding: tuple[int, ...]
    groups: int
    auto_pad: str = "NOTSET"  #: as it is written
    output_shape: tuple[int, ...] | None = None  #: as it is written

    @property
    def axes(self) -> int:
        """The number of spatial axes."""
        return len(self.kernel)


_MOST = 1 << 20  # taps, cells: more cannot be looked at one by one

#: Attribute -> the kind of value that it takes.
_KINDS = MappingProxyType(
    {
        "auto_pad": "STRING",
        "dilations": "INTS",
        "group": "INT",
        "kernel_shape": "INTS",
        "output_padding": "INTS",
        "output_shape": "INTS",
        "pads": "INTS",
        "strides": "INTS",
    }
)


def read(node: ir.Node, shape: tuple[Any, ...], sizes: tuple[int, ...] | None) -> Attributes | None:
    """The attributes of a node; None if neither they nor the weights' `shape` tell the kernel.

    `sizes` are the spatial ones of the input, None if they are not all known.

    Raises:
        TconvError: attributes that contradict each other, the weights or the standard.
    """
    given = {name: _plain(name, attribute) for name, attribute in node.attributes.items()}
    if shape and not 3 <= len(shape) <= 5:
        raise TconvError(f"weights of shape {shown(shape)}; in, out/groups and 1 to 3 kernel sizes would fit")
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
    told = Attributes(
        kernel=tuple(kernel),
        stride=numbers("strides", 1, axes),
        dilation=numbers("dilations", 1, axes),
        pads=tuple(zip(ends[:axes], ends[axes:], strict=True)),
        output_padding=numbers("output_padding", 0, axes),
        groups=given.get("group", 1),
        auto_pad=given.get("auto_pad", "NOTSET"),
        output_shape=numbers("output_shape", 0, axes) if given.get("output_shape") else None,
    )
    if sizes is None:
        if told.output_shape is not None:
            return replace(told, pads=None)
        # Without output_shape what is cropped does not depend on the input; such a one is never used up.
        sizes = tuple(max(0, lo) + max(0, hi) + 1 for lo, hi in told.pads or ())
    return replace(told, pads=pads_of(geometry(told, (told.groups, told.groups), sizes, 1), told))


def _plain(name: str, attribute: Any) -> Any:
    kind = _KINDS.get(name)
    if kind is None:
        raise TconvError(f"unknown attribute {clean(name)}; it takes {', '.join(_KINDS)}")
    if attribute.type.name != kind:
        raise TconvError(f"{name} is of the kind {attribute.type.name}; {kind} would fit")
    return list(attribute.value) if kind == "INTS" else attribute.value


def geometry(
    told: Attributes,
    channels: tuple[int, int],
    sizes: tuple[int, ...],
    batch: int,
    reading: str = "onnxruntime",
) -> Geometry:
    """What ONNX Runtime, or another reading of ONNX, computes for an input of these sizes."""
    words: dict[str, Any] = {
        "kernel_shape": list(told.kernel),
        "strides": list(told.stride),
        "dilations": list(told.dilation),
        "output_padding": list(told.output_padding),
        "group": told.groups,
    }
    if told.auto_pad != "NOTSET":
        words["auto_pad"] = told.auto_pad
    elif told.pads is not None:
        words["pads"] = [lo for lo, _ in told.pads] + [hi for _, hi in told.pads]
    if told.output_shape is not None:
        words["output_shape"] = list(told.output_shape)
    call = f"ConvTranspose({', '.join(f'{key}={value!r}' for key, value in words.items())})"
    found = conventions.read(
        "onnx", call, input=sizes, channels=channels, batch=batch, reading=reading
    ).geometry
    extra = told.output_padding
    if any(o >= max(s, d) for o, s, d in zip(extra, found.stride, found.dilation, strict=True)):
        return found
    padding = tuple((lo, hi + o) for (lo, hi), o in zip(found.padding, extra, strict=True))
    return replace(found, padding=padding, output_padding=extra)


def pads_of(found: Geometry, told: Attributes) -> Sides:
    """The pads that say, beside `output_padding`, what the geometry does."""
    both = zip(found.padding, found.output_padding, told.output_padding, strict=True)
    return tuple((lo, hi - held + o) for (lo, hi), held, o in both)


def shown(shape: Any) -> str:
    """A shape as it is written here: 1x3x?x?."""
    return "x".join("?" if size is None else str(size) for size in shape)
