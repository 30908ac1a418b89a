"""JAX's lax.conv_transpose: any padding, no groups; the kernel is not flipped unless `transpose_kernel`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tconv.conventions.answers import Call, CallContext, Reading
from tconv.conventions.binding import find, finish, flag, kernel_of, number, numbers, pairs
from tconv.conventions.calls import ABSENT, Function, Parsed, parse
from tconv.conventions.spelling import options
from tconv.conventions.weights import Layout
from tconv.conventions.windows import wanted
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.axis import reach
from tconv.geometry.normalize import shown

__all__ = ["READINGS", "layout", "read", "write"]

READINGS = ("jax",)

_TRANSPOSED = (
    "lhs", "rhs", "strides", "padding", "rhs_dilation", "dimension_numbers", "transpose_kernel", "precision",
    "preferred_element_type", "use_consistent_padding",
)  # fmt: skip
_GENERAL = (
    "lhs", "rhs", "window_strides", "padding", "lhs_dilation", "rhs_dilation", "dimension_numbers",
    "feature_group_count", "batch_group_count", "precision", "preferred_element_type",
)  # fmt: skip
_FUNCTIONS = {"conv_transpose": Function(0, _TRANSPOSED), "conv_general_dilated": Function(0, _GENERAL)}
_LETTERS = {1: "H", 2: "HW", 3: "HWD"}  # JAX's own default names of the axes


def layout(geometry: Geometry) -> Layout:
    """(*kernel, in/groups, out), turned by 180 degrees."""
    return Layout("012"[: geometry.axes] + "io", flipped=True, groups_out=True)


def _kernel_axes(bound: Mapping[str, Any], axes: int, default: str) -> str:
    """The kernel's dimension numbers as Layout.axes."""
    given = bound["dimension_numbers"]
    if given is ABSENT or given is None:
        return default
    specs = given if isinstance(given, tuple) and len(given) == 3 else ("", "", "")
    if any(not isinstance(spec, str) or not len(set(spec)) == len(spec) == axes + 2 for spec in specs) or (
        not {"I", "O"} <= set(specs[1])
    ):
        raise TconvError(
            f"dimension_numbers={shown(given)}; three strings of {axes + 2} letters would fit, "
            f'such as ("N{_LETTERS[axes]}C", "{_LETTERS[axes]}IO", "N{_LETTERS[axes]}C")'
        )
    spatial = [letter for letter in specs[1] if letter not in "IO"]
    order = [letter for letter in specs[0] if letter not in "NC"]
    if spatial != order or order != [letter for letter in specs[2] if letter not in "NC"]:
        raise TconvError(f"dimension_numbers={shown(given)}; the spatial axes must have the same order")
    return "".join({"I": "i", "O": "o"}.get(c) or str(spatial.index(c)) for c in specs[1])


def read(text: str, context: CallContext) -> Reading:
    """`lax.conv_transpose(x, w, (2, 2), "SAME")`, or `lax.conv_general_dilated` with an lhs_dilation."""
    call = parse(text)
    bound = find(call, _FUNCTIONS).bind(call)
    if call.last_name == "conv_general_dilated":
        return _read_general(call, bound, context)
    axes = _axes(call, bound["strides"])
    transpose = flag(bound, "transpose_kernel")
    letters = _kernel_axes(bound, axes, "012"[:axes] + "io")
    if transpose:  # flips the kernel, and exchanges the channel axes
        letters = letters.translate(str.maketrans("io", "oi"))
    kernel, *channels = kernel_of(context, call, bound["rhs"], letters, "jnp.ones")
    stride = numbers(bound, "strides", axes, least=1)
    dilation = numbers(bound, "rhs_dilation", axes, 1, least=1)
    spans = [reach(k, d) for k, d in zip(kernel, dilation, strict=True)]
    padding = bound["padding"]
    if padding in ("SAME", "VALID"):
        windows = [_word(span, s, padding) for span, s in zip(spans, stride, strict=True)]
    else:
        given = pairs("padding", padding, axes)
        forward = flag(bound, "use_consistent_padding")
        windows = [
            pair if forward else (span - 1 - pair[0], span - 1 - pair[1])
            for span, pair in zip(spans, given, strict=True)
        ]
    return finish(
        context,
        Layout(letters, flipped=not transpose),
        kernel=kernel,
        stride=stride,
        padding=windows,
        dilation=dilation,
        channels=(channels[0], channels[1]),
    )


