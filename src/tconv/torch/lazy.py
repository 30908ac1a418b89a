"""Layers that learn their number of input channels from the first input, in place of torch.nn's lazy ones."""

from __future__ import annotations

from torch import nn

from tconv.torch.modules import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d

__all__ = ["LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d"]


class LazyConvTranspose1d(nn.LazyConvTranspose1d):
    """A `ConvTranspose1d` without `in_channels`; see `LazyConvTranspose2d`."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(nn.LazyConvTranspose2d):
    """A `ConvTranspose2d` without `in_channels`, in place of torch.nn.LazyConvTranspose2d.

    >>> import torch
    >>> layer = LazyConvTranspose2d(8, kernel_size=4, stride=2, padding=1)
    >>> layer(torch.ones(1, 16, 5, 5)).shape
    torch.Size([1, 8, 10, 10])
    >>> layer  # an ordinary layer from now on
    ConvTranspose2d(16, 8, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1))
    """

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(nn.LazyConvTranspose3d):
    """A `ConvTranspose3d` without `in_channels`; see `LazyConvTranspose2d`."""

    cls_to_become = ConvTranspose3d
