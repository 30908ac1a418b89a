"""The gradient of a convolution with respect to its input, as Caffe computes it.

Caffe's Deconvolution runs Convolution's backward pass as its forward pass: a GEMM with the transposed weights
gives one column per position of the filter, and col2im adds each column to the window at that position.
"""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from tconv.arguments import checked
from tconv.geometry import Geometry
from tconv.views.arrays import Array, at, crop, expect, full_size

__all__ = ["col2im"]


@checked
def col2im(x: npt.ArrayLike, weight: npt.ArrayLike, geometry: Geometry) -> Array:
    """Transposed convolution as GEMM with the transposed weights, then col2im; group by group.

    `x` (n, c_in, *input), `weight` (c_in, c_out/g, *kernel) -> (n, c_out, *output).
    """
    g = geometry
    x_ = expect("x", x, g.input_shape, g).reshape(g.batch, g.groups, g.in_channels // g.groups, prod(g.input))
    filters = expect("weight", weight, g.weight_shape, g).reshape(
        g.groups, g.in_channels // g.groups, prod(g.weight_shape[1:])
    )
    columns = np.matmul(filters.transpose(0, 2, 1), x_)  # (n, g, c_out/g * taps, positions)
    columns = columns.reshape(g.batch, g.out_channels, *g.kernel, *g.input)

    image = np.zeros((g.batch, g.out_channels, *full_size(g)), columns.dtype)
    for tap in np.ndindex(*g.kernel):
        visited = (
            slice(t * d, t * d + (i - 1) * s + 1, s)
            for t, d, i, s in zip(tap, g.dilation, g.input, g.stride, strict=True)
        )
        image[at(*visited)] += columns[(slice(None), slice(None), *tap)]
    return crop(image, g)
