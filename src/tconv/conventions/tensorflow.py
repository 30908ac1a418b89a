"""TensorFlow's tf.nn.conv*_transpose: a convolution's gradient; padding is a name or, in 2-D, numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tconv.conventions.answers import Call, CallContext, Reading
from tconv.conventions.binding import find, finish, input_sizes, kernel_of, numbers, pairs, word
from tconv.conventions.calls import ABSENT, Function, parse
from tconv.conventions.spelling import options, short
from tconv.conventions.weights import Layout
from tconv.conventions.windows import bridge, channels_last_lines, full_sizes, wanted
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.axis import range_text, reach
from tconv.geometry.normalize import shown

__all__ = ["READINGS", "closest", "layout", "read", "says", "window", "write"]

READINGS = ("tensorflow",)

_PARAMETERS = (
    "input", "filters", "output_shape", "strides", "padding", "data_format", "dilations", "name",
)  # fmt: skip
_FUNCTIONS = {f"conv{axes}d_transpose": Function(axes, _PARAMETERS) for axes in (1, 2, 3)} | {
    "conv_transpose": Function(0, _PARAMETERS)
}
_FORMATS = {1: ("NWC", "NCW"), 2: ("NHWC", "NCHW"), 3: ("NDHWC", "NCDHW")}


def layout(geometry: Geometry) -> Layout:
    """(*kernel, out/groups, in); each group has its own slice of the last axis."""
    return Layout("012"[: geometry.axes] + "oi")


def _spatial(bound: Mapping[str, Any], name: str, axes: int, first: int) -> tuple[int, ...]:
    """One int per axis, from one for all axes, one per spatial axis, or one per axis of the array."""
    value = bound[name]
    default = ABSENT if name == "strides" else 1
    if isinstance(value, tuple) and len(value) == axes + 2:
        return numbers(bound, name, axes + 2, least=1)[first : first + axes]
    if isinstance(value, tuple) and len(value) == 1:
        return numbers({name: value[0]}, name, axes, least=1)
    return numbers(bound, name, axes, default, least=1)


def read(text: str, context: CallContext) -> Reading:
    """`tf.nn.conv2d_transpose(x, w, output_shape=[1, 10, 10, 8], strides=2, padding="SAME")`."""
    call = parse(text)
    function = find(call, _FUNCTIONS)
    bound = function.bind(call)
    shape = bound["output_shape"]
    axes = function.axes or (len(shape) - 2 if isinstance(shape, tuple) else len(context.input))
    if axes not in _FORMATS:
        raise TconvError(f"{shown(text)}: output_shape has {axes + 2} entries; 3, 4 or 5 would fit")
    data = word(bound, "data_format", _FORMATS[axes][0], _FORMATS[axes])
    first, channel = (1, axes + 1) if data.endswith("C") else (2, 1)
    target = numbers(bound, "output_shape", axes + 2)
    sizes = target[first : first + axes]
    stride, dilation = (_spatial(bound, name, axes, first) for name in ("strides", "dilations"))
    kernel, known_in, known_out = kernel_of(context, call, bound["filters"], "012"[:axes] + "oi", "tf.ones")
    if known_out not in (None, target[channel]):
        raise TconvError(
            f"{shown(text)}: output_shape has {target[channel]} channels and filters {known_out}"
        )
    padding: tuple[Any, ...] = ("SAME",) * axes
    if isinstance(bound["padding"], tuple):
        if axes != 2:
            raise TconvError(f"{shown(text)}: only conv2d_transpose takes padding by numbers")
        padding = pairs("padding", bound["padding"], 4)[first : first + axes]
        if any(min(pair) < 0 for pair in padding):
            raise TconvError(f"{shown(text)}: padding by numbers must be at least 0")
    elif word(bound, "padding", "SAME", ("SAME", "VALID")) == "VALID":
        padding = ("VALID",) * axes
    spans = [reach(k, d) for k, d in zip(kernel, dilation, strict=True)]
    return finish(
        context,
        Layout("012"[:axes] + "oi"),
        kernel=kernel,
        stride=stride,
        padding=[
            window(*numbers_of_axis)
            for numbers_of_axis in zip(input_sizes(context, axes), spans, stride, padding, sizes, strict=True)
        ],
        dilation=dilation,
        channels=(known_in, target[channel]),
        batch=target[0],
    )


def says(size: int, span: int, stride: int, padding: str | tuple[int, int], out: int) -> bool:
    """Whether the convolution of `out` with this padding gives `size`, as TensorFlow checks."""
    if padding == "SAME":
        return -(-out // stride) == size
    lo, hi = (0, 0) if padding == "VALID" or isinstance(padding, str) else padding
    return out + lo + hi >= span and (out + lo + hi - span) // stride + 1 == size


def window(size: int, span: int, stride: int, padding: str | tuple[int, int], out: int) -> tuple[int, int]:
    """The window of one axis; SAME crops half of (size-1) * stride + span - out in front, rounded down."""
    full = (size - 1) * stride + span
    if not says(size, span, stride, padding, out):
        first = full if isinstance(padding, str) else full - padding[0] - padding[1]
        first = (size - 1) * stride + 1 if padding == "SAME" else first
        able = f"{range_text(range(max(first, 1), first + stride))} would fit"
        raise TconvError(
            f"output size {out} does not come from input size {size} by padding={shown(padding)}, "
            f"stride {stride} and a kernel that reaches {span}; {able}"
        )
    lo = max(full - out, 0) // 2 if padding == "SAME" else 0 if padding == "VALID" else int(padding[0])
    return lo, full - lo - out


def closest(geometry: Geometry, *, by_numbers: bool) -> tuple[Sequence[Any], tuple[int, ...]]:
    """The padding of each axis, and the output sizes, that come closest; exact and simple ones first."""
    g = geometry
    axes = range(g.axes)
    spans = [reach(k, d) for k, d in zip(g.kernel, g.dilation, strict=True)]
    want = wanted(g)
    tries: list[Sequence[Any]] = [["SAME"] * g.axes, ["VALID"] * g.axes]
    if by_numbers:
        tries.append([(max(lo, 0), max(hi, 0)) for lo, hi in want])
    for padding in tries:
        if all(
            says(g.input[a], spans[a], g.stride[a], padding[a], g.output[a])
            and window(g.input[a], spans[a], g.stride[a], padding[a], g.output[a]) == want[a]
            for a in axes
        ):
            return padding, g.output
    # The full output with as many cells at the end as fit, then cropped.
    grown = (min(max(-hi, 0), s - 1) for (_, hi), s in zip(want, g.stride, strict=True))
    return ["VALID"] * g.axes, tuple(f + more for f, more in zip(full_sizes(g), grown, strict=True))


def write(geometry: Geometry) -> Call:
    """The closest tf.nn.conv*_transpose, one per group, and the remaining pad or crop."""
    g = geometry
    padding, out = closest(g, by_numbers=g.axes == 2 and max(g.dilation) == 1)
    spans = [reach(k, d) for k, d in zip(g.kernel, g.dilation, strict=True)]
    given = [window(*of) for of in zip(g.input, spans, g.stride, padding, out, strict=True)]
    after = bridge(given, wanted(g))
    explicit = repr(padding[0]).replace("'", '"')
    if not isinstance(padding[0], str):
        explicit = str([[0, 0], *(list(pair) for pair in padding), [0, 0]])
    shape = [g.batch, *out, g.weight_shape[1]]
    said = options(
        [
            ("strides", short(g.stride), ""),
            ("padding", explicit, '"SAME"'),
            ("dilations", short(g.dilation), "1"),
        ]
    )
    line = f"tf.nn.conv{g.axes}d_transpose({{}}, {{}}, output_shape={shape}{said})"
    notes, lines = [], ["import tensorflow as tf"]
    if g.groups == 1:
        line = line.format("x", "w")
        lines.append(f"y = {line}")
    else:
        line = line.format("u", "v")
        parts = f"zip(tf.split(x, {g.groups}, -1), tf.split(w, {g.groups}, -1))"
        lines.append(f"y = tf.concat([{line} for u, v in {parts}], -1)")
        notes.append(f"TensorFlow has no groups: {g.groups} calls, one per group")
    if any(map(any, after)):
        notes.append("TensorFlow cannot express this padding: the rest is cropped or added after the call")
    if max(g.dilation) > 1:
        notes.append("TensorFlow on a CPU takes dilations only with oneDNN")
    lines += channels_last_lines(after, "tf.pad")
    return Call(line, "\n".join(lines), ((0, 0),) * g.axes, after, tuple(notes))
