"""The registry: one line for each algorithm that computes a map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from tconv import _core
from tconv.planning import col2im, dots, gradient, phases, winograd
from tconv.planning.cost import BYTES, Machine, machine
from tconv.planning.plans import Candidate
from tconv.planning.problem import Layout, MapName, real

__all__ = ["ALGORITHMS", "Algorithm"]

#: (problem, map, dtype, machine, whether channels are last) -> the candidates.
Weigh: TypeAlias = Callable[[_core.Problem, MapName, str, Machine, bool], Iterable[Candidate]]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An algorithm that computes a map."""

    name: str
    applies: Callable[[_core.Problem, MapName, str], bool]
    weigh: Weigh
    #: Cycles to pack one weight, where that is done at every call.
    packing: Callable[[Machine], float] = lambda machine: 0.0
    #: Whether complex numbers are computed as real ones; the other fields then get the real problem.
    by_parts: bool = True
    #: Whether the error of an output is bounded by that output's own terms, whatever lies beside them.
    local: bool = True

    def candidates(
        self, problem: _core.Problem, map: MapName, dtype: str, isa: str, layout: Layout
    ) -> list[Candidate]:
        """All candidates, cheap or not; none where the algorithm does not apply."""
        own, kind = real(problem, dtype) if self.by_parts else (problem, dtype)
        if not self.applies(own, map, kind):
            return []
        found = list(self.weigh(own, map, kind, machine(isa, kind), layout == "channels_last"))
        if kind == dtype:
            return found
        # Complex weights are split into real ones all together, before any task.
        return [
            candidate._replace(part=candidate.part.replace(pack_by_task=False))
            if isinstance(candidate.part, _core.PhasesPlan) and candidate.part.pack_by_task
            else candidate
            for candidate in found
        ]


def _reference(
    problem: _core.Problem, map: MapName, dtype: str, machine: Machine, last: bool
) -> Iterable[Candidate]:
    macs = _nominal(problem)
    return [Candidate(None, macs, macs * machine.record.reference)]


def _has_phases(problem: _core.Problem, map: MapName, dtype: str) -> bool:
    return dtype in BYTES and problem.batch > 0


def _phases(
    problem: _core.Problem, map: MapName, dtype: str, machine: Machine, last: bool
) -> Iterable[Candidate]:
    if map == "weight_gradient":
        return gradient.candidates(problem, map, dtype, machine)
    return phases.candidates(problem, map, dtype, machine, last)


def _dots(
    problem: _core.Problem, map: MapName, dtype: str, machine: Machine, last: bool
) -> Iterable[Candidate]:
    return dots.candidates(problem, map, dtype, machine)


def _nominal(problem: _core.Problem) -> int:
    cells = kernel = 1
    for i, k in zip(problem.input, problem.kernel, strict=True):
        cells, kernel = cells * i, kernel * k
    return problem.batch * problem.groups * problem.in_channels * problem.out_channels * cells * kernel


ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType(
    {
        algorithm.name: algorithm
        for algorithm in (
            Algorithm("reference", lambda problem, map, dtype: True, _reference, by_parts=False),
            Algorithm("phases", _has_phases, _phases, lambda machine: machine.record.pack_phases),
            Algorithm(
                *("winograd", winograd.applies, winograd.candidates),
                lambda machine: machine.record.pack_winograd,
                local=False,
            ),
            Algorithm(
                *("col2im", col2im.applies, col2im.candidates), lambda machine: machine.record.pack_col2im
            ),
            Algorithm("dots", dots.applies, _dots),
        )
    }
)
