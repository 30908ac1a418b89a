"""TFLite's TRANSPOSE_CONV, written as a call: two axes, padding SAME or VALID, no dilation, no groups."""

from __future__ import annotations

from tconv.conventions.answers import Call, CallContext, Reading
from tconv.conventions.binding import find, finish, input_sizes, kernel_of, number, numbers, word
from tconv.conventions.calls import Function, parse
from tconv.conventions.tensorflow import closest, window
from tconv.conventions.weights import Layout
from tconv.conventions.windows import bridge, crops, pads, wanted
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.axis import reach
from tconv.geometry.normalize import shown

__all__ = ["READINGS", "layout", "read", "write"]

READINGS = ("tflite",)

_FUNCTIONS = {
    "TRANSPOSE_CONV": Function(
        2,
        ("output_shape", "weights", "input", "bias", "*", "padding", "stride_h", "stride_w",
         "fused_activation_function"),
    )
}  # fmt: skip


def layout(geometry: Geometry) -> Layout:
    """(out/groups, *kernel, in); each group has its own slice of the last axis."""
    return Layout("o" + "012"[: geometry.axes] + "i")


def read(text: str, context: CallContext) -> Reading:
    """`TRANSPOSE_CONV([1, 10, 10, 8], w, x, padding="SAME", stride_h=2, stride_w=2)`, arguments as there."""
    call = parse(text)
    bound = find(call, _FUNCTIONS).bind(call)
    batch, *sizes, channels = numbers(bound, "output_shape", 4)
    stride = number(bound, "stride_h"), number(bound, "stride_w")
    padding = word(bound, "padding", "SAME", ("SAME", "VALID"))
    kernel, known_in, known_out = kernel_of(context, call, bound["weights"], "o01i", "np.ones")
    if known_out not in (None, channels):
        raise TconvError(f"{shown(text)}: output_shape has {channels} channels and the weights {known_out}")
    return finish(
        context,
        Layout("o01i"),
        kernel=kernel,
        stride=stride,
        padding=[
            window(size, k, s, padding, out)
            for size, k, s, out in zip(input_sizes(context, 2), kernel, stride, sizes, strict=True)
        ],
        dilation=(1, 1),
        channels=(known_in, channels),
        batch=batch,
    )


def write(geometry: Geometry) -> Call:
    """The closest TRANSPOSE_CONV, one per group, and the remaining PAD and SLICE."""
    g = geometry
    if g.axes != 2:
        raise TconvError(f"{g}: TFLite's TRANSPOSE_CONV has 2 spatial axes, not {g.axes}; 2 would fit")
    padding, out = closest(g, by_numbers=False)
    spans = [reach(k, d) for k, d in zip(g.kernel, g.dilation, strict=True)]
    given = [window(*of) for of in zip(g.input, spans, g.stride, padding, out, strict=True)]
    after = bridge(given, wanted(g))
    shape = [g.batch, *out, g.weight_shape[1]]
    said = f'padding="{padding[0]}", stride_h={g.stride[0]}, stride_w={g.stride[1]}'
    lines, notes, weights = [], [], "w"
    if max(g.dilation) > 1:
        steps = ", ".join(f"::{d}" if d > 1 else ":" for d in g.dilation)
        sizes = (g.weight_shape[1], *spans, g.in_channels)
        lines = ["import numpy as np", f"spread = np.zeros({sizes}, w.dtype)", f"spread[:, {steps}] = w"]
        weights = "spread"
        notes.append("TRANSPOSE_CONV has no dilation: the kernel has zeros between its taps instead")
    if g.groups == 1:
        line = f"TRANSPOSE_CONV({shape}, {weights}, x, {said})"
        lines.append(f"y = {line}")
    else:
        line = f"TRANSPOSE_CONV({shape}, v, u, {said})"
        parts = f"zip(SPLIT(3, x, num_splits={g.groups}), np.split({weights}, {g.groups}, 3))"
        lines = ["import numpy as np", *lines[1:]]
        lines.append(f"y = CONCATENATION([{line} for u, v in {parts}], axis=3)")
        notes.append(f"TRANSPOSE_CONV has no groups: {g.groups} of them, one per group")
    if any(map(any, after)):
        notes.append("TRANSPOSE_CONV cannot express this padding: the rest is cropped or added after it")
    if any(size < s for size, s in zip(out, g.stride, strict=True)):
        notes.append(
            "XNNPACK, which TFLite uses by default, crashes where an output is smaller than the stride"
        )
    if any(map(any, pads(after))):
        lines.append(f"y = PAD(y, {[[0, 0], *(list(pair) for pair in pads(after)), [0, 0]]})")
    if any(map(any, crops(after))):
        begin = [0, *(lo for lo, _ in crops(after)), 0]
        lines.append(f"y = SLICE(y, {begin}, {[g.batch, *g.output, g.out_channels]})")
    return Call(line, "\n".join(lines), ((0, 0),) * g.axes, after, tuple(notes))
