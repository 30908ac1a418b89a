"""Transposed convolution for PyTorch: functions and layers with PyTorch's signatures, on the engine of tconv.

>>> import torch
>>> layer = ConvTranspose2d(1, 1, kernel_size=4, stride=2, padding=1, bias=False)
>>> _ = init.bilinear_(layer.weight)
>>> layer(torch.ones(1, 1, 3, 3)).shape
torch.Size([1, 1, 6, 6])
"""

from __future__ import annotations

from tconv.torch import init, operators, team
from tconv.torch.accelerate import Accelerated, accelerate
from tconv.torch.functional import conv_transpose1d, conv_transpose2d, conv_transpose3d
from tconv.torch.lazy import LazyConvTranspose1d, LazyConvTranspose2d, LazyConvTranspose3d
from tconv.torch.modules import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tconv.torch.streaming import StreamingConvTranspose1d

__all__ = [
    "Accelerated",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "StreamingConvTranspose1d",
    "accelerate",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "init",
    "operators",
    "team",
]

team.join()
