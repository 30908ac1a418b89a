"""A layer under diagnosis: its geometry, its weights where they are known, and whether its sizes are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from tconv.algebra.arrays import Array
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.normalize import Sides

__all__ = ["STAND_IN", "ModelLayer", "stand_in"]

_PHASES, _LARGEST = 1 << 16, 1 << 20
_FAR = 1e100  # squares of weights must stay finite
STAND_IN = 16  # inputs an axis, where a model leaves the size open: enough to have an inside


@dataclass(frozen=True, kw_only=True)
class ModelLayer:
    """One layer of what is diagnosed.

    `geometry` always is that of a transposed convolution. Of a strided convolution (`conv`) it is the
    transpose: the map that carries the gradient back to the convolution's input.
    """

    name: str
    geometry: Geometry
    weight: Array | None = None  #: (in, out/groups, *kernel) of the geometry
    conv: bool = False
    sized: bool = True  #: False: the model leaves sizes open and the geometry holds stand-ins

    def checked(self) -> ModelLayer:
        """This layer, if its weights are finite numbers of the right shape.

        Raises:
            TconvError: they are not; or more phases or taps than can be looked at one by one.
        """
        g = self.geometry
        ends = [abs(end) for pair in g.padding for end in pair]
        if prod(g.stride) > _PHASES or max(*g.kernel, *g.dilation, *ends) > _LARGEST:
            raise TconvError(
                f"{g}: too large to look at every phase and tap; strides of {_PHASES} in all, and kernels, "
                f"dilations and paddings of {_LARGEST} would fit"
            )
        if self.weight is None:
            return self
        self.check_numbers(self.weight)
        wanted, found = self.geometry.weight_shape, self.weight.shape
        if found != wanted:
            swapped = found[:2] == wanted[1::-1] and found[2:] == wanted[2:]
            hint = "; its first two axes are exchanged, as in a convolution" if swapped else ""
            raise TconvError(
                f"{self.name}: weight has shape {found} and {self.geometry} asks for {wanted}{hint}"
            )
        return self

    def check_numbers(self, weight: Array) -> None:
        """Whether weights of this layer, of any shape, can be computed with.

        Raises:
            TconvError: they are no numbers, NaN, infinite or far too large.
        """
        if weight.dtype.kind not in "biufc":
            raise TconvError(f"{self.name}: weight has dtype {weight.dtype}; numbers would fit")
        bad = weight.size - int(np.isfinite(weight).sum())
        if bad:
            raise TconvError(f"{self.name}: {bad} of {weight.size} weights are NaN or infinite")
        largest = float(np.abs(weight).max(initial=0))
        if largest > _FAR:
            raise TconvError(f"{self.name}: weights of up to {largest:.3g}; up to {_FAR:g} would fit")

    def with_weight(self, weight: Array) -> ModelLayer:
        """This layer with other weights."""
        return replace(self, weight=weight)


def stand_in(stride: tuple[int, ...], sides: Sides) -> tuple[int, ...]:
    """Input sizes for a layer whose own are unknown: large enough that something is left after cropping.

    >>> stand_in((2, 2), ((1, 1), (0, 40)))
    (17, 36)
    """
    return tuple(STAND_IN + max(0, lo + hi) // max(s, 1) for s, (lo, hi) in zip(stride, sides, strict=True))
