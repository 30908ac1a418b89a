"""Which plans are timed to measure what work costs: cheap and less cheap ones of varied layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from tconv import planning
from tconv.geometry import Geometry
from tconv.planning import ALGORITHMS, Candidate, MapName, Plan
from tconv.planning.cost import MOST_WORKSPACE, Machine
from tconv.planning.problem import problem_of

__all__ = ["CHECKED", "FITTED", "Sample", "cheapest", "groups", "parsed", "plan_of", "samples", "weighed"]

#: Layers of a millisecond or a few, of the kinds that networks have, to which numbers are fitted.
FITTED = """
n1 c96>48 i40x40 k4 s2 p1;  n1 c64>32 i48x48 k2 s2;  n1 c64>3 i64x64 k4 s2 p1;  n1 c192>96 i10x10 k4 s2 p1
n1 c32>32 i56x56 k3 s2 p1 o1;  n1 c128>64 i400 k16 s8 p4;  n1 c21>21 i20x20 k16 s8
n1 c48>1 i96x96 k9 s3 p4 o2;  n1 c16>8 i14x14x14 k2 s2;  n1 c24>16 i16x16x16 k3 s2 p1
n1 c8>24 i94x127 k3 s3 p1;  n1 c256>192 i7x7 k3 s1 p1;  n1 c64>64 i60x60 k2 s2 g64
n4 c32>16 i16x16 k5 s2 p2 o1;  n1 c3>96 i12000 k3 s3 p1;  n1 c192>4 i2x2x3 k16 s8 p3
n1 c256>24 i2000 k5 s2 p2;  n1 c24>12 i96x96 k7 s4 p2;  n1 c12>21 i12x14 k32 s16;  n1 c512>128 i5x5 k2 s2
"""

#: Others of these kinds, by which the fitted numbers are judged.
CHECKED = """
n1 c128>64 i28x28 k4 s2 p1;  n1 c48>24 i70x60 k2 s2;  n1 c96>2 i48x52 k5 s2 p2;  n2 c256>128 i6x6 k4 s2 p1
n1 c16>16 i100x90 k3 s2 p1 o1;  n1 c48>32 i1500 k3 s3;  n1 c64>128 i300 k8 s4 p2;  n1 c8>256 i24x24 k3 s3
n1 c12>8 i12x14x18 k4 s2 p1;  n1 c21>21 i30x26 k8 s4;  n1 c96>64 i22x22 k3 s1 p1;  n1 c1>64 i80x90 k5 s2 p1
n1 c64>3 i24x24 k9 s2 p4;  n4 c12>32 i9x9 k16 s8 p5;  n1 c256>24 i4x4x4 k4 s2 p1;  n1 c32>1 i9000 k4 s2 p1
"""

#: Of the plans for a map, so many are timed, if they are estimated at up to so many times the least.
_PLANS, _NEAR = 8, 2.0


class Sample(NamedTuple):
    """A plan that can be timed: one candidate of an algorithm for a map on a Geometry."""

    geometry: Geometry
    map: MapName
    algorithm: str
    candidate: int


def parsed(texts: str) -> list[Geometry]:
    """The problems of a list above."""
    return [Geometry.parse(text) for line in texts.strip().splitlines() for text in line.split(";")]


def weighed(facts: Machine, geometry: Geometry, map: MapName, algorithm: str) -> list[Candidate]:
    """The candidates of one algorithm for float32; their order depends on no number that is fitted."""
    found, problem = ALGORITHMS[algorithm], problem_of(geometry)
    return list(found.weigh(problem, map, "f32", facts, False)) if found.applies(problem, map, "f32") else []


def samples(facts: Machine, geometry: Geometry, map: MapName) -> Iterator[Sample]:
    """The cheapest plans, at most two of each tile."""
    costs = [
        (candidate.cost, Sample(geometry, map, name, index), repr(candidate.part).partition("box")[0])
        for name in planning.automatic("f32")
        if name != "reference"
        for index, candidate in enumerate(weighed(facts, geometry, map, name))
    ]
    tiles: list[str] = []
    costs.sort(key=itemgetter(0))
    for cost, sample, tile in costs:
        if len(tiles) == _PLANS or cost > _NEAR * costs[0][0]:
            return
        if tiles.count(tile) < 2:
            tiles.append(tile)
            yield sample


def plan_of(facts: Machine, sample: Sample) -> Plan | None:
    """The plan; None if it needs too much memory."""
    candidate = weighed(facts, *sample[:3])[sample.candidate]
    made = Plan.of(candidate, sample.geometry, sample.map, dtype="f32", isa=facts.isa)
    return None if made.runner.workspace_bytes > MOST_WORKSPACE else made


def cheapest(facts: Machine, geometry: Geometry, map: MapName) -> Sample | None:
    """The plan that the record of `facts` chooses; None where only plain loops apply."""
    return next(samples(facts, geometry, map), None)


def groups(chosen: Sequence[Sample]) -> list[int]:
    """The number of each sample's problem and map: only plans for the same compete."""
    known: dict[tuple[Geometry, MapName], int] = {}
    return [known.setdefault(sample[:2], len(known)) for sample in chosen]
