"""An ordinary convolution of a model: as a layer, its options for merging, and its multiplications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tconv.algebra.arrays import Array
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.axis import Axis, reach
from tconv.models.layer import ModelLayer, stand_in

__all__ = ["conv_layer", "conv_products"]


def conv_layer(
    name: str,
    weight: Array,
    *,
    sizes: Sequence[int | None],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> tuple[str, dict[str, Any]] | None:
    """Kind and options of the node; None where the numbers are not a valid convolution.

    Open `sizes` are replaced by sizes that every usual factor divides.
    """
    kernel = weight.shape[2:]
    least = stand_in(stride, ((0, 0),) * len(kernel))
    given = tuple(
        size or max(stand * s, 2 * reach(k, d))
        for size, stand, s, k, d in zip(sizes, least, stride, kernel, dilation, strict=True)
    )
    try:
        geometry = Geometry.for_output(
            in_channels=weight.shape[0], out_channels=weight.shape[1] * groups, output=given, kernel=kernel,
            stride=stride, padding=padding, dilation=dilation, groups=groups,
        )  # fmt: skip
    except TconvError:
        return None
    layer = ModelLayer(name=name, geometry=geometry, weight=weight, conv=True, sized=None not in sizes)
    return "conv", {"layer": layer, "stride": stride, "padding": padding, "dilation": dilation}


def conv_products(
    x: Sequence[int],
    w: Sequence[int],
    y: Sequence[int],
    stride: Sequence[int],
    starts: Sequence[int],
    dilation: Sequence[int],
) -> int:
    """Multiplications of a convolution, from the shapes of input, weights and output.

    The weights' is (out, in/groups, *kernel); `starts` is the padding at the start of each axis.

    >>> conv_products((1, 1, 4), (1, 1, 3), (1, 1, 4), [1], [1], [1])  # 4*3 less the 2 that fall on padding
    10
    """
    taps = 1
    for before, after, k, s, d, lo in zip(x[2:], y[2:], w[2:], stride, dilation, starts, strict=True):
        # Backwards, y is the input and x the output of a transposed convolution with the same pairs.
        axis = Axis(after, k, s, lo, 0, 0, d)
        taps *= axis._replace(output_padding=before - axis.smallest_output).products()
    return y[0] * w[0] * w[1] * taps
