"""Transposed convolution: fast on a CPU, exactly defined, explained.

A problem becomes a `Geometry` (integers), a Geometry becomes a `plan` (integers and names), and a plan drives
kernels (numbers).

>>> import numpy as np
>>> import tconv
>>> x = np.arange(9.0, dtype=np.float32).reshape(1, 1, 3, 3)
>>> weight = tconv.filters.bilinear(2, rank=2).astype(np.float32)[None, None]
>>> tconv.conv_transpose(x, weight, stride=2, padding=1).shape  # (3-1)*2 - 1 - 1 + (4-1) + 1
(1, 1, 6, 6)
"""

from __future__ import annotations

from tconv import filters
from tconv._core import empty_cache, get_num_threads
from tconv.diagnosis import diagnose
from tconv.errors import TconvError
from tconv.explanation import explain
from tconv.geometry import Geometry
from tconv.ops import (
    Layer,
    conv,
    conv_transpose,
    conv_weight_gradient,
    plan,
    prepare,
    set_num_threads,
)
from tconv.planning import Plan

__all__ = [
    "Geometry",
    "Layer",
    "TconvError",
    "conv",
    "conv_transpose",
    "conv_weight_gradient",
    "diagnose",
    "empty_cache",
    "explain",
    "filters",
    "get_num_threads",
    "plan",
    "prepare",
    "set_num_threads",
]


def _geometry_svg(geometry: Geometry) -> str | None:
    from tconv.drawing.notebook import geometry_svg

    return geometry_svg(geometry)


def _plan_html(plan: Plan) -> str:
    from tconv.drawing.notebook import plan_html

    return plan_html(plan)


# Notebooks call these methods; drawing is above both modules, so neither could import it.
Geometry._repr_svg_ = _geometry_svg  # type: ignore[attr-defined]
Plan._repr_html_ = _plan_html  # type: ignore[attr-defined]


def __getattr__(name: str) -> str:
    """The installed version; reading it is too slow for every import."""
    if name == "__version__":
        from importlib.metadata import version

        return version("tconv")
    raise AttributeError(f"module 'tconv' has no attribute {name!r}")
