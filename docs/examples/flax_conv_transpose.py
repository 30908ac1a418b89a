"""flax's nnx.ConvTranspose, computed by tconv: the same parameters, arguments and outputs."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from tconv.conventions import read
from tconv.jax import conv_transpose


class ConvTranspose(nnx.ConvTranspose):
    """A replacement for nnx.ConvTranspose; only the call differs.

    flax still computes what the engine does not: padding "CIRCULAR", and a `preferred_element_type`.
    """

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """(*batch, *input, in_features) to (*batch, *output, out_features)."""
        axes = len(self.kernel_size)
        if self.padding == "CIRCULAR" or self.preferred_element_type is not None:
            return super().__call__(inputs)
        kernel = self.kernel[...] if self.mask is None else self.kernel[...] * self.mask
        bias = None if self.bias is None else self.bias[...]
        x, kernel, bias = self.promote_dtype((inputs, kernel, bias), dtype=self.dtype)
        sizes, batch = x.shape[-1 - axes : -1], x.shape[: -1 - axes]
        # The call of lax that flax would make, read as the problem that it computes.
        call = (
            f"lax.conv_transpose(x, w, {_each(self.strides, axes)}, {_padding(self.padding, axes)!r}, "
            f"rhs_dilation={_each(self.kernel_dilation, axes)}, transpose_kernel={self.transpose_kernel})"
        )
        layer = read(
            "jax", call, input=sizes, kernel=self.kernel_size, channels=(self.in_features, self.out_features)
        )
        g = layer.geometry
        y = conv_transpose(
            x.reshape(-1, *sizes, self.in_features),
            layer.weight(kernel),
            bias,
            stride=g.stride,
            padding=g.padding,
            output_padding=g.output_padding,
            dilation=g.dilation,
            layout="channels_last",
        )
        return y.reshape(*batch, *y.shape[1:])


def _each(value: Any, axes: int) -> tuple[int, ...]:
    """flax's strides and dilations: None, one for all, or one per axis."""
    if value is None or isinstance(value, int):
        return (value or 1,) * axes
    return tuple(value)


def _padding(value: Any, axes: int) -> Any:
    """flax's padding as lax takes it: a name, or pairs of zeros around the inputs."""
    if isinstance(value, str):
        return value
    sides = (value,) * axes if isinstance(value, int) else value
    return tuple((side, side) if isinstance(side, int) else tuple(side) for side in sides)
