"""Layers that take their number of input channels from the first input, as torch.nn.LazyConvTranspose1d."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import UninitializedParameter
from torch.nn.common_types import _size_1_t, _size_2_t, _size_3_t
from torch.nn.modules.conv import _LazyConvXdMixin

from tconv.planning import Activation
from tconv.torch.errors import raising_runtime_errors
from tconv.torch.layer_options import check_channels, checked_parameters
from tconv.torch.modules import (
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Mode,
    Pairs,
)

__all__ = ["LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d"]


class _Lazy(_LazyConvXdMixin):
    """The part that all ranks share; the next base class is the layer that it becomes."""

    @raising_runtime_errors
    def _uninitialized(self: Any, out_channels: int, bias: bool, device: Any, dtype: Any) -> None:
        check_channels(0, out_channels, self.groups)
        bias = checked_parameters(bias, device, dtype)
        self.out_channels = out_channels
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight = UninitializedParameter(**where)
        if bias:
            self.bias = UninitializedParameter(**where)

    @raising_runtime_errors
    def initialize_parameters(self: Any, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Make the parameters for the channels of `input`.

        Raises:
            TconvError: channels that groups do not divide.
        """
        if self.has_uninitialized_params():
            check_channels(self._get_in_channels(input), self.out_channels, self.groups)
        super().initialize_parameters(input)

    def _get_num_spatial_dims(self: Any) -> int:
        return len(self.kernel_size)


class LazyConvTranspose1d(_Lazy, ConvTranspose1d):  # type: ignore[misc]
    """As `LazyConvTranspose2d`, over one axis."""

    cls_to_become = ConvTranspose1d

    def __init__(
        self,
        out_channels: int,
        kernel_size: _size_1_t,
        stride: _size_1_t = 1,
        padding: _size_1_t | Pairs = 0,
        output_padding: _size_1_t = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _size_1_t = 1,
        padding_mode: Mode = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        output_size: _size_1_t | None = None,
        activation: Activation = None,
    ) -> None:
        """As for `ConvTranspose1d`, without `in_channels`."""
        super().__init__(
            0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation, padding_mode,
            device, dtype, output_size=output_size, activation=activation,
        )  # fmt: skip
        self._uninitialized(out_channels, bias, device, dtype)


class LazyConvTranspose2d(_Lazy, ConvTranspose2d):  # type: ignore[misc]
    """A `ConvTranspose2d` whose in_channels are those of its first input, after which it becomes one.

    >>> import torch
    >>> layer = LazyConvTranspose2d(8, kernel_size=4, stride=2, padding=1)
    >>> layer(torch.ones(1, 3, 5, 5)).shape
    torch.Size([1, 8, 10, 10])
    >>> layer
    ConvTranspose2d(3, 8, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1))
    """

    cls_to_become = ConvTranspose2d

    def __init__(
        self,
        out_channels: int,
        kernel_size: _size_2_t,
        stride: _size_2_t = 1,
        padding: _size_2_t | Pairs = 0,
        output_padding: _size_2_t = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _size_2_t = 1,
        padding_mode: Mode = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        output_size: _size_2_t | None = None,
        activation: Activation = None,
    ) -> None:
        """As for `ConvTranspose2d`, without `in_channels`."""
        super().__init__(
            0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation, padding_mode,
            device, dtype, output_size=output_size, activation=activation,
        )  # fmt: skip
        self._uninitialized(out_channels, bias, device, dtype)


class LazyConvTranspose3d(_Lazy, ConvTranspose3d):  # type: ignore[misc]
    """As `LazyConvTranspose2d`, over three axes."""

    cls_to_become = ConvTranspose3d

    def __init__(
        self,
        out_channels: int,
        kernel_size: _size_3_t,
        stride: _size_3_t = 1,
        padding: _size_3_t | Pairs = 0,
        output_padding: _size_3_t = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _size_3_t = 1,
        padding_mode: Mode = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        output_size: _size_3_t | None = None,
        activation: Activation = None,
    ) -> None:
        """As for `ConvTranspose3d`, without `in_channels`."""
        super().__init__(
            0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation, padding_mode,
            device, dtype, output_size=output_size, activation=activation,
        )  # fmt: skip
        self._uninitialized(out_channels, bias, device, dtype)
