"""From a call's arguments, and those given in addition to the call, to a checked Geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tconv.conventions.answers import CallContext, Reading
from tconv.conventions.calls import ABSENT, Function, Named, Parsed, Shaped
from tconv.conventions.weights import Layout
from tconv.errors import TconvError, unknown
from tconv.geometry import Geometry
from tconv.geometry.normalize import Padding, per_axis, shown, whole

__all__ = [
    "axes_of",
    "find",
    "finish",
    "flag",
    "input_sizes",
    "kernel_of",
    "number",
    "numbers",
    "pairs",
    "word",
]


def find(call: Parsed, functions: Mapping[str, Function]) -> Function:
    """The signature of the called function, whatever name it is imported by."""
    if call.last_name not in functions:
        raise unknown(f"{shown(call.text)}: call", call.last_name, functions)
    return functions[call.last_name]


def _written(name: str, value: Any) -> Any:
    """`value`, if all of it is literal."""
    for entry in value if isinstance(value, tuple) else (value,):
        if isinstance(entry, tuple):
            _written(name, entry)
        if isinstance(entry, Named | Shaped):
            text = entry.text or "nothing" if isinstance(entry, Named) else "an array"
            raise TconvError(f"{name} is {shown(text)}; write the numbers themselves")
    return value


def numbers(
    bound: Mapping[str, Any], name: str, axes: int, default: object = ABSENT, *, least: int | None = None
) -> tuple[int, ...]:
    """An option of one int for all axes, or one per axis, none below `least`."""
    value = bound[name]
    if value is ABSENT or value is None:
        value = default
    if value is ABSENT:
        raise TconvError(f"{name} is missing; write it into the call")
    found = per_axis(name, _written(name, value), axes)
    if least is not None and found and min(found) < least:
        raise TconvError(f"{name}={shown(value)}; it must be at least {least}")
    return found


def pairs(name: str, value: Any, many: int) -> tuple[tuple[int, int], ...]:
    """An option of `many` (before, after) pairs."""
    entries = value if isinstance(value, tuple) else ()
    if len(entries) != many or any(not isinstance(pair, tuple) or len(pair) != 2 for pair in entries):
        raise TconvError(f"{name}={shown(value)}; {many} (before, after) pairs would fit")
    flat = numbers({name: sum(entries, ())}, name, 2 * many)
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def number(bound: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """An option of one int."""
    value = default if bound[name] is ABSENT and default is not None else bound[name]
    if value is ABSENT:
        raise TconvError(f"{name} is missing; write it into the call")
    return whole(name, _written(name, value))


def word(bound: Mapping[str, Any], name: str, default: str, words: Sequence[str]) -> str:
    """An option that is one of several names."""
    value = default if bound[name] in (ABSENT, None) else bound[name]
    if value not in words:
        text = value.text if isinstance(value, Named) else value
        raise unknown(f"{name}=", text, words)
    return str(value)


def flag(bound: Mapping[str, Any], name: str) -> bool:
    """An option that is True or False, False if left out."""
    value = bound[name]
    if value is ABSENT:
        return False
    if not isinstance(value, bool):
        raise TconvError(f"{name}={shown(value)} is neither True nor False")
    return value


def input_sizes(context: CallContext, axes: int) -> tuple[int, ...]:
    """The input's sizes; one number stands for every axis."""
    sizes = context.input * axes if len(context.input) == 1 else context.input
    if len(sizes) != axes:
        raise TconvError(f"input={'x'.join(map(str, sizes))} has {len(sizes)} axes and the call {axes}")
    return sizes


def axes_of(weight: Any, context: CallContext) -> int:
    """The number of spatial axes of the weights, if their shape is known, otherwise of the given input."""
    return len(weight.shape) - 2 if isinstance(weight, Shaped) else len(context.input)


def _shape_of(value: Any, rank: int, name: str) -> tuple[int, ...] | None:
    """The shape of an array that is created in the call itself; None if it is only named."""
    if not isinstance(value, Shaped):
        return None
    if len(value.shape) != rank:
        raise TconvError(f"{name} of shape {value.shape} has {len(value.shape)} axes; {rank} would fit")
    return value.shape


def kernel_of(
    context: CallContext, call: Parsed, weight: Any, axes: str, maker: str
) -> tuple[tuple[int, ...], int | None, int | None]:
    """The kernel's sizes, and the channels if known, of a call that takes them from its weights.

    `axes` is the weights' Layout.axes and `maker` the function that creates such an array in this framework.
    """
    sizes = _shape_of(weight, len(axes), "the weights")
    spatial = len(axes) - 2
    if sizes is not None:
        by_letter = dict(zip(axes, sizes, strict=True))
        return tuple(by_letter[letter] for letter in "012"[:spatial]), by_letter["i"], by_letter["o"]
    if context.kernel is not None:
        given = context.kernel if len(context.kernel) > 1 else context.kernel[0]
        return per_axis("kernel", given, spatial), None, None
    example = ", ".join({"i": "1", "o": "1"}.get(letter, "3") for letter in axes)
    raise TconvError(
        f"{call.name} takes the kernel's sizes from its weights: give kernel=, "
        f"or write the weights as {maker}(({example}))"
    )


def _agree(name: str, given: int | None, argument: int | None, fallback: int, notes: list[str]) -> int:
    """The call's own number, or the one given in addition; both must agree."""
    if given is not None and argument is not None and given != argument:
        raise TconvError(f"the call has {given} {name} and {argument} were asked for; leave one out")
    if given is None and argument is None:
        notes.append(f"the call does not contain its {name}: {fallback} assumed")
        return fallback
    return given if given is not None else argument  # type: ignore[return-value]


def finish(
    context: CallContext,
    layout: Layout,
    *,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Padding,
    dilation: Sequence[int],
    output_padding: Sequence[int] | None = None,
    output_size: Sequence[int] | None = None,
    groups: int = 1,
    channels: tuple[int | None, int | None] = (None, None),
    batch: int | None = None,
    notes: Sequence[str] = (),
) -> Reading:
    """The Reading of a call with these numbers."""
    said = list(notes)
    many = max(groups, 1)
    known_in, known_out = channels
    if batch is not None and context.batch not in (1, batch):
        raise TconvError(f"the call has a batch of {batch} and {context.batch} was asked for; leave one out")
    geometry = Geometry.make(
        batch=context.batch if batch is None else batch,
        in_channels=_agree("input channels", known_in, context.channels[0], many, said),
        out_channels=_agree("output channels", known_out, context.channels[1], many, said),
        input=input_sizes(context, len(kernel)),
        kernel=tuple(kernel),
        stride=tuple(stride),
        padding=padding,
        output_padding=tuple(output_padding) if output_padding is not None else 0,
        output_size=tuple(output_size) if output_size is not None else None,
        dilation=tuple(dilation),
        groups=groups,
    )
    return Reading(geometry, tuple(said), layout)
