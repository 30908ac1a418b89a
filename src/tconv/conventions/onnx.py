"""ONNX's ConvTranspose, as ONNX Runtime and OpenVINO read it; it cannot express negative padding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tconv.conventions.answers import Call, CallContext, Reading
from tconv.conventions.binding import axes_of, finish, input_sizes, kernel_of, number, numbers, word
from tconv.conventions.calls import ABSENT, Function, Parsed, parse
from tconv.conventions.weights import Layout
from tconv.conventions.windows import bridge, crops, full_sizes, pads, wanted
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.axis import reach
from tconv.geometry.normalize import shown

__all__ = ["READINGS", "layout", "read", "write"]

READINGS = ("onnxruntime", "openvino", "reference")

_ATTRIBUTES = (
    "X", "W", "B", "*", "auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape",
    "pads", "strides", "name",
)  # fmt: skip
_WORDS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


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
    sizes = input_sizes(context, axes)
    how = word(bound, "auto_pad", "NOTSET", _WORDS)
    if bound["pads"] is not ABSENT and how != "NOTSET":
        raise TconvError(f"{shown(text)}: pads and auto_pad={how!r} exclude each other; leave one out")
    full = [(i - 1) * s + reach(k, d) for i, s, k, d in zip(sizes, stride, kernel, dilation, strict=True)]
    reached = [f + o for f, o in zip(full, extra, strict=True)]
    if bound["output_shape"] is not ABSENT:
        target = numbers(bound, "output_shape", axes)
        starts = [_start(r - m, how, context.reading, groups) for r, m in zip(reached, target, strict=True)]
    elif how.startswith("SAME"):
        target = tuple(i * s for i, s in zip(sizes, stride, strict=True))
        if context.reading != "reference":  # where the kernel is shorter than the stride nothing is added
            target = tuple(min(m, r) for m, r in zip(target, reached, strict=True))
        starts = [_start(r - m, how, context.reading, 0) for r, m in zip(reached, target, strict=True)]
    else:
        flat = numbers(bound, "pads", 2 * axes, 0, least=0)
        starts = list(flat[:axes])
        target = tuple(r - lo - hi for r, lo, hi in zip(reached, starts, flat[axes:], strict=True))
    return finish(
        context,
        Layout("io" + "012"[:axes]),
        kernel=kernel,
        stride=stride,
        padding=[(lo, f - lo - m) for f, lo, m in zip(full, starts, target, strict=True)],
        dilation=dilation,
        groups=groups,
        channels=(known_in, None if share is None else share * groups),
    )


def _start(total: int, how: str, reading: str, sized_groups: int) -> int:
    """How much of the `total` to crop is cropped at the start; `how` decides about the odd cell.

    `sized_groups` is the number of groups if output_shape is given, else 0.  OpenVINO then puts the odd
    cell at the start whatever auto_pad is, and with several groups it crops only at the end.
    """
    if reading == "openvino" and sized_groups > 1:
        return 0
    if reading != "reference":
        total = max(total, 0)
    upper = how == "SAME_UPPER" and not (reading == "openvino" and sized_groups)
    return total // 2 if upper else total - total // 2


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
    flat = [max(lo, 0) for lo, _ in given] + [max(hi, 0) for _, hi in given]
    extra = [max(-hi, 0) for _, hi in given]
    said = [f"kernel_shape={list(g.kernel)}"]
    said += [
        f"{name}={value}"
        for name, value, default in (
            ("strides", list(g.stride), 1),
            ("pads", flat, 0),
            ("output_padding", extra, 0),
            ("dilations", list(g.dilation), 1),
        )
        if set(value) != {default}
    ]
    said += [f"group={g.groups}"] if g.groups > 1 else []
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
