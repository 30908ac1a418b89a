"""ONNX's ConvTranspose, as ONNX Runtime and OpenVINO read it; it cannot express negative padding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tconv.conventions.answers import Call, CallContext, Reading
from tconv.conventions.binding import axes_of, finish, input_sizes, kernel_of, number, numbers, word
from tconv.conventions.calls import ABSENT, Function, Parsed, parse
from tconv.conventions.onnx_options import AUTO_PADS, ConvOptions
from tconv.conventions.weights import Layout
from tconv.conventions.windows import bridge, crops, full_sizes, pads, wanted
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.normalize import shown

__all__ = ["READINGS", "layout", "read", "write"]

READINGS = ("onnxruntime", "openvino", "reference")

_ATTRIBUTES = (
    "X", "W", "B", "*", "auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape",
    "pads", "strides", "name",
)  # fmt: skip


def layout(geometry: Geometry) -> Layout:
    """(in, out/groups, *kernel), as ours."""
    return Layout("io" + "012"[: geometry.axes])


def _node(text: str) -> Parsed:
    """`ConvTranspose(...)`, `op.ConvTranspose(x, w, ...)` or `helper.make_node("ConvTranspose", ...)`."""
    call = parse(text)
    if call.last_name == "make_node" and call.args[:1] == ("ConvTranspose",):
        return Parsed(text, "ConvTranspose", (), call.options, {}, ())
    if call.last_name != "ConvTranspose":
        raise TconvError(
            f"{shown(text)}: unknown {call.last_name}; ConvTranspose(kernel_shape=[3, 3]) would fit"
        )
    return call


def _axes(bound: Mapping[str, Any], context: CallContext) -> int:
    for name in ("kernel_shape", "strides", "dilations", "output_padding"):
        if isinstance(bound[name], tuple):
            return len(bound[name])
    return axes_of(bound["W"], context)


def read(text: str, context: CallContext) -> Reading:
    """The attributes of a ConvTranspose node, named as in the specification."""
    call = _node(text)
    bound = Function(0, _ATTRIBUTES).bind(call)
    axes = _axes(bound, context)
    groups = number(bound, "group", 1)
    known_in: int | None = None
    share: int | None = None
    if bound["kernel_shape"] is not ABSENT:
        kernel = numbers(bound, "kernel_shape", axes)
    else:
        kernel, known_in, share = kernel_of(context, call, bound["W"], "io" + "012"[:axes], "np.ones")
    stride, dilation, extra = (
        numbers(bound, name, axes, least, least=least)
        for name, least in (("strides", 1), ("dilations", 1), ("output_padding", 0))
    )
    how = word(bound, "auto_pad", "NOTSET", AUTO_PADS)
    if bound["pads"] is not ABSENT and how != "NOTSET":
        raise TconvError(f"{shown(text)}: pads and auto_pad={how!r} exclude each other; leave one out")
    wanted_shape = None if bound["output_shape"] is ABSENT else numbers(bound, "output_shape", axes)
    flat = (0,) * 2 * axes
    if wanted_shape is None and how == "NOTSET":
        flat = numbers(bound, "pads", 2 * axes, 0, least=0)
    said = ConvOptions(
        kernel=kernel, stride=stride, dilation=dilation,
        pads=tuple(zip(flat[:axes], flat[axes:], strict=True)), output_padding=extra, groups=groups,
        auto_pad=how, output_shape=wanted_shape,
    )  # fmt: skip
    window = said.window(input_sizes(context, axes), context.reading)
    return finish(
        context,
        Layout("io" + "012"[:axes]),
        kernel=kernel,
        stride=stride,
        padding=[(lo, hi - o) for (lo, hi), o in zip(window, extra, strict=True)],
        dilation=dilation,
        groups=groups,
        channels=(known_in, None if share is None else share * groups),
    )


def write(geometry: Geometry) -> Call:
    """A ConvTranspose node with explicit pads, and Pad nodes for the rest."""
    g = geometry
    want = wanted(g)
    # The runtimes refuse negative pads, an output padding of stride or more, and an empty output.
    given = [
        (min(max(lo, 0), most), min(max(hi, 1 - s), most))
        for (lo, hi), s, most in zip(want, g.stride, (size - 1 for size in full_sizes(g)), strict=True)
    ]
    after = bridge(given, want)
    node = ConvOptions(
        kernel=g.kernel, stride=g.stride, dilation=g.dilation, groups=g.groups, pads=tuple(given)
    ).attributes()
    usual = {"strides": [1] * g.axes, "pads": [0] * 2 * g.axes, "dilations": [1] * g.axes, "group": 1}
    order = ("kernel_shape", "strides", "pads", "output_padding", "dilations", "group")
    said = [f"{name}={node[name]}" for name in order if name in node and node[name] != usual.get(name)]
    attributes = ", ".join(said)
    steps = [
        (amount, kind) for amount, kind in ((pads(after), 1), (crops(after), -1)) if any(map(any, amount))
    ]
    names = ["y"] if not steps else ["full", *["grown"] * (len(steps) - 1), "y"]
    lines = [f'    helper.make_node("ConvTranspose", ["x", "w"], ["{names[0]}"], {attributes}),']
    for step, (amount, sign) in enumerate(steps):
        flat = [0, 0, *(sign * lo for lo, _ in amount), 0, 0, *(sign * hi for _, hi in amount)]
        lines.append(f'    helper.make_node("Constant", [], ["sides_{step}"], value_ints={flat}),')
        lines.append(
            f'    helper.make_node("Pad", ["{names[step]}", "sides_{step}"], ["{names[step + 1]}"]),'
        )
    notes = (
        ["ONNX takes no negative pads, nor an output_padding of stride or more: Pad does it"] if steps else []
    )
    code = "\n".join(["from onnx import helper", "nodes = [", *lines, "]"])
    return Call(f"ConvTranspose({attributes})", code, ((0, 0),) * g.axes, after, tuple(notes))
