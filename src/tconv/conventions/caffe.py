"""Caffe's Deconvolution layer, as prototxt: symmetric pad and no output padding; Slice layers crop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tconv.conventions import prototxt
from tconv.conventions.answers import Call, CallContext, Reading
from tconv.conventions.binding import finish, numbers
from tconv.conventions.weights import Layout
from tconv.conventions.windows import bridge, crops, full_sizes, pads, wanted
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.normalize import shown, whole

__all__ = ["READINGS", "layout", "read", "write"]

READINGS = ("caffe", "opencv")  # OpenCV ignores the dilation

_SIZES = {"kernel_size": "kernel", "stride": "stride", "pad": "pad", "dilation": None}
_OTHERS = {
    "num_output",
    "group",
    "bias_term",
    "weight_filler",
    "bias_filler",
    "engine",
    "axis",
    "force_nd_im2col",
}


def layout(geometry: Geometry) -> Layout:
    """(in, out/groups, *kernel), as ours."""
    return Layout("io" + "012"[: geometry.axes])


def _layer(text: str) -> prototxt.Message:
    """The one Deconvolution layer of a network, or the layer itself, or its convolution_param alone."""
    message = prototxt.parse(text)
    found = message.get("layer", []) + message.get("layers", []) or [message]
    layers = [
        one
        for one in found
        if isinstance(one, dict) and str(one.get("type", ["Deconvolution"])[0]).lower() == "deconvolution"
    ]
    if len(layers) != 1:
        raise TconvError(f"{shown(text)}: {len(layers)} Deconvolution layers; one would fit")
    inner = layers[0].get("convolution_param", [layers[0]])[0]
    if not isinstance(inner, dict):
        raise TconvError(f"{shown(text)}: convolution_param is no message, in braces")
    return inner


def _sizes(fields: Mapping[str, list[Any]], name: str, axes: int, default: int | None) -> tuple[int, ...]:
    """One size per axis: repeated, once for all axes, or as name_h and name_w."""
    short = _SIZES[name]
    sides = [f"{short}_h", f"{short}_w"] if short else []
    if any(side in fields for side in sides):
        if name in fields or axes != 2 or not all(side in fields for side in sides):
            raise TconvError(f"{' and '.join(sides)} belong together, to two axes, and exclude {name}")
        return tuple(whole(side, fields[side][0]) for side in sides)
    values = fields.get(name, [] if default is None else [default])
    if len(values) == 1:
        values = values * axes
    if len(values) != axes:
        raise TconvError(
            f"{name} is given {len(values)} times for {axes} axes; once, or once per axis, would fit"
        )
    return numbers({name: tuple(values)}, name, axes, least=0)


def read(text: str, context: CallContext) -> Reading:
    """`layer { type: "Deconvolution" convolution_param { num_output: 8 kernel_size: 4 stride: 2 } }`."""
    fields = _layer(text)
    known = {*_SIZES, *_OTHERS, *(f"{side}_{end}" for side in filter(None, _SIZES.values()) for end in "hw")}
    unknown = [name for name in fields if name not in known | {"name", "type", "bottom", "top", "param"}]
    if unknown:
        raise TconvError(f"{shown(text)}: unknown field {shown(unknown[0])} of convolution_param")
    repeated = max(len(fields.get(name, ())) for name in _SIZES)
    axes = 2 if "kernel_h" in fields else max(len(context.input), repeated)
    if "num_output" not in fields:
        raise TconvError(f"{shown(text)}: num_output is missing; write it into convolution_param")
    return finish(
        context,
        Layout("io" + "012"[:axes]),
        kernel=_sizes(fields, "kernel_size", axes, None),
        stride=_sizes(fields, "stride", axes, 1),
        padding=_sizes(fields, "pad", axes, 0),
        dilation=(1,) * axes if context.reading == "opencv" else _sizes(fields, "dilation", axes, 1),
        groups=whole("group", fields.get("group", [1])[0]),
        channels=(None, whole("num_output", fields["num_output"][0])),
    )


def write(geometry: Geometry) -> Call:
    """A Deconvolution layer, and the Convolution and Slice layers that add or crop the rest."""
    g = geometry
    want, full = wanted(g), full_sizes(g)
    pad = [min(max(lo, 0), max(hi, 0)) for lo, hi in want]
    after = bridge([(p, p) for p in pad], want)
    param: dict[str, Any] = {"num_output": g.out_channels}
    for name, value, default in (
        ("kernel_size", g.kernel, None),
        ("stride", g.stride, 1),
        ("pad", tuple(pad), 0),
        ("dilation", g.dilation, 1),
    ):
        if set(value) != {default}:
            param[name] = value[0] if len(set(value)) == 1 else value
    if g.groups > 1:
        param["group"] = g.groups
    param["bias_term"] = "false"
    grows, cuts = pads(after), crops(after)
    steps = [("Deconvolution", {"convolution_param": param})]
    sizes = [f - 2 * p for f, p in zip(full, pad, strict=True)]
    notes = []
    if any(map(any, grows)):
        # A 1x1 convolution with weight 1 pads both sides equally; what is too much is cropped with the rest.
        margin = [max(pair) for pair in grows]
        cuts = tuple(
            (lo + m - more_lo, hi + m - more_hi)
            for (lo, hi), (more_lo, more_hi), m in zip(cuts, grows, margin, strict=True)
        )
        sizes = [size + 2 * m for size, m in zip(sizes, margin, strict=True)]
        ones = {
            "num_output": g.out_channels,
            "kernel_size": 1,
            "pad": margin[0] if len(set(margin)) == 1 else tuple(margin),
            "group": g.out_channels,
            "bias_term": "false",
            "weight_filler": {"type": '"constant"', "value": 1},
        }
        steps.append(("Convolution", {"convolution_param": ones}))
        notes.append("Caffe pads no output: a depthwise 1x1 convolution, all of whose weights are 1, does it")
    for a, (lo, hi) in enumerate(cuts):
        if lo or hi:
            points = tuple(point for point, cut in ((lo, lo), (sizes[a] - hi, hi)) if cut)
            steps.append(("Slice", {"slice_param": {"axis": 2 + a, "slice_point": points}}))
    if any(map(any, cuts)):
        notes.append("Caffe pads both sides equally and has no output padding: Slice layers crop the rest")
    layers = []
    bottom = "x"
    for number, (kind, settings) in enumerate(steps):
        top = "y" if number == len(steps) - 1 else f"y{number}"
        tops: tuple[str, ...] = (f'"{top}"',)
        if kind == "Slice":
            lo, hi = cuts[settings["slice_param"]["axis"] - 2]
            tops = tuple(
                name
                for name, cut in ((f'"{top}_before"', lo), (f'"{top}"', 1), (f'"{top}_behind"', hi))
                if cut
            )
        name = "up" if number == 0 else f"up_{kind.lower()}_{number}"
        layers.append(
            {"name": f'"{name}"', "type": f'"{kind}"', "bottom": f'"{bottom}"', "top": tops, **settings}
        )
        bottom = top
    line = " ".join(prototxt.write({"layer": layers[0]}).split())
    code = "\n".join(prototxt.write({"layer": layer}) for layer in layers)
    return Call(line, code, ((0, 0),) * g.axes, after, tuple(notes))
