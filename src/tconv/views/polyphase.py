"""The polyphase split: prod(stride) interleaved phases, each a stride-1 correlation of the original input.

Output o is at u = o + lo = q*s + r of the full output.  Only taps with t*d = distance*s + r reach
residue r, and they read input q - distance: no zero is inserted and no column buffer written.  A phase that
no tap reaches stays zero.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from tconv.arguments import checked
from tconv.geometry import Geometry
from tconv.views.arrays import Array, at, expect, mix

__all__ = ["phases"]


@checked
def phases(x: npt.ArrayLike, weight: npt.ArrayLike, geometry: Geometry) -> Array:
    """Transposed convolution as interleaved stride-1 correlations of the input.

    `x` (n, c_in, *input), `weight` (c_in, c_out/g, *kernel) -> (n, c_out, *output).
    """
    x_ = expect("x", x, geometry.input_shape, geometry)
    weight_ = expect("weight", weight, geometry.weight_shape, geometry)
    y = np.zeros(geometry.output_shape, np.result_type(x_, weight_))
    for residues in product(*(geometry.phases(a) for a in range(geometry.axes))):
        for taps in product(*(phase.taps for phase in residues)):
            pieces = [
                _piece(geometry, a, phase.residue, distance)
                for a, (phase, (_, distance)) in enumerate(zip(residues, taps, strict=True))
            ]
            read = at(*(inputs for inputs, _ in pieces))
            written = at(*(outputs for _, outputs in pieces))
            kernel = at(*(tap for tap, _ in taps))
            y[written] += mix(x_[read], weight_[kernel], geometry)
    return y


def _piece(geometry: Geometry, a: int, residue: int, distance: int) -> tuple[slice, slice]:
    """Along axis `a` the inputs that a tap reads for one phase, and the outputs that they go to."""
    size, output, stride, lo = (
        geometry.input[a],
        geometry.output[a],
        geometry.stride[a],
        geometry.padding[a][0],
    )
    # Input i goes to o = (i + distance)*s + r - lo; keep 0 <= i < size and 0 <= o < output.
    origin = distance * stride + residue - lo
    first = max(0, -(origin // stride))
    stop = min(size, -((origin - output) // stride))
    count = max(0, stop - first)
    start = first * stride + origin
    return slice(first, first + count), slice(start, start + count * stride, stride)
