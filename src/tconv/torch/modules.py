"""Transposed convolution layers in place of torch.nn.ConvTranspose1d, 2d and 3d.

Signatures, parameters, initialisation and repr are PyTorch's; a state dict of one loads into the other. These
layers also take what PyTorch's refuse: uneven and negative padding, "same", padding modes, an output size
at construction, an activation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.common_types import _size_1_t, _size_2_t, _size_3_t

from tconv.errors import TconvError, unknown
from tconv.geometry.normalize import padding_pairs, per_axis, shown, whole
from tconv.planning import Activation
from tconv.torch.activations import activate, checked
from tconv.torch.call_cache import nested
from tconv.torch.errors import TensorError, raising_runtime_errors
from tconv.torch.functional import conv_transpose1d, conv_transpose2d, conv_transpose3d
from tconv.torch.layer_options import check_channels, check_size, checked_parameters, each_axis
from tconv.torch.padding import MODES, folded, in_numbers

__all__ = ["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Mode", "Pairs"]

Mode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]
Pairs: TypeAlias = str | Sequence[tuple[int, int]]


class _Layer:
    """What these layers have in addition to PyTorch's; the next base class is PyTorch's layer."""

    _axes: ClassVar[int]
    _call: ClassVar[Callable[..., Tensor]]
    padding_mode: Mode
    #: For pickles that are older than these options.
    activation: Activation = None
    output_size: tuple[int, ...] | None = None

    @raising_runtime_errors
    def __init__(
        self: Any, channels: tuple[int, int], kernel_size: Any, stride: Any, padding: Any,
        output_padding: Any, groups: int, bias: bool, dilation: Any, padding_mode: str, device: Any,
        dtype: Any, output_size: Any, activation: Any,
    ) -> None:  # fmt: skip
        words = ("zeros", *MODES)
        if not isinstance(padding_mode, str) or padding_mode not in words:
            raise unknown("padding_mode=", padding_mode, words)
        check_channels(*channels, groups)
        kernel_size, stride, extra, dilation = (
            each_axis(name, value, type(self)._axes)
            for name, value in (
                ("kernel_size", kernel_size),
                ("stride", stride),
                ("output_padding", output_padding),
                ("dilation", dilation),
            )
        )
        check_size(channels, kernel_size)
        bias = checked_parameters(bias, device, dtype)
        theirs = not isinstance(padding, str) and not nested(padding)
        super().__init__(  # type: ignore[call-arg]
            *channels, kernel_size, stride, each_axis("padding", padding, type(self)._axes) if theirs else 0,
            extra, groups, bias, dilation, "zeros", device, dtype,
        )  # fmt: skip
        axes = len(self.kernel_size)
        if not theirs:
            self.padding = in_numbers(padding, self.kernel_size, self.stride, self.dilation)
            sides = padding_pairs(self.padding, self.kernel_size, self.stride, self.dilation)
            self._reversed_padding_repeated_twice = [side for pair in reversed(sides) for side in pair]
        self.padding_mode = padding_mode
        self.activation = checked(activation)
        if output_size is not None:
            if any(self.output_padding):
                raise TconvError(
                    f"output_size={output_size} and output_padding={output_padding} both choose the output's "
                    "size; one of them would fit"
                )
            self.output_size = per_axis("output_size", output_size, axes)

    def extra_repr(self: Any) -> str:
        """PyTorch's text, and the options that PyTorch's layers lack."""
        parts = [super().extra_repr()]  # type: ignore[misc]
        parts += [
            f"{name}={value!r}"
            for name in ("output_size", "activation")
            if (value := getattr(self, name)) is not None
        ]
        return ", ".join(parts)

    @raising_runtime_errors
    def forward(self: Any, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The layer's output; `output_size` (spatial sizes, or a whole shape) determines the output padding.

        Raises:
            TconvError: an input, an output size or a padding mode's border that does not fit.
        """
        axes, extra = len(self.kernel_size), self.output_padding
        wanted = self.output_size if output_size is None else output_size
        if wanted is not None and input.dim() in (axes + 1, axes + 2):  # `call` refuses other ranks
            extra = _extra(self, input, wanted)
        if self.padding_mode == "zeros":
            result: Tensor = type(self)._call(
                input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation,
                activation=self.activation,
            )  # fmt: skip
            return result
        full = type(self)._call(input, self.weight, None, self.stride, 0, extra, self.groups, self.dilation)
        sides = padding_pairs(self.padding, self.kernel_size, self.stride, self.dilation)
        result = folded(full, sides, self.padding_mode)
        if self.bias is None:
            result = result.clone()  # without memory for the borders
        else:  # autocast would have cast it
            result = result + self.bias.to(result.dtype).reshape(-1, *(1,) * axes)
        return activate(self.activation, result, axes)

    def __prepare_scriptable__(self: Any) -> Any:
        """Refuse torch.jit.script, which calls this on every module of a model."""
        raise TensorError(
            f"torch.jit.script cannot compile {type(self).__name__} of tconv; torch.jit.trace, "
            "torch.export.export or torch.compile would fit, or, if `accelerate` has put it there, "
            "torch.jit.script after undo()"
        )


