"""Initial weights for layers that learn to upsample: as arrays, for any framework."""

from __future__ import annotations

from functools import reduce
from math import prod

import numpy as np
import numpy.typing as npt

from tconv import filters
from tconv.algebra.arrays import Array, check_room, counts, read_weight
from tconv.arguments import checked
from tconv.errors import TconvError
from tconv.geometry.normalize import PerAxis

__all__ = ["bilinear", "icnr"]

_MOST = 2**31  # values: 16 GiB of float64


@checked
def icnr(small: Array, stride: PerAxis) -> Array:
    """Weights with which every phase starts as the same filter `small`: no checkerboard at the start.

    ICNR (Aitken et al. 2017): w[c, o, q*s + r] = small[c, o, q] for all r. The layer then is the convolution
    of the input with `small`, repeated s times along each axis (nearest upsampling); training may make the
    phases differ. `small` has (in, out/groups, *m) values, drawn as for a convolution with kernel m.

    Returns:
        (in, out/groups, *(m * stride)).

    >>> icnr(np.array([[[1.0, 2.0]]]), 2)
    array([[[1., 1., 2., 2.]]])
    """
    result = read_weight(small)
    strides = counts("stride", stride, result.ndim - 2)
    check_room(result.size * prod(strides), result.size, _MOST)
    for axis, s in enumerate(strides, 2):
        result = result.repeat(s, axis)
    return result


@checked
def bilinear(shape: tuple[int, ...], factor: int | None = None) -> npt.NDArray[np.float64]:
    """Weights that upsample every channel bilinearly and separately: the start of FCN's layers.

    Long, Shelhamer, Darrell (2015), section 3.3. The layer has as many output as input channels, and stride =
    factor. Without groups its weights are a diagonal of filters; with groups = channels, one per channel.

    Args:
        shape: (c, c/groups, *kernel), 1 to 3 kernel axes; each kernel axis is 2*factor - factor % 2.
        factor: the factor of all axes; by default each axis has the one that its kernel fits.

    Raises:
        TconvError: a shape that no such layer has, or a kernel that fits no factor or not the given one.

    >>> bilinear((2, 1, 4))
    array([[[0.25, 0.75, 0.75, 0.25]],
    <BLANKLINE>
           [[0.25, 0.75, 0.75, 0.25]]])
    """
    if not 3 <= len(shape) <= 5 or shape[1] < 1 or shape[0] % shape[1]:
        raise TconvError(f"weight has shape {shape}; (c, c/groups, *kernel), 1 to 3 kernel axes, would fit")
    check_room(prod(shape), 1, _MOST)
    lines = [filters.bilinear(_factor(k, factor), 1) for k in shape[2:]]
    weight = np.zeros(shape)
    every = np.arange(shape[0])
    weight[every, every % shape[1]] = reduce(np.multiply.outer, lines)
    return weight


def _factor(kernel: int, wanted: int | None) -> int:
    """The factor f whose bilinear filter is `kernel` long: 2f - f mod 2."""
    found = (kernel + 1) // 2
    if kernel < 1 or 2 * found - found % 2 != kernel:
        below = kernel - 1 if kernel % 4 == 2 else kernel - 2
        raise TconvError(
            f"kernel {kernel} is not that of a bilinear filter; "
            f"2*factor - factor % 2 would fit, such as {below} or {below + 3}"
        )
    if wanted is not None and wanted != found:
        length = filters.options("bilinear", wanted)["kernel"]
        raise TconvError(f"kernel {kernel} upsamples {found} times, not {wanted}; kernel {length} would fit")
    return found
