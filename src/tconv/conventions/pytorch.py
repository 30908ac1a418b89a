"""PyTorch: symmetric padding, output padding below max(stride, dilation); all else is cropped or padded."""

from __future__ import annotations

from tconv.conventions.answers import Call, CallContext, Reading
from tconv.conventions.binding import find, finish, kernel_of, number, numbers
from tconv.conventions.calls import ABSENT, Function, parse
from tconv.conventions.spelling import options, short
from tconv.conventions.weights import Layout
from tconv.conventions.windows import bridge, crop_lines, crops, pads, wanted
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.axis import Axis
from tconv.geometry.normalize import shown

__all__ = ["READINGS", "layout", "read", "write"]

READINGS = ("pytorch",)

_MODULE = (
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "bias",
    "dilation", "padding_mode", "device", "dtype",
)  # fmt: skip
_FUNCTION = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_MODULES = {f"ConvTranspose{axes}d": Function(axes, _MODULE) for axes in (1, 2, 3)} | {
    f"LazyConvTranspose{axes}d": Function(axes, _MODULE[1:]) for axes in (1, 2, 3)
}
_FUNCTIONS = {f"conv_transpose{axes}d": Function(axes, _FUNCTION) for axes in (1, 2, 3)}


def layout(geometry: Geometry) -> Layout:
    """(in, out/groups, *kernel), as ours."""
    return Layout("io" + "012"[: geometry.axes])


def read(text: str, context: CallContext) -> Reading:
    """`nn.ConvTranspose2d(64, 32, 4, 2, 1)(x, output_size=[...])`, or `F.conv_transpose2d(...)`."""
    call = parse(text)
    function = find(call, _MODULES | _FUNCTIONS)
    axes, bound = function.axes, function.bind(call)
    groups = number(bound, "groups", 1)
    if call.last_name in _MODULES:
        kernel = numbers(bound, "kernel_size", axes)
        known_in = None if "in_channels" not in bound else number(bound, "in_channels")
        known_out: int | None = number(bound, "out_channels")
        if bound["padding_mode"] not in (ABSENT, "zeros"):
            raise TconvError(f"padding_mode={shown(bound['padding_mode'])}: PyTorch takes only 'zeros' here")
    else:
        axes_of = "io" + "012"[:axes]
        kernel, known_in, share = kernel_of(context, call, bound["weight"], axes_of, "torch.ones")
        known_out = None if share is None else share * groups
    if isinstance(bound["padding"], str):
        raise TconvError(f"padding={bound['padding']!r}: PyTorch's transposed convolutions take only numbers")
    stride = numbers(bound, "stride", axes, 1, least=1)
    size = call.applied.get("output_size", (*call.applied_args, None, None)[1])
    if isinstance(size, tuple) and len(size) == axes + 2:
        size = size[2:]
    reading = finish(
        context,
        Layout("io" + "012"[:axes]),
        kernel=kernel,
        stride=stride,
        padding=numbers(bound, "padding", axes, 0, least=0),
        output_padding=None if size is not None else numbers(bound, "output_padding", axes, 0),
        output_size=None if size is None else numbers({"output_size": size}, "output_size", axes),
        dilation=numbers(bound, "dilation", axes, 1),
        groups=groups,
        channels=(known_in, known_out),
    )
    result = reading.geometry
    if size is not None and any(o >= s for o, s in zip(result.output_padding, stride, strict=True)):
        smallest = tuple(n - o for n, o in zip(result.output, result.output_padding, strict=True))
        raise TconvError(f"output_size={shown(size)}: PyTorch takes {smallest} and up to stride - 1 more")
    return reading


def _closest(axis: Axis, lo: int, hi: int) -> tuple[int, int]:
    """The padding and output padding that come closest to the window (lo, hi)."""
    most = axis.padding_choices - 1
    if lo >= 0 and 0 <= lo - hi <= most:
        return lo, lo - hi
    padding = max(0, min(lo, hi))
    return padding, min(max(padding - hi, 0), most)


def write(geometry: Geometry) -> Call:
    """The closest nn.ConvTranspose, and the remaining pad or crop."""
    g = geometry
    want = wanted(g)
    said = [_closest(g.axis(a), *want[a]) for a in range(g.axes)]
    padding, extra = zip(*said, strict=True)
    after = bridge([(p, p - o) for p, o in said], want)
    line = (
        f"nn.ConvTranspose{g.axes}d({g.in_channels}, {g.out_channels}, {short(g.kernel)}"
        + options(
            [
                ("stride", short(g.stride), "1"),
                ("padding", short(padding), "0"),
                ("output_padding", short(extra), "0"),
                ("dilation", short(g.dilation), "1"),
                ("groups", str(g.groups), "1"),
            ]
        )
        + ", bias=False)"
    )
    grown, cut = any(map(any, pads(after))), any(map(any, crops(after)))
    lines = ["import torch.nn as nn", *["import torch.nn.functional as F"] * grown, f"layer = {line}"]
    lines += ["layer.weight.data = w", "y = layer(x)"]
    notes = []
    if grown:
        flat = tuple(side for pair in reversed(pads(after)) for side in pair)  # the last axis comes first
        lines.append(f"y = F.pad(y, {flat})")
        notes.append("PyTorch pads both sides equally: cells are added after the call, before any bias")
    if cut:
        lines += crop_lines(after, 2)
        notes.append("PyTorch pads both sides equally: the output is cropped after the call")
    return Call(line, "\n".join(lines), ((0, 0),) * g.axes, after, tuple(notes))
