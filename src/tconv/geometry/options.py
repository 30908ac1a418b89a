"""The integers that a `Geometry` is made of, before anything is known to fit: what is checked and spelled."""

from __future__ import annotations

from dataclasses import dataclass

from tconv.errors import TconvError
from tconv.geometry.axis import Axis, range_text
from tconv.geometry.normalize import Sides, whole

__all__ = ["Options"]


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Options:
    """Sizes and options as they were given; tuples have one entry a spatial axis."""

    batch: int
    in_channels: int
    out_channels: int
    input: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Sides
    output_padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def axes(self) -> int:
        """The number of spatial axes, 1 to 3."""
        return len(self.input)

    def axis(self, axis: int) -> Axis:
        """The problem along one spatial axis, counted from 0."""
        if not 0 <= whole("axis", axis) < len(self.input):
            raise TconvError(
                f"{self}: no spatial axis {axis}; {range_text(range(len(self.input)))} would fit"
            )
        lo, hi = self.padding[axis]
        return Axis(
            self.input[axis],
            self.kernel[axis],
            self.stride[axis],
            lo,
            hi,
            self.output_padding[axis],
            self.dilation[axis],
        )
