"""The functions that users call: arguments are checked, turned into a Geometry, and passed to a primitive."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from tconv.errors import TconvError, said
from tconv.geometry.normalize import Padding, PerAxis
from tconv.jax.call_cache import MapCall
from tconv.jax.primitives import apply
from tconv.ops.arrays import CODES
from tconv.ops.call_cache import Options, geometry_of, moved_first
from tconv.ops.execute import check_layout
from tconv.planning import Activation, Layout, MapName
from tconv.planning.activations import parse_activation

__all__ = ["conv", "conv_transpose"]


def conv_transpose(
    x: jax.typing.ArrayLike,
    weight: jax.typing.ArrayLike,
    bias: jax.typing.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    output_size: PerAxis | None = None,
    activation: Activation = None,
    layout: Layout = "channels_first",
) -> jax.Array:
    """Transposed convolution of JAX arrays; options are those of `tconv.conv_transpose`.

    It can be compiled (jax.jit), differentiated with respect to input, weight and bias, in forward and
    reverse mode and repeatedly, and mapped (jax.vmap): over inputs alone it runs as one longer batch, over
    weights as more groups.

    Args:
        x: (n, c_in, *input), or (c_in, *input); 1 to 3 spatial axes; (n, *input, c_in) with
            layout="channels_last".
        weight: (c_in, c_out/groups, *kernel), in every layout.
        bias: (c_out,), or None.
        stride: an int, or one per axis; so are `output_padding` and `dilation`.
        padding: output cells cropped: an int, one per axis, one (lo, hi) pair per axis (negative values
            extend), "valid" for 0, or "same" for an output of input * stride.
        output_padding: cells added at the far end.
        groups: the number of groups of channels that do not mix.
        output_size: the spatial sizes of the output; determines `output_padding`.
        activation: as in `tconv.conv_transpose`, applied in the epilogue. The derivative of "relu", "clamp"
            and "leaky_relu" at a kink is that of the flatter side.
        layout: "channels_first" or "channels_last", of x and of the output.

    Returns:
        (n, c_out, *output), of the dtype of `x`: float32, float16, bfloat16, complex64, integers, and float64
        and complex128 where jax_enable_x64 is set.

    Raises:
        TconvError: arguments that do not fit (the message says what would), or arrays that are not on the
            CPU.

    >>> x, weight = jnp.ones((1, 4, 8, 8)), jnp.ones((4, 1, 3, 3))
    >>> conv_transpose(x, weight, stride=2, padding=1, output_padding=1, groups=4).shape
    (1, 4, 16, 16)
    >>> jax.grad(lambda w: conv_transpose(x, w, stride=2, groups=4).sum())(weight)[0, 0]
    Array([[64., 64., 64.],
           [64., 64., 64.],
           [64., 64., 64.]], dtype=float32)
    """
    options = Options.of(
        stride, padding, output_padding, dilation, groups, output_size, activation, "auto", layout
    )
    return _map("conv_transpose", x, weight, bias, options)


def conv(
    y: jax.typing.ArrayLike,
    weight: jax.typing.ArrayLike,
    bias: jax.typing.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    input_size: PerAxis | None = None,
    activation: Activation = None,
    layout: Layout = "channels_first",
) -> jax.Array:
    """The convolution that `conv_transpose` with the same weight and options is the transpose of.

    Args:
        y: (n, c_out, *output) in the transposed layer's terms: the shape of its output.
        weight: (c_in, c_out/groups, *kernel), which a convolution calls (out, in/groups, *kernel).
        bias: (c_in,), or None.
        input_size: the spatial sizes of the result, where several fit (only with dilation > stride).

    Returns:
        (n, c_in, *input), with input = floor((output + lo + hi - dilation*(k-1) - 1) / stride) + 1.

    >>> conv(jnp.arange(4.0).reshape(1, 1, 4), jnp.ones((1, 1, 2)), stride=2)
    Array([[[1., 5.]]], dtype=float32)
    """
    options = Options.of(stride, padding, 0, dilation, groups, input_size, activation, "auto", layout)
    return _map("conv", y, weight, bias, options)


def _map(map: MapName, source: Any, weight: Any, bias: Any, options: Options) -> jax.Array:
    check_layout(options.layout)
    parse_activation(options.activation)
    given = {"input": source, "weight": weight} | ({} if bias is None else {"bias": bias})
    operands = [_array(name, value) for name, value in given.items()]
    _check_dtypes({name: array.dtype.name for name, array in zip(given, operands, strict=True)})
    x, w = operands[:2]
    last = options.layout == "channels_last" and 1 <= w.ndim - 2 <= x.ndim - 1
    shape = moved_first(x.shape, w.ndim - 2) if last else x.shape
    geometry, batched = geometry_of(map, shape, w.shape, options)
    job = MapCall(map, geometry, options.layout, options.activation)
    channels = geometry.out_channels if map == "conv_transpose" else geometry.in_channels
    if bias is not None and operands[2].shape != (channels,):
        raise TconvError(
            f"bias has shape {operands[2].shape}; ({channels},), one number per output channel, would fit"
        )
    try:
        if batched:
            return apply(job, *operands)  # type: ignore[no-any-return]
        return apply(job, x[None], *operands[1:])[0]  # type: ignore[no-any-return]
    except jax.errors.JaxRuntimeError as fault:  # of a call that is not compiled: no memory for the output
        raise TconvError(f"{geometry}: {said(fault)}") from None


def _array(name: str, value: Any) -> jax.Array:
    try:
        return jnp.asarray(value)
    except (OverflowError, TypeError, ValueError) as error:
        raise TconvError(f"{name} is a {type(value).__name__}; an array would fit") from error


def _check_dtypes(names: dict[str, str]) -> None:
    for name, dtype in names.items():
        if dtype not in CODES:
            raise TconvError(f"{name} has dtype {dtype}; {', '.join(CODES)} would fit")
    if len(set(names.values())) > 1:
        named = ", ".join(f"{name} is {dtype}" for name, dtype in names.items())
        raise TconvError(f"{named}; one dtype for all would fit")
