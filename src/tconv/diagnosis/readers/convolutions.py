"""A convolution of a model as a layer: what merging needs, and the geometry of its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tconv.algebra.arrays import Array
from tconv.diagnosis.layers import ModelLayer, stand_in
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.axis import reach

__all__ = ["conv_layer"]


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
    """Kind and options of the node; None where the numbers make no convolution.

    Open `sizes` are replaced by ones that divide by every usual factor.
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
