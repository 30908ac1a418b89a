"""A Geometry as the options of a call."""

from __future__ import annotations

from typing import Any

from tconv.geometry import Geometry


def layer_options(geometry: Geometry) -> dict[str, Any]:
    """The keywords of `tconv.conv_transpose`."""
    return {**shared_options(geometry), "output_padding": geometry.output_padding}


def shared_options(geometry: Geometry) -> dict[str, Any]:
    """The keywords that all three maps have."""
    return {
        "stride": geometry.stride,
        "padding": geometry.padding,
        "dilation": geometry.dilation,
        "groups": geometry.groups,
    }
