"""Keras: padding is "same" or "valid", output padding is below the stride, and there are no groups."""

from __future__ import annotations

from itertools import product

from tconv.conventions.answers import Call, CallContext, Reading
from tconv.conventions.binding import axes_of, find, finish, kernel_of, number, numbers, word
from tconv.conventions.calls import ABSENT, Function, parse
from tconv.conventions.spelling import options, short
from tconv.conventions.weights import Layout
from tconv.conventions.windows import bridge, channels_last_lines, wanted
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.axis import reach
from tconv.geometry.normalize import shown

__all__ = ["READINGS", "layout", "read", "write"]

# Up to version 3.14 Keras on PyTorch cropped both sides equally, which shifts some outputs by a cell.
READINGS = ("keras", "torch-3.14")

_LAYER = (
    "filters", "kernel_size", "strides", "padding", "output_padding", "data_format", "dilation_rate",
    "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer",
    "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint", "*", "trainable",
    "name", "dtype", "input_shape",
)  # fmt: skip
_OP = ("inputs", "kernel", "strides", "padding", "output_padding", "data_format", "dilation_rate")
_LAYERS = {
    f"{name}{axes}DTranspose": Function(axes, _LAYER)
    for axes in (1, 2, 3)
    for name in ("Conv", "Convolution")
}
_OPS = {"conv_transpose": Function(0, _OP)}


def layout(geometry: Geometry) -> Layout:
    """(*kernel, out/groups, in); each group has its own slice of the last axis."""
    return Layout("012"[: geometry.axes] + "oi")


def read(text: str, context: CallContext) -> Reading:
    """`Conv2DTranspose(8, 3, strides=2, padding="same")`, or `keras.ops.conv_transpose(x, w, 2, "same")`."""
    call = parse(text)
    function = find(call, _LAYERS | _OPS)
    bound = function.bind(call)
    channels: tuple[int | None, int | None] = (None, None)
    if function.axes:
        axes = function.axes
        kernel, channels = numbers(bound, "kernel_size", axes), (None, number(bound, "filters"))
    else:
        axes = axes_of(bound["kernel"], context)
        letters = "012"[:axes] + "oi"
        kernel, known_in, known_out = kernel_of(context, call, bound["kernel"], letters, "keras.ops.ones")
        channels = (known_in, known_out)
    stride, dilation = (numbers(bound, name, axes, 1, least=1) for name in ("strides", "dilation_rate"))
    padding = bound["padding"].lower() if isinstance(bound["padding"], str) else bound["padding"]
    same = word({"padding": padding}, "padding", "valid", ("valid", "same")) == "same"
    if max(stride) > 1 and max(dilation) > 1 and function.axes:
        raise TconvError(
            f"{shown(text)}: Keras takes no strides={short(stride)} with dilation_rate={short(dilation)}; "
            "one of them must be 1"
        )
    extra: tuple[int | None, ...] = (None,) * axes
    notes = []
    if bound.get("activation", ABSENT) not in (ABSENT, None, "linear"):
        notes.append(f"activation={shown(bound['activation'])} comes after the layer and is left out")
    if bound["output_padding"] not in (ABSENT, None):
        explicit = numbers(bound, "output_padding", axes)
        if any(not 0 <= o < s for o, s in zip(explicit, stride, strict=True)):
            raise TconvError(
                f"{shown(text)}: Keras takes output_padding from 0 to strides - 1; got {short(explicit)}"
            )
        extra = explicit
    spans = [reach(k, d) for k, d in zip(kernel, dilation, strict=True)]
    if same and any(o == 0 and span % 2 == 0 for o, span in zip(extra, spans, strict=True)):
        notes.append("Keras on TensorFlow refuses this call; on JAX and PyTorch it gives (input-1) * stride")
    window = _window_symmetric if context.reading == "torch-3.14" else _window
    windows = [window(span, s, same, o) for span, s, o in zip(spans, stride, extra, strict=True)]
    return finish(
        context,
        Layout("012"[:axes] + "oi"),
        kernel=kernel,
        stride=stride,
        # The cells that valid adds at the end are output padding; same is padding alone.
        padding=[(lo, hi if same else 0) for lo, hi in windows],
        output_padding=[0 if same else -hi for _, hi in windows],
        dilation=dilation,
        channels=channels,
        notes=notes,
    )


def _window(span: int, stride: int, same: bool, extra: int | None) -> tuple[int, int]:
    """The window of one axis: keras/src/backend/common/backend_utils.py, the arguments for JAX."""
    if not same:
        return 0, -(max(stride - span, 0) if extra is None else extra)
    total = span - (stride if extra is None else span % 2 + extra)
    lo = max(total, 0) // 2
    return lo, total - lo


