"""The results of reading and writing a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tconv.conventions.weights import Layout
from tconv.geometry import Geometry

__all__ = ["Call", "CallContext", "Reading"]


@dataclass(frozen=True, slots=True)
class CallContext:
    """The arguments beside a call to read: the sizes that the call itself does not contain."""

    input: tuple[int, ...]
    channels: tuple[int | None, int | None]  # in, out
    batch: int
    kernel: tuple[int, ...] | None
    reading: str  # one of the framework's readings


@dataclass(frozen=True, slots=True)
class Reading:
    """A call that was read: its Geometry, and what had to be assumed or left out, one line each."""

    geometry: Geometry
    notes: tuple[str, ...]
    layout: Layout  #: the weight layout of this call

    def weight(self, weight: Any) -> Any:
        """The weights of this call as (in, out/groups, *kernel)."""
        return self.layout.from_theirs(weight, self.geometry)


@dataclass(frozen=True, slots=True)
class Call:
    """A Geometry as a framework's call.

    `line` is the call alone and `code` everything, with imports, that computes `y` from `x` and `w`: the
    weights as `weight_to` gives them.  Where the framework cannot express the layer, `code` pads or crops
    too: `before` the call the input, `after` it the output, by (lo, hi) cells on each axis; negative numbers
    crop.
    """

    line: str
    code: str
    before: tuple[tuple[int, int], ...]
    after: tuple[tuple[int, int], ...]
    notes: tuple[str, ...]
