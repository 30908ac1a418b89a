"""When `col2im` applies and is chosen, and what its plans say."""

from __future__ import annotations

import pytest

from tconv.geometry import Geometry
from tconv.planning import ALGORITHMS, LAYOUTS, Candidate, isas, plan
from tconv.planning.cost import MOST_WORKSPACE
from tconv.planning.problem import problem_of
from tests.core.helpers import made


def found(text: str, isa: str, dtype: str = "f32") -> list[Candidate]:
    problem = problem_of(Geometry.parse(text))
    return [
        candidate
        for layout in LAYOUTS
        for candidate in ALGORITHMS["col2im"].candidates(problem, "conv_transpose", dtype, isa, layout)
    ]


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize(
    "text", ["c512>1 i11825 k3", "c512>6 i4x5 k9 s3", "c512>3 i4x6 k16 s8", "n4 c512>4 i5x3x4 k9 s2 p3 g4"]
)
def test_few_outputs_out_of_many_inputs_choose_it(text: str, isa: str) -> None:
    """Vectors, which gaps and panels cost more than the sums."""
    if isa == "amx":
        pytest.skip("products in matrix registers are cheaper")
    assert plan(Geometry.parse(text), isa=isa).algorithm == "col2im"


@pytest.mark.parametrize("text", ["c2>64 i40x40 k4 s2 p1", "c64>64 i32x32 k2 s2 g64"])
def test_few_inputs_do_not(text: str) -> None:
    for isa in isas():
        assert plan(Geometry.parse(text), isa=isa).algorithm != "col2im"


def test_nothing_but_what_exists_is_multiplied() -> None:
    """With lanes over positions; those over taps fill their last vector with zeros."""
    geometry = Geometry.parse("c512>6 i4x5 k9 s3")
    for isa in isas():
        for candidate in found(str(geometry), isa):
            if candidate.part.lanes.name == "positions":
                assert candidate.computed_macs == geometry.macs
            else:
                assert geometry.macs <= candidate.computed_macs < 1.7 * geometry.macs


@pytest.mark.parametrize("isa", isas())
def test_memory_is_bounded(isa: str) -> None:
    for text in (
        "c8>6 i400x400 k9 s4",
        "n4 c16>64 i48x48x48 k3",
        "c4>1 i2000000 k64 s32",
        "c9>9 i3x90000 k5",
    ):
        for candidate in found(text, isa):
            runner = made(Geometry.parse(text), "conv_transpose", isa, candidate).runner
            assert runner.workspace_bytes <= MOST_WORKSPACE
            assert runner.shared_bytes <= 2 * MOST_WORKSPACE


def test_a_plan_says_what_it_does() -> None:
    chosen = plan(Geometry.parse("c512>6 i4x5 k9 s3"), algorithm="col2im", isa="baseline")
    part = chosen.core.part
    assert chosen.kernel == f"f32_col2im_{part.rows}x{part.vectors}__baseline"
    assert f"lanes           over {part.lanes.name}" in repr(chosen)
    assert f"{part.channels} channels per task; {part.positions} positions" in repr(chosen)