def _window_symmetric(span: int, stride: int, same: bool, extra: int | None) -> tuple[int, int]:
    """The window of Keras 3.14 on PyTorch: padding on both sides, then output padding, below the stride."""
    _, hi = _window(span, stride, same, extra)
    padding, behind = 0, -hi
    if same:
        behind = span % 2 - span + (stride - span % 2 if extra is None else extra)
        padding = max(-(behind // 2), 0)
        behind += 2 * padding
    return padding, padding - min(behind, stride - 1)


def _closest(spans: list[int], geometry: Geometry) -> tuple[str, tuple[int, ...] | None]:
    """The padding name and output padding that come closest; exact ones first, among them the simplest."""
    want = wanted(geometry)
    axes = list(zip(spans, geometry.stride, want, strict=True))
    for given, same in product((False, True), (False, True)):
        choices = []
        for span, s, (lo, hi) in axes:
            # Solved for the size: (i-1)s + span % 2 + extra if same, (i-1)s + span + extra if valid.
            extra = (span - span % 2 - lo - hi if same else -hi) if given else None
            choices.append(extra if _fits(span, s, same, extra, (lo, hi)) else -1)
        if -1 not in choices:
            chosen = tuple(o for o in choices if o is not None)
            return "same" if same else "valid", chosen or None
    nearest = tuple(min(max(-hi, 0), s - 1) for _, s, (_, hi) in axes)
    plain = tuple(max(s - span, 0) for span, s, _ in axes)
    return "valid", None if nearest == plain else nearest


def _fits(span: int, stride: int, same: bool, extra: int | None, window: tuple[int, int]) -> bool:
    if extra is not None and (not 0 <= extra < stride or (same and extra == 0 and span % 2 == 0)):
        return False  # the second is (input-1) * stride, which TensorFlow's backend refuses
    return _window(span, stride, same, extra) == window


def write(geometry: Geometry) -> Call:
    """The closest Conv2DTranspose, one per group, and the remaining pad or crop."""
    g = geometry
    spread = max(g.stride) > 1 and max(g.dilation) > 1
    spans = [reach(k, d) for k, d in zip(g.kernel, g.dilation, strict=True)]
    kernel = tuple(spans) if spread else g.kernel
    padding, extra = _closest(spans, g)
    given = [
        _window(span, s, padding == "same", extra[a] if extra else None)
        for a, (span, s) in enumerate(zip(spans, g.stride, strict=True))
    ]
    after = bridge(given, wanted(g))
    said = options(
        [
            ("strides", short(g.stride), "1"),
            ("padding", f'"{padding}"', '"valid"'),
            ("output_padding", short(extra) if extra else "None", "None"),
            ("dilation_rate", "1" if spread else short(g.dilation), "1"),
        ]
    )
    head = f"keras.layers.Conv{g.axes}DTranspose({g.weight_shape[1]}, {short(kernel)}"
    line = f"{head}{said}, use_bias=False)"
    notes, lines, weights = [], ["import keras"], "w"
    if spread:
        steps = ", ".join(f"::{d}" if d > 1 else ":" for d in g.dilation)
        lines = ["import keras", "import numpy as np"]
        lines += [
            f"spread = np.zeros({(*kernel, *layout(g).shape(g)[-2:])}, w.dtype)",
            f"spread[{steps}] = w",
        ]
        weights = "spread"
        notes.append("Keras takes no stride with dilation: the kernel has zeros between its taps instead")
    if g.groups == 1:
        lines += [
            f"layer = {line}",
            "layer.build(x.shape)",
            f"layer.set_weights([{weights}])",
            "y = layer(x)",
        ]
    else:
        share = g.in_channels // g.groups
        lines += [
            "parts = []",
            f"for first in range(0, {g.in_channels}, {share}):",
            f"    part = x[..., first : first + {share}]",
            f"    layer = {line}",
            "    layer.build(part.shape)",
            f"    layer.set_weights([{weights}[..., first : first + {share}]])",
            "    parts.append(layer(part))",
            "y = keras.ops.concatenate(parts, axis=-1)",
        ]
        notes.append(f"Keras has no groups: {g.groups} layers, one per group")
    if any(map(any, after)):
        notes.append("Keras crops only as same or valid do: the rest is cropped or added after the call")
    lines += channels_last_lines(after, "keras.ops.pad")
    return Call(line, "\n".join(lines), ((0, 0),) * g.axes, after, tuple(notes))
