"""Options as callers write them, normalized: plain ints, one entry per axis."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import SupportsIndex, TypeAlias

from tconv.errors import TconvError
from tconv.geometry.axis import reach

__all__ = ["Padding", "PerAxis", "Sides", "conv_output", "padding_pairs", "per_axis", "shown", "whole"]

PerAxis: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
Padding: TypeAlias = SupportsIndex | str | Sequence[SupportsIndex | Sequence[SupportsIndex]]
Sides: TypeAlias = tuple[tuple[int, int], ...]

LIMIT = 2**31 - 1  # so that no product of two options leaves the 64-bit integers of a plan


def shown(value: object) -> str:
    """`value` on one short line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def whole(name: str, value: object) -> int:
    """`value` as an int; True, 2.0 and "2" are refused, since each is more likely a mistake than a size."""
    # A bool is an int to Python; an array has __index__ and refuses it unless it holds one integer.
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TconvError(f"{name}={shown(value)} is a {type(value).__name__}; it must be an int") from None
    if abs(number) > LIMIT:
        raise TconvError(f"{name}={number} is out of range; it must lie within -{LIMIT} and {LIMIT}")
    return number


def flag(name: str, value: object) -> bool:
    """`value` if it is True or False; anything else is more likely a slip."""
    if not isinstance(value, bool):
        raise TconvError(f"{name}={shown(value)} is a {type(value).__name__}; True or False would fit")
    return value


def per_axis(name: str, value: object, axes: int) -> tuple[int, ...]:
    """One int for each axis, from one int for all of them or from one per axis."""
    if not isinstance(value, tuple | list):
        return (whole(name, value),) * axes
    if len(value) != axes:
        raise TconvError(
            f"{name}={shown(value)} has {len(value)} entries; give one int, or {axes}, one per axis"
        )
    return tuple(whole(name, entry) for entry in value)


def padding_pairs(
    value: object, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Sides:
    """(lo, hi) for each axis; "valid" crops nothing, "same" makes the output input * stride."""
    axes = len(kernel)
    if isinstance(value, str):
        if value == "valid":
            return ((0, 0),) * axes
        if value != "same":
            raise TconvError(f'padding={shown(value)} is unknown; "same" or "valid" would fit')
        totals = [reach(k, d) - s for k, s, d in zip(kernel, stride, dilation, strict=True)]
        # The odd cell goes to hi, as in TensorFlow; a kernel shorter than the stride extends hi alone.
        return tuple((max(total, 0) // 2, total - max(total, 0) // 2) for total in totals)
    if not isinstance(value, tuple | list):
        return ((whole("padding", value),) * 2,) * axes
    if len(value) != axes:
        raise TconvError(
            f"padding={shown(value)} has {len(value)} entries; "
            f"give one int, or {axes}, one per axis, each an int or a (lo, hi) pair"
        )
    return tuple(_sides(entry) for entry in value)


def _sides(entry: object) -> tuple[int, int]:
    if not isinstance(entry, tuple | list):
        return (whole("padding", entry),) * 2
    if len(entry) != 2:
        raise TconvError(f"padding {shown(entry)} of an axis has {len(entry)} entries; give a (lo, hi) pair")
    return whole("padding", entry[0]), whole("padding", entry[1])


def conv_output(
    sizes: Sequence[int], kernel: PerAxis, stride: PerAxis, padding: Padding, dilation: PerAxis
) -> tuple[int, ...]:
    """The output sizes of a convolution of `sizes`: floor((size + lo + hi - d(k-1) - 1) / s) + 1 per axis."""
    kernel_, stride_, dilation_ = (
        per_axis(name, value, len(sizes))
        for name, value in (("kernel", kernel), ("stride", stride), ("dilation", dilation))
    )
    sides = padding_pairs(padding, kernel_, stride_, dilation_)
    outputs = []
    for a, (size, k, s, d, (lo, hi)) in enumerate(
        zip(sizes, kernel_, stride_, dilation_, sides, strict=True)
    ):
        least = max(1, reach(k, d) - lo - hi)
        if s < 1:
            raise TconvError(f"stride {s} on axis {a}; it must be at least 1")
        if size < least:
            raise TconvError(
                f"size {size} on axis {a} is too small for a convolution with kernel {k}, dilation {d} and "
                f"padding ({lo}, {hi}); at least {least} would fit"
            )
        outputs.append((size + lo + hi - reach(k, d)) // s + 1)
    return tuple(outputs)
