"""The transpose of a convolution's matrix, as triplets of its non-zeros.

For one pair of channels the convolution is a matrix C with one row per output and one column per
input; the transposed convolution multiplies by C^T.  Connectivity is kept, values are not: C has
in general no inverse, and the weights need not come from that convolution.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tconv.arguments import checked
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.views.arrays import Array, expect

__all__ = ["Triplets", "apply_triplets", "matrix", "triplets"]


_MOST = 2**28  # rows of a product


class Triplets(NamedTuple):
    """The non-zeros of C^T: `vals[j]` in row `rows[j]` (flat output) and column `cols[j]` (flat input)."""

    rows: Array
    cols: Array
    vals: Array


@lru_cache(maxsize=1)  # the same for every channel pair of a problem
def _positions(geometry: Geometry) -> tuple[Array, Array, Array]:
    """Flat output, flat input and flat tap of every non-zero."""
    rows = cols = taps = np.zeros(1, np.intp)
    for a in range(geometry.axes):
        pairs = np.array(
            [(o, i, tap) for i in range(geometry.input[a]) for o, tap in geometry.outputs_of_input(a, i)],
            np.intp,
        ).reshape(-1, 3)
        # The outer product of all entries so far and those of this axis, in row-major flat indices.
        rows = np.add.outer(rows * geometry.output[a], pairs[:, 0]).ravel()
        cols = np.add.outer(cols * geometry.input[a], pairs[:, 1]).ravel()
        taps = np.add.outer(taps * geometry.kernel[a], pairs[:, 2]).ravel()
    for array in (rows, cols, taps):
        array.flags.writeable = False
    return rows, cols, taps


@checked
def triplets(kernel: npt.ArrayLike, geometry: Geometry) -> Triplets:
    """C^T of one channel pair, prod(output) x prod(input), from its kernel of shape `geometry.kernel`.

    >>> g = Geometry.parse("n1 c1>1 i2 k3")
    >>> rows, cols, vals = triplets([1, 2, 3], g)
    >>> transposed = np.zeros((4, 2), int)
    >>> transposed[rows, cols] = vals
    >>> transposed.T  # C: each row slides the kernel one further
    array([[1, 2, 3, 0],
           [0, 1, 2, 3]])
    """
    kernel_ = expect("kernel", kernel, geometry.kernel, geometry)
    rows, cols, taps = _positions(geometry)
    return Triplets(rows, cols, kernel_.ravel()[taps])


@checked
def apply_triplets(transposed: Triplets, vector: npt.ArrayLike, size: int) -> Array:
    """The product, with `size` rows: out[rows[j]] += vals[j] * vector[cols[j]]; (inputs,) or (inputs, m)."""
    vector_ = np.asarray(vector)
    rows, cols, vals = transposed
    if (
        not rows.shape == cols.shape == vals.shape == (rows.size,)
        or not rows.dtype.kind == cols.dtype.kind == "i"
    ):
        raise TconvError("rows, cols and vals: three lines of one length would fit, the first two of indices")
    least = max(int(cols.max(initial=-1)) + 1, 1)
    if not vector_.ndim or vector_.shape[0] < least:
        raise TconvError(f"vector has shape {vector_.shape}; at least {least} rows would fit")
    if not rows.max(initial=-1) < size <= _MOST:
        raise TconvError(f"size={size}; {rows.max(initial=-1) + 1} to {_MOST} would fit")
    product = np.zeros((size, *vector_.shape[1:]), np.result_type(vals, vector_))
    np.add.at(product, rows, vals.reshape(-1, *(1,) * (vector_.ndim - 1)) * vector_[cols])
    return product


@checked
def matrix(x: npt.ArrayLike, weight: npt.ArrayLike, geometry: Geometry) -> Array:
    """Transposed convolution as C^T times the flattened input, one matrix per pair of channels.

    `x` (n, c_in, *input), `weight` (c_in, c_out/g, *kernel) -> (n, c_out, *output).
    """
    x_ = expect("x", x, geometry.input_shape, geometry)
    weight_ = expect("weight", weight, geometry.weight_shape, geometry)
    size = prod(geometry.output)
    y = np.zeros((geometry.batch, geometry.out_channels, size), np.result_type(x_, weight_))
    for c_in in range(geometry.in_channels):
        group = c_in // (geometry.in_channels // geometry.groups)
        images = x_[:, c_in].reshape(geometry.batch, prod(geometry.input)).T  # (inputs, n)
        for m in range(weight_.shape[1]):
            c_out = group * weight_.shape[1] + m
            y[:, c_out] += apply_triplets(triplets(weight_[c_in, m], geometry), images, size).T
    return y.reshape(geometry.output_shape)
