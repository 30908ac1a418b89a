"""Checks that integers describe a transposed convolution, and the errors if they do not."""

from __future__ import annotations

from tconv.errors import TconvError
from tconv.geometry.normalize import shown, whole
from tconv.geometry.options import Options

__all__ = ["check"]


def check(g: Options) -> None:
    """Raise `TconvError` at the first thing that does not fit; the message spells the whole problem."""
    _check_types(g)
    if not 1 <= g.axes <= 3:
        raise TconvError(f"{g}: the input has {g.axes} spatial axes; 1, 2 or 3 would fit")
    for name, values, least in (
        ("kernel", g.kernel, 1),
        ("stride", g.stride, 1),
        ("dilation", g.dilation, 1),
        ("input size", g.input, 1),
        ("output_padding", g.output_padding, 0),
    ):
        _check_axes(g, name, values, least)
    if len(g.padding) != g.axes:
        raise TconvError(f"{g}: padding has {len(g.padding)} entries for {g.axes} axes; give one per axis")
    if g.batch < 0:
        raise TconvError(f"{g}: batch {g.batch} is negative; it must be 0 or more")
    if g.groups < 1:
        raise TconvError(f"{g}: {g.groups} groups; at least 1 would fit")
    for name, channels in (("input", g.in_channels), ("output", g.out_channels)):
        if channels < 1:
            raise TconvError(f"{g}: {channels} {name} channels; at least 1 would fit")
        if channels % g.groups:
            raise TconvError(
                f"{g}: {channels} {name} channels do not divide into {g.groups} groups; "
                f"groups must divide both {g.in_channels} and {g.out_channels}"
            )
    for a in range(g.axes):
        _check_output(g, a)


def _check_types(g: Options) -> None:
    """Whether every field is an int or a tuple of ints, as the arithmetic on them takes for granted."""
    for name in ("batch", "in_channels", "out_channels", "groups"):
        whole(name, getattr(g, name))
    fields = {name: getattr(g, name) for name in ("input", "kernel", "stride", "output_padding", "dilation")}
    sides = g.padding if isinstance(g.padding, tuple) else (g.padding,)
    for name, values in (*fields.items(), *(("padding", pair) for pair in sides)):
        if not isinstance(values, tuple):
            raise TconvError(f"{name}={shown(values)}; a tuple would fit, as Geometry.make makes one of less")
        for value in values:
            whole(name, value)
    for pair in sides:
        if len(pair) != 2:
            raise TconvError(f"padding={shown(g.padding)}; (lo, hi) for each axis would fit")


def _check_axes(g: Options, name: str, values: tuple[int, ...], least: int) -> None:
    if len(values) != g.axes:
        raise TconvError(f"{g}: {name} has {len(values)} entries for {g.axes} axes; give one per axis")
    for a, value in enumerate(values):
        if value < least:
            raise TconvError(f"{g}: {name} {value} on axis {a}; it must be at least {least}")


def _check_output(g: Options, a: int) -> None:
    axis = g.axis(a)
    if axis.output_padding >= axis.padding_choices:
        raise TconvError(
            f"{g}: output_padding {axis.output_padding} on axis {a} is too large; "
            f"it must be below max(stride, dilation) = {axis.padding_choices}"
        )
    if axis.output < 1:
        raise TconvError(
            f"{g}: the output size on axis {a} is {axis.output}; it must be at least 1: "
            f"padding lo + hi of at most {axis.output + axis.lo + axis.hi - 1} would fit"
        )
