"""Drawings of a problem: what the layer does, at a glance.

`draw` makes a `Picture` of a Geometry, a list of shapes; `svg`, `png` and `gif` write it.

>>> from tconv.geometry import Geometry
>>> picture = draw(Geometry.parse("n1 c1>1 i2x2 k3 s2"), "stamp")
>>> picture.title
'n1 c1>1 i2x2 k3 s2: each input stamps its multiple of the kernel on the output; overlaps add'
>>> svg(picture, "light")[:41]
'<svg xmlns="http://www.w3.org/2000/svg" w'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tconv.arguments import checked
from tconv.drawing.coverage import coverage
from tconv.drawing.filter import filter
from tconv.drawing.matrix import matrix
from tconv.drawing.palette import THEMES, Theme
from tconv.drawing.phases import phases, steps
from tconv.drawing.picture import Picture
from tconv.drawing.raster import gif, png
from tconv.drawing.scene import Scene
from tconv.drawing.stamp import stamp
from tconv.drawing.svg import svg
from tconv.drawing.weights import load, pairs
from tconv.drawing.zeros import zeros
from tconv.errors import TconvError, unknown
from tconv.geometry import Geometry

__all__ = ["THEMES", "VIEWS", "Picture", "Theme", "View", "draw", "gif", "load", "png", "svg"]

Kernels: TypeAlias = npt.NDArray[np.float64] | None

_STEPS = 128  # more cannot be followed


class View(NamedTuple):
    """A way to draw a problem: from all kernels (pairs, *kernel) or none, animated or static."""

    draw: Callable[[Geometry, Kernels, bool], Picture]  #: of a problem, its kernels, and whether to animate
    weights: bool = False  #: whether weights change the drawing
    steps: Callable[[Geometry], int] | None = None  #: of the animation, if there is one
    each: str = "inputs"  #: what the steps are counted by


def _scene(geometry: Geometry, kernels: Kernels) -> Scene:
    return Scene.of(geometry, None if kernels is None else kernels[0])


#: Name -> view; one added here is drawn by the command and by the tests.
VIEWS: Mapping[str, View] = MappingProxyType(
    {
        "stamp": View(lambda g, w, moving: stamp(_scene(g, w), moving), True, lambda g: prod(g.input)),
        "zeros": View(
            lambda g, w, moving: zeros(_scene(g, w), moving), True, lambda g: prod(g.output), "outputs"
        ),
        "phases": View(lambda g, w, moving: phases(_scene(g, w), moving), steps=steps, each="phases"),
        "matrix": View(lambda g, w, moving: matrix(_scene(g, w), moving), steps=lambda g: prod(g.input)),
        "coverage": View(lambda g, w, moving: coverage(_scene(g, w))),
        "filter": View(lambda g, w, moving: filter(g, w), True),
    }
)


@checked
def draw(
    geometry: Geometry, view: str = "stamp", *, weights: npt.ArrayLike | None = None, animated: bool = False
) -> Picture:
    """One view of the problem; a view of one pair of channels draws the first.

    `weights`, of the layer's shape (in, out/groups, *kernel) or one kernel, are the numbers in the views that
    show some: stamp and zeros (1, 2, 3 ... by default) and filter (ones by default).  `animated` gives stamp,
    zeros, phases and matrix one frame per step, and a last one of the whole.

    Raises:
        TconvError: an unknown view, weights that do not fit, or more cells or steps than can be shown.

    >>> from tconv.geometry import Geometry
    >>> len(draw(Geometry.parse("n1 c1>1 i2x2 k3 s2"), "zeros", animated=True).frames)  # 5x5 outputs, and all
    26
    """
    if view not in VIEWS:
        raise unknown("view", view, VIEWS)
    chosen = VIEWS[view]
    if weights is not None and not chosen.weights:
        able = " and ".join(name for name, other in VIEWS.items() if other.weights)
        raise TconvError(f"{geometry}: view {view} shows no weights; {able} would")
    count = chosen.steps(geometry) if chosen.steps and animated else 0
    if count > _STEPS:
        raise TconvError(
            f"{geometry}: an animation of {count} steps; at most {_STEPS} can be followed; "
            f"fewer {chosen.each} would fit"
        )
    return chosen.draw(geometry, None if weights is None else pairs(weights, geometry), count > 0)
