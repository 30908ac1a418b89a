"""Initial weights for layers that learn to upsample."""

from __future__ import annotations

import torch
from torch import Tensor

from tconv import algebra
from tconv.errors import TconvError

__all__ = ["bilinear_"]


def bilinear_(weight: Tensor, factor: int | None = None) -> Tensor:
    """Fill `weight` in place so that its layer upsamples every channel bilinearly and separately.

    The start of FCN's layers (Long, Shelhamer, Darrell 2015). The layer has as many output as input channels,
    and stride = factor. Without groups its weights are a diagonal of filters; with groups = channels, one
    filter per channel.

    Args:
        weight: (c, c/groups, *kernel), 1 to 3 kernel axes; each kernel axis is 2*factor - factor % 2.
        factor: the factor of all axes; by default each axis has the one that its kernel fits.

    Returns:
        `weight`.

    Raises:
        TconvError: a shape that no such layer has, or a kernel that fits no factor or not the given one.

    >>> bilinear_(torch.empty(2, 2, 4))
    tensor([[[0.2500, 0.7500, 0.7500, 0.2500],
             [0.0000, 0.0000, 0.0000, 0.0000]],
    <BLANKLINE>
            [[0.0000, 0.0000, 0.0000, 0.0000],
             [0.2500, 0.7500, 0.7500, 0.2500]]])
    """
    if not isinstance(weight, Tensor):
        raise TconvError(f"weight is a {type(weight).__name__}; a torch.Tensor would fit")
    start = torch.from_numpy(algebra.bilinear(tuple(weight.shape), factor))
    with torch.no_grad():
        return weight.copy_(start)
