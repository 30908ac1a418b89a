"""Starting values for layers that learn to upsample."""

from __future__ import annotations

from functools import reduce

import numpy as np
import torch
from torch import Tensor

from tconv import filters
from tconv.errors import TconvError

__all__ = ["bilinear_"]


def bilinear_(weight: Tensor, factor: int | None = None) -> Tensor:
    """Fill `weight` in place so that its layer upsamples every channel bilinearly, and mixes none.

    The start of FCN's layers (Long, Shelhamer, Darrell 2015). The layer has as many channels out as in,
    and stride = factor. Without groups its weights are a diagonal of filters; with groups = channels each
    channel has one.

    Args:
        weight: (c, c/groups, *kernel), 1 to 3 kernel axes; each kernel axis is 2*factor - factor % 2.
        factor: on all axes; by default each axis has the one that its kernel fits.

    Returns:
        `weight`.

    Raises:
        TconvError: a shape that no such layer has, or a kernel that fits no factor, or not `factor`.

    >>> bilinear_(torch.empty(2, 2, 4))
    tensor([[[0.2500, 0.7500, 0.7500, 0.2500],
             [0.0000, 0.0000, 0.0000, 0.0000]],
    <BLANKLINE>
            [[0.0000, 0.0000, 0.0000, 0.0000],
             [0.2500, 0.7500, 0.7500, 0.2500]]])
    """
    shape = tuple(weight.shape)
    if not 3 <= len(shape) <= 5 or shape[1] < 1 or shape[0] % shape[1]:
        raise TconvError(f"weight has shape {shape}; (c, c/groups, *kernel), 1 to 3 kernel axes, would fit")
    lines = [filters.bilinear(_factor(k, factor), 1) for k in shape[2:]]
    kernel = torch.from_numpy(reduce(np.multiply.outer, lines))
    every = torch.arange(shape[0])
    with torch.no_grad():
        weight.zero_()
        weight[every, every % shape[1]] = kernel.to(weight)
    return weight


def _factor(kernel: int, wanted: int | None) -> int:
    """The factor f whose bilinear filter is `kernel` long: 2f - f mod 2."""
    found = (kernel + 1) // 2
    if kernel < 1 or 2 * found - found % 2 != kernel:
        below = kernel - 1 if kernel % 4 == 2 else kernel - 2
        raise TconvError(
            f"kernel {kernel} is no bilinear filter's; "
            f"2*factor - factor % 2 would fit, such as {below} or {below + 3}"
        )
    if wanted is not None and wanted != found:
        length = filters.options("bilinear", wanted)["kernel"]
        raise TconvError(f"kernel {kernel} upsamples {found} times, not {wanted}; kernel {length} would fit")
    return found
