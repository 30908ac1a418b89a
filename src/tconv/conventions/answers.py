"""What reading and writing a call answer with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tconv.conventions.weights import Layout
from tconv.geometry import Geometry

__all__ = ["Call", "CallContext", "Reading"]


@dataclass(frozen=True, slots=True)
class CallContext:
    """What stands beside a call that is read: the sizes that the call itself does not tell."""

    input: tuple[int, ...]
    channels: tuple[int | None, int | None]  # in, out
    batch: int
    kernel: tuple[int, ...] | None
    reading: str  # one of the framework's readings


@dataclass(frozen=True, slots=True)
class Reading:
    """A call that was read: its Geometry, and what the reader had to assume or leave out, a line each."""

    geometry: Geometry
    notes: tuple[str, ...]
    layout: Layout  #: how this very call lays out its weights

    def weight(self, weight: Any) -> Any:
        """The weights of this call as (in, out/groups, *kernel)."""
        return self.layout.from_theirs(weight, self.geometry)


@dataclass(frozen=True, slots=True)
class Call:
    """A Geometry said in a framework's words.

    `line` is the call alone and `code` all that it takes, with imports, to make `y` from `x` and `w`: the
    weights as `weight_to` gives them.  Where the framework cannot say the whole, `code` pads or crops too:
    `before` the call the input, `after` it the output, by (lo, hi) cells on each axis; negative numbers crop.
    """

    line: str
    code: str
    before: tuple[tuple[int, int], ...]
    after: tuple[tuple[int, int], ...]
    notes: tuple[str, ...]