def _extra(layer: Any, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
    """The output padding that gives these sizes."""
    axes = len(layer.kernel_size)
    sizes = input.shape[-axes:]
    if not isinstance(output_size, tuple | list):
        raise TconvError(
            f"{layer}: output_size={shown(output_size)} is no tuple; one size per axis would fit"
        )
    if len(output_size) not in (axes, input.dim()):
        raise TconvError(
            f"{layer}: output_size={output_size!r} has {len(output_size)} elements; "
            f"{axes} or {input.dim()} elements would fit an input of shape {tuple(input.shape)}"
        )
    if not torch.compiler.is_compiling():  # where sizes may be symbols
        for size in output_size:
            if not isinstance(size, torch.SymInt):
                whole("output_size", size)
    wanted = list(output_size)[-axes:]
    sides = padding_pairs(layer.padding, layer.kernel_size, layer.stride, layer.dilation)
    each = list(zip(sizes, layer.kernel_size, layer.stride, layer.dilation, sides, strict=True))
    least = [(i - 1) * s - lo - hi + d * (k - 1) + 1 for i, k, s, d, (lo, hi) in each]
    most = [size + max(s, d) - 1 for size, (_, _, s, d, _) in zip(least, each, strict=True)]
    if not all(lo <= size <= hi for lo, size, hi in zip(least, wanted, most, strict=True)):
        raise TconvError(
            f"{layer}: output_size={output_size!r} cannot be reached from {list(sizes)}; "
            f"{least} to {most} can"
        )
    return tuple(size - lo for size, lo in zip(wanted, least, strict=True))


class ConvTranspose1d(_Layer, nn.ConvTranspose1d):
    """A layer over one axis, in place of torch.nn.ConvTranspose1d; see `ConvTranspose2d`."""

    _axes = 1
    _call = staticmethod(conv_transpose1d)

    def __init__(
        self,
        in_channels: int,
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
        """As for `ConvTranspose2d`."""
        super().__init__(
            (in_channels, out_channels), kernel_size, stride, padding, output_padding, groups, bias,
            dilation, padding_mode, device, dtype, output_size, activation,
        )  # fmt: skip


class ConvTranspose2d(_Layer, nn.ConvTranspose2d):
    """A layer over two axes, in place of torch.nn.ConvTranspose2d: (n, c_in, h, w) to (n, c_out, ...).

    weight is (in_channels, out_channels/groups, *kernel_size), bias (out_channels,).

    >>> import torch
    >>> layer = ConvTranspose2d(16, 8, kernel_size=3, stride=2, padding=1)
    >>> layer
    ConvTranspose2d(16, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
    >>> layer(torch.ones(1, 16, 5, 5), output_size=(10, 10)).shape  # 9 or 10 come from 5
    torch.Size([1, 8, 10, 10])

    Options that PyTorch's layer refuses:

    >>> layer = ConvTranspose2d(16, 8, 3, 2, padding="same", padding_mode="circular", activation="relu")
    >>> layer  # doctest: +NORMALIZE_WHITESPACE
    ConvTranspose2d(16, 8, kernel_size=(3, 3), stride=(2, 2), padding=((0, 1), (0, 1)),
                    padding_mode=circular, activation='relu')
    >>> layer(torch.ones(1, 16, 5, 5)).shape
    torch.Size([1, 8, 10, 10])
    """

    _axes = 2
    _call = staticmethod(conv_transpose2d)

    def __init__(
        self,
        in_channels: int,
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
        """PyTorch's options, and more.

        Args:
            padding: cells cropped at the ends of each axis of the output: an int, one per axis, one (lo, hi)
                pair per axis, "same" for an output of input * stride, or "valid" for 0. Negative values
                extend.
            output_padding: cells added at the far end of each axis.
            padding_mode: that of the convolution whose adjoint the layer is, as in torch.nn.Conv2d.
                "zeros" crops the full output; with "reflect", "replicate" and "circular" the border is
                added to the cells that such a padding copies. As in torch.nn.functional.pad, a
                side of "reflect" must be smaller than the output, and one of "circular" no larger.
            output_size: spatial sizes of the output, an int or one per axis, for a layer that nn.Sequential
                calls; each call may give others. It determines the output padding, so that input sizes are
                those that a convolution of this size gives.
            activation: the fused activation, as in `conv_transpose2d`.

        Raises:
            TconvError: channels that groups do not divide, or an option that does not fit.
        """
        super().__init__(
            (in_channels, out_channels), kernel_size, stride, padding, output_padding, groups, bias,
            dilation, padding_mode, device, dtype, output_size, activation,
        )  # fmt: skip


class ConvTranspose3d(_Layer, nn.ConvTranspose3d):
    """A layer over three axes, in place of torch.nn.ConvTranspose3d; see `ConvTranspose2d`."""

    _axes = 3
    _call = staticmethod(conv_transpose3d)

    def __init__(
        self,
        in_channels: int,
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
        """As for `ConvTranspose2d`."""
        super().__init__(
            (in_channels, out_channels), kernel_size, stride, padding, output_padding, groups, bias,
            dilation, padding_mode, device, dtype, output_size, activation,
        )  # fmt: skip
