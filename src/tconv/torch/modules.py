"""Transposed convolution layers in place of torch.nn.ConvTranspose1d, 2d and 3d.

Signatures, parameters, initialisation and repr are PyTorch's; a state dict of one loads into the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.common_types import _size_1_t, _size_2_t, _size_3_t

from tconv.errors import TconvError
from tconv.planning import Activation
from tconv.torch.activations import checked
from tconv.torch.functional import conv_transpose1d, conv_transpose2d, conv_transpose3d

__all__ = ["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


def _check(in_channels: int, out_channels: int, groups: int, padding_mode: str) -> None:
    """Refuse what PyTorch's layers refuse, naming the values."""
    if padding_mode != "zeros":
        raise TconvError(f"padding_mode={padding_mode!r}; a transposed convolution has 'zeros' alone")
    if groups < 1 or in_channels % groups or out_channels % groups:
        raise TconvError(
            f"in_channels={in_channels} and out_channels={out_channels} do not divide into groups={groups}; "
            "groups that divide both would fit"
        )


def _answer(
    layer: Any, call: Callable[..., Tensor], input: Tensor, output_size: Sequence[int] | None
) -> Tensor:
    axes = len(layer.kernel_size)
    extra = layer.output_padding
    if output_size is not None and input.dim() in (axes + 1, axes + 2):  # other ranks are `call`'s to refuse
        try:
            extra = layer._output_padding(
                input, output_size, layer.stride, layer.padding, layer.kernel_size, axes, layer.dilation
            )
        except (TypeError, ValueError) as error:
            raise TconvError(f"{layer}: output_size={output_size!r}: {error}") from None
    return call(
        input, layer.weight, layer.bias, layer.stride, layer.padding, extra, layer.groups, layer.dilation,
        activation=layer.activation,
    )  # fmt: skip


class _Layer:
    """What our layers have beside PyTorch's."""

    activation: Activation = None

    def extra_repr(self) -> str:
        """PyTorch's, and what PyTorch's layers lack."""
        told: str = super().extra_repr()  # type: ignore[misc]
        return told if self.activation is None else f"{told}, activation={self.activation!r}"


class ConvTranspose1d(_Layer, nn.ConvTranspose1d):
    """A layer over one axis, in place of torch.nn.ConvTranspose1d; see `ConvTranspose2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _size_1_t,
        stride: _size_1_t = 1,
        padding: _size_1_t = 0,
        output_padding: _size_1_t = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _size_1_t = 1,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        activation: Activation = None,
    ) -> None:
        """As for `ConvTranspose2d`."""
        _check(in_channels, out_channels, groups, padding_mode)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, output_padding,
            groups, bias, dilation, padding_mode, device, dtype,
        )  # fmt: skip
        self.activation = checked(activation)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """As for `ConvTranspose2d`."""
        return _answer(self, conv_transpose1d, input, output_size)


class ConvTranspose2d(_Layer, nn.ConvTranspose2d):
    """A layer over two axes, in place of torch.nn.ConvTranspose2d: (n, c_in, h, w) to (n, c_out, ...).

    weight is (in_channels, out_channels/groups, *kernel_size), bias (out_channels,).

    >>> import torch
    >>> layer = ConvTranspose2d(16, 8, kernel_size=3, stride=2, padding=1)
    >>> layer
    ConvTranspose2d(16, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
    >>> layer(torch.ones(1, 16, 5, 5), output_size=(10, 10)).shape  # 9 or 10 come from 5
    torch.Size([1, 8, 10, 10])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _size_2_t,
        stride: _size_2_t = 1,
        padding: _size_2_t = 0,
        output_padding: _size_2_t = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _size_2_t = 1,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        activation: Activation = None,
    ) -> None:
        """Options as PyTorch's; `output_padding` adds cells at the far end of the output.

        `activation` follows the layer, fused, as in `conv_transpose2d`.

        Raises:
            TconvError: channels that groups do not divide, a padding_mode other than "zeros", or an unknown
                activation.
        """
        _check(in_channels, out_channels, groups, padding_mode)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, output_padding,
            groups, bias, dilation, padding_mode, device, dtype,
        )  # fmt: skip
        self.activation = checked(activation)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The layer's answer; `output_size` (spatial sizes, or a whole shape) picks the output padding.

        Raises:
            TconvError: an input or an output size that does not fit.
        """
        return _answer(self, conv_transpose2d, input, output_size)


class ConvTranspose3d(_Layer, nn.ConvTranspose3d):
    """A layer over three axes, in place of torch.nn.ConvTranspose3d; see `ConvTranspose2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _size_3_t,
        stride: _size_3_t = 1,
        padding: _size_3_t = 0,
        output_padding: _size_3_t = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _size_3_t = 1,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        activation: Activation = None,
    ) -> None:
        """As for `ConvTranspose2d`."""
        _check(in_channels, out_channels, groups, padding_mode)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, output_padding,
            groups, bias, dilation, padding_mode, device, dtype,
        )  # fmt: skip
        self.activation = checked(activation)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """As for `ConvTranspose2d`."""
        return _answer(self, conv_transpose3d, input, output_size)
