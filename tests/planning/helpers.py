"""A problem, another plan for it than the estimate's, and how that is kept."""

from __future__ import annotations

from pathlib import Path

from tconv import planning
from tconv.geometry import Geometry
from tconv.planning.tuning_file import keep

__all__ = ["GEOMETRY", "ISA", "another", "kept"]

GEOMETRY = Geometry.parse("n1 c24>16 i13x14 k4 s2 p1")
ISA = planning.isas()[0]


def another(prepared: bool = True) -> planning.Plan:
    """A plan that the estimate does not choose."""
    return planning.promising(GEOMETRY, prepared=prepared)[-1]


def kept(*plans: planning.Plan) -> Path:
    path = keep(ISA, None, {planning.tuned_key(made, True): made.name for made in plans})
    planning.refresh()
    return path
