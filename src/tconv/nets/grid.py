"""The positions of a feature map's cells in pixels of the input: the arithmetic that aligns skip connections.

Along one axis, the centre of cell i of a map lies at pixel `start + step * i`, where pixel 0 is the centre of
the first pixel, and the cell depends on the pixels from `first + step * i` to `last + step * i`.  The input
itself has step 1 and start = first = last = 0.  With reach = dilation * (kernel - 1), a layer maps

    strided convolution or pooling   step' = step * stride   start' = start + step * (reach / 2 - lo)
    transposed convolution           step' = step / stride   start' = start + step' * (lo - reach / 2)
    n cells of padding in front      step' = step            start' = start - step * n

since tap t of output i of a convolution reads input stride * i + t * dilation - lo, and tap t of input i of a
transposed convolution reaches output stride * i + t * dilation - lo; the centre is the middle tap.  Two maps
with the same step are added cell by cell after the first `(there.start - here.start) / step` cells of one are
cropped.  A 2x2 pooling moves every centre inwards by half a cell and a bilinear filter moves it back, so in a
network whose convolutions keep the size this crop is 0, and only the far edge is cropped.

The intervals are worst cases over the phases of a transposed convolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from tconv.errors import TconvError
from tconv.geometry import Geometry

__all__ = ["Grid"]


@dataclass(frozen=True, slots=True)
class Grid:
    """The positions of a map's cells along one axis, in pixels of the input, exactly.

    >>> window = Geometry.make(in_channels=1, out_channels=1, input=1, kernel=2, stride=2)
    >>> pooled = Grid().convolved(window)
    >>> pooled.step, pooled.start
    (Fraction(2, 1), Fraction(1, 2))
    """

    step: Fraction = Fraction(1)
    start: Fraction = Fraction(0)
    first: Fraction = Fraction(0)
    last: Fraction = Fraction(0)

    def convolved(self, geometry: Geometry) -> Grid:
        """The grid after the convolution (or pooling) whose transpose is `geometry`, of one axis."""
        (stride,), ((lo, _),), reach = geometry.stride, geometry.padding, _reach(geometry)
        return Grid(
            self.step * stride,
            self.start + self.step * (Fraction(reach, 2) - lo),
            self.first - self.step * lo,
            self.last + self.step * (reach - lo),
        )

    def transposed(self, geometry: Geometry) -> Grid:
        """The grid after the transposed convolution `geometry`, of one axis."""
        (stride,), ((lo, _),), reach = geometry.stride, geometry.padding, _reach(geometry)
        step = self.step / stride
        return Grid(
            step,
            self.start + step * (lo - Fraction(reach, 2)),
            self.first + step * (lo - reach),
            self.last + step * lo,
        )

    def padded(self, cells: int) -> Grid:
        """The grid after `cells` cells are added in front."""
        shift = self.step * cells
        return replace(self, start=self.start - shift, first=self.first - shift, last=self.last - shift)

    def crop_to(self, other: Grid) -> int:
        """How many cells to crop in front so that this map starts where `other` does."""
        cells = (other.start - self.start) / self.step
        if self.step != other.step or cells.denominator != 1 or cells < 0:
            raise TconvError(
                f"a map of step {self.step} from pixel {self.start} cannot be cropped to one of step "
                f"{other.step} from pixel {other.start}; the same step and a start whole steps before fit"
            )
        return int(cells)

    def joined(self, other: Grid) -> Grid:
        """The grid of this map, cropped to `other`, plus `other`: its cells depend on the pixels of both."""
        here = self.padded(-self.crop_to(other))
        return replace(other, first=min(here.first, other.first), last=max(here.last, other.last))

    @property
    def margin(self) -> int:
        """The distance of the farthest pixel that cell 0 depends on, on either side of its position."""
        return max(math.ceil(self.start - self.first), math.ceil(self.last - self.start))


def _reach(geometry: Geometry) -> int:
    if geometry.axes != 1:
        raise TconvError(f"{geometry} has {geometry.axes} axes; a Grid follows one axis at a time")
    return geometry.dilation[0] * (geometry.kernel[0] - 1)
