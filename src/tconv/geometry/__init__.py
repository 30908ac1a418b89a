"""The integers of a transposed convolution: sizes, taps, phases, coverage, and one spelling for all of it.

A `Geometry` describes the transposed layer, input -> output.  The convolution that it is the transpose of
maps the other way, output -> input.  Everything here is exact arithmetic on Python integers.

>>> from tconv.geometry import Geometry
>>> g = Geometry.parse("n1 c256>64 i64x64 k4 s2 p1")
>>> g.output_shape
(1, 64, 128, 128)
"""

from __future__ import annotations

from tconv.geometry.axis import Axis, Phase
from tconv.geometry.problem import Geometry, ZeroInsertion

__all__ = ["Axis", "Geometry", "Phase", "ZeroInsertion"]