def _read_general(call: Parsed, bound: Mapping[str, Any], context: CallContext) -> Reading:
    axes = _axes(call, bound["window_strides"])
    groups = number(bound, "feature_group_count", 1)
    if set(numbers(bound, "window_strides", axes)) != {1} or number(bound, "batch_group_count", 1) != 1:
        raise TconvError(f"{shown(call.text)} is not a transposed convolution: window_strides of 1 would fit")
    letters = _kernel_axes(bound, axes, "oi" + "012"[:axes])
    kernel, share, known_out = kernel_of(context, call, bound["rhs"], letters, "jnp.ones")
    dilation = numbers(bound, "rhs_dilation", axes, 1)
    spans = [reach(k, d) for k, d in zip(kernel, dilation, strict=True)]
    given = pairs("padding", bound["padding"], axes)
    return finish(
        context,
        Layout(letters, flipped=True, groups_out=True),
        kernel=kernel,
        stride=numbers(bound, "lhs_dilation", axes, 1),
        padding=[(span - 1 - lo, span - 1 - hi) for span, (lo, hi) in zip(spans, given, strict=True)],
        dilation=dilation,
        groups=groups,
        channels=(None if share is None else share * groups, known_out),
    )


def _axes(call: Parsed, strides: object) -> int:
    if not isinstance(strides, tuple) or len(strides) not in _LETTERS:
        raise TconvError(f"{shown(call.text)}: strides is one number per axis, such as (2, 2)")
    return len(strides)


def _word(span: int, stride: int, padding: str) -> tuple[int, int]:
    """The window of "SAME" (output = input * stride) and "VALID" (as far as kernel or stride reach)."""
    if padding == "VALID":
        return 0, min(span - stride, 0)
    lo = max(span - stride, 0) // 2
    return lo, span - stride - lo


def write(geometry: Geometry) -> Call:
    """lax.conv_transpose, or for groups lax.conv_general_dilated; both take every padding."""
    g = geometry
    want = wanted(g)
    spans = [reach(k, d) for k, d in zip(g.kernel, g.dilation, strict=True)]
    pairs = tuple((span - 1 - lo, span - 1 - hi) for span, (lo, hi) in zip(spans, want, strict=True))
    dilation = ("rhs_dilation", str(g.dilation), str((1,) * g.axes))
    notes: Sequence[str] = ()
    if g.groups == 1:
        words = {
            word: tuple(_word(span, s, word) for span, s in zip(spans, g.stride, strict=True))
            for word in ("SAME", "VALID")
        }
        given = next((f'"{word}"' for word, windows in words.items() if windows == want), str(pairs))
        line = f"lax.conv_transpose(x, w, {g.stride}, {given}{options([dilation])})"
    else:
        data, kernel = f"N{_LETTERS[g.axes]}C", f"{_LETTERS[g.axes]}IO"
        said = options(
            [
                ("lhs_dilation", str(g.stride), str((1,) * g.axes)),
                dilation,
                ("dimension_numbers", f'("{data}", "{kernel}", "{data}")', ""),
                ("feature_group_count", str(g.groups), "1"),
            ]
        )
        line = f"lax.conv_general_dilated(x, w, {(1,) * g.axes}, {pairs}{said})"
        notes = ("lax.conv_transpose has no groups: lax.conv_general_dilated with an lhs_dilation has",)
    code = f"from jax import lax\ny = {line}"
    return Call(line, code, ((0, 0),) * g.axes, ((0, 0),) * g.axes, tuple(notes))
