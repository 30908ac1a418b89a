"""How plans are chosen and printed: dtypes, epilogues, costs, rejected alternatives."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tconv import TconvError, _core
from tconv.geometry import Geometry
from tconv.planning import ALGORITHMS, LAYOUTS, Plan, isas, kinds, plan
from tconv.planning.cost import Machine, machine
from tconv.planning.hardware import Cpu, kind_of
from tconv.planning.kinds import KINDS, RECORDS, default_record
from tconv.planning.problem import MAPS, problem_of
from tconv.planning.records import Record
from tconv.testing import integer_arrays
from tests.core.helpers import candidates, run

GEOMETRY = Geometry.parse("n2 c6>4 i5x7 k4 s2 p1")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"operands": {"weight": _core.DType.i8}}, "source f32, weight i8"),
        ({"operands": {"sums": _core.DType.f64}}, "sums f64"),
        ({"operands": {"target": _core.DType.bf16}}, "target bf16"),
        ({"epilogue": {"bias": _core.DType.i32}}, "bias i32"),
        ({"epilogue": {"scale": _core.Scale.per_channel}}, "scales its sums"),
        ({"epilogue": {"rounding": _core.Rounding.saturating}}, "rounds saturating"),
    ],
)
def test_what_no_kernel_computes_is_refused_in_one_line(changes: dict[str, Any], named: str) -> None:
    core = plan(GEOMETRY).core
    for field, values in changes.items():
        core = core.replace(**{field: getattr(core, field).replace(**values)})
    with pytest.raises(TconvError, match=named) as refused:
        Plan(geometry=GEOMETRY, activation=None, core=core)
    assert str(GEOMETRY) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_operands_and_epilogue_are_those_of_the_call() -> None:
    core = plan(GEOMETRY, dtype="bf16", activation=("clamp", -1, 6)).core
    kinds = _core.DType
    assert (core.operands.source, core.operands.weight) == (kinds.bf16, kinds.bf16)
    assert (core.operands.sums, core.operands.target) == (kinds.f32, kinds.bf16)
    assert core.epilogue.activation == _core.Activation.clamp
    assert core.epilogue.numbers == [-1.0, 6.0]
    assert plan(GEOMETRY, dtype="c64").core.operands.sums == kinds.c64


def test_words_of_python_are_those_of_the_engine() -> None:
    assert tuple(_core.Map.__members__) == MAPS
    assert tuple(_core.ArrayLayout.__members__) == LAYOUTS


def test_a_field_is_replaced_by_name_and_no_other() -> None:
    part = plan(GEOMETRY, algorithm="phases").core.part
    assert isinstance(part, _core.PhasesPlan)
    assert part.replace(rows=3).rows == 3
    assert part.replace(rows=3).box == part.box
    assert f"rows={part.rows}" in repr(part)
    with pytest.raises(TypeError, match="unknown"):
        part.replace(chunk=3)


@pytest.mark.parametrize("isa", isas())
def test_weights_are_prefetched_where_they_are_far(isa: str) -> None:
    """The number of bytes that the runner packs decides it."""
    caches = default_record(isa).caches
    seen = set()
    for text in ("c40>30 i9x9 k4 s2 p1", "c512>512 i4x4 k4 s2 p1", "c900>300 i2x3 k3 s1 p1"):
        for candidate in candidates(Geometry.parse(text), "conv_transpose", isa):
            part = candidate.part
            if isinstance(part, _core.PhasesPlan) and part.lanes.name in ("positions", "stacked"):
                of = Plan.of(candidate, Geometry.parse(text), "conv_transpose", dtype="f32", isa=isa)
                far = of.runner.packed_bytes > caches.near
                assert part.prefetch == (caches.ahead if far else 0)
                seen.add(far)
    assert seen == {False, True}


def test_a_plan_shows_what_it_was_preferred_to() -> None:
    chosen = plan(Geometry.parse("n1 c256>64 i64x64 k4 s2 p1"), isa="baseline")
    assert chosen.alternatives
    for other in chosen.alternatives:
        assert other.cost >= chosen.cost
        assert f"{other.cost:,.0f} cycles" in repr(chosen)
        assert other.part is not chosen.core.part
    kinds = [type(other.part) for other in chosen.alternatives]
    assert any(kind is not type(chosen.core.part) for kind in kinds)
    assert any(kind is type(chosen.core.part) for kind in kinds)


def leaves(record: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names of all numbers of a record."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, (*path, field.name))
        else:
            yield (*path, field.name)


def doubled(record: Any, path: tuple[str, ...]) -> Any:
    """The record with one number twice as large."""
    value = getattr(record, path[0])
    if len(path) > 1:
        return dataclasses.replace(record, **{path[0]: doubled(value, path[1:])})
    twice = tuple(2 * v for v in value) if isinstance(value, tuple) else 2 * value
    return dataclasses.replace(record, **{path[0]: twice})


#: Between them they reach every formula.
TEXTS = """
n1 c64>32 i9x9 k4 s2 p1;  n1 c6>5 i40x41 k5 s3 p1;  n2 c48>40 i7x200 k3 s3;  n1 c1024>1024 i16x16 k5 s2
n1 c8>3 i300 k64 s16;  n1 c512>512 i9x9 k4 s2 p1;  n64 c4>4 i20x20 k2 s2 g2;  n1 c3>200 i160x160 k3 p1
n1 c1>1 i4 k2;  n8 c96>96 i28x28 k4 s4;  n1 c21>21 i70x70 k64 s32;  n1 c40>900 i60x60 k12 s12
n1 c40>40 i7x5 k3 s3;  n1 c128>192 i9x9 k4 s2 p1;  n1 c64>1 i20x20 k9;  n1 c512>1 i9000 k3
n1 c512>2 i20x20 k3 s2
""".replace("\n", ";").split(";")


def weighed(facts: Machine) -> list[Any]:
    """The result of the formulas for a record: each candidate's cost and fields."""
    told = []
    for text in filter(str.strip, TEXTS):
        problem = problem_of(Geometry.parse(text))
        for map in MAPS:
            for algorithm in ALGORITHMS.values():
                if not algorithm.applies(problem, map, "f32"):
                    continue
                told.append(algorithm.packing(facts))
                for last in (False, True):
                    for candidate in algorithm.weigh(problem, map, "f32", facts, last):
                        told.append((candidate.cost, repr(candidate.part)))
    return told


def test_every_number_of_a_record_is_used() -> None:
    """Doubled, it changes a cost or a plan, on a machine with matrix registers."""
    facts = machine(isas()[-1], "f32")._replace(
        lanes=16, width=64, matrices=((1, 1), (1, 2), (1, 3), (2, 1), (2, 2)), record=Record()
    )
    usual = weighed(facts)
    unused = {
        ".".join(path)
        for path in leaves(Record())
        if weighed(facts._replace(record=doubled(Record(), path))) == usual
    }
    assert unused == {"tasks.thread"}  # which `Plan.of` reads


def test_the_number_of_threads_follows_the_record() -> None:
    chosen = plan(Geometry.parse("n1 c32>32 i16x16 k4 s2 p1"))
    assert 1 < chosen.core.most_threads < 1024
    assert chosen.core.most_threads == int(chosen.cost / default_record(chosen.isa).tasks.thread)


def test_packed_weights_and_others_give_the_same_bits() -> None:
    arrays = integer_arrays(GEOMETRY)
    for isa in isas():
        chosen = plan(GEOMETRY, algorithm="phases", isa=isa)
        packed = np.full(GEOMETRY.output_shape, np.nan, np.float32)
        chosen.runner.run(arrays.x, chosen.runner.pack(arrays.weight), None, packed)
        assert packed.tobytes() == run(chosen, arrays).tobytes()


KINDS_OF = {
    "zen5": Cpu("AuthenticAMD", 26, 2),
    "zen4": Cpu("AuthenticAMD", 25, 17),
    "four_pipes": Cpu("0x41", 0xD40),
    "": Cpu("GenuineIntel", 6, 143),
}


@pytest.mark.parametrize("kind", KINDS_OF)
def test_the_default_record_is_that_of_the_kind_of_core(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan is a function of the problem, the instruction set, the kind of core and its caches."""
    assert kind_of(KINDS_OF[kind]) == kind
    monkeypatch.setattr(kinds, "cpu", lambda: KINDS_OF[kind])
    default_record.cache_clear()
    try:
        for isa, usual in RECORDS.items():
            assert default_record(isa) == KINDS.get((kind, isa), usual)
    finally:
        default_record.cache_clear()


def test_every_kind_is_one_that_is_recognised() -> None:
    assert {kind for kind, _ in KINDS} <= set(KINDS_OF)
    assert {isa for _, isa in KINDS} <= set(RECORDS)
    assert kind_of(Cpu("Apple", 0, 0, "Apple M1")) == "four_pipes"
    assert kind_of(Cpu()) == ""
