"""What a diagnosis finds in problems and weights: each number against the layer itself."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tconv
from tconv import TconvError, algebra, filters, views
from tconv.diagnosis import CODES, Finding, diagnose
from tconv.geometry import Geometry
from tconv.testing import load_cases


def found(code: str, *given: Any, **options: Any) -> list[Finding]:
    return [finding for finding in diagnose(*given, **options).findings if finding.code == code]


def codes(*given: Any, **options: Any) -> set[str]:
    return {finding.code for finding in diagnose(*given, **options).findings}


def test_an_even_problem_has_no_finding() -> None:
    assert diagnose("n1 c64>32 i32x32 k4 s2 p1").findings == ()
    assert tconv.diagnose is diagnose


def test_uneven_coverage_is_that_of_the_map() -> None:
    g = Geometry.parse("n1 c1>1 i9x9 k3x5 s2x3")
    (finding,) = found("T101", g)
    counts = views.scatter(np.ones(g.input_shape, int), np.ones(g.weight_shape, int), g)[0, 0]
    inside = counts[6:10, 6:12]
    assert (finding.evidence["taps_least"], finding.evidence["taps_most"]) == (inside.min(), inside.max())
    assert np.unique(inside).tolist() == np.unique(finding.evidence["taps"]).tolist()


@pytest.mark.parametrize(
    "problem",
    ["i9x9 k3 s2 p1 o1", "i9x9 k3 s2 p1", "i7 k5 s2 p2", "i5 k7 s3", "i4x5 k3x4 s2", "i6 k5 s3 p2 o1"],
)
def test_the_kernel_that_is_proposed_has_the_same_size_and_covers_evenly(problem: str) -> None:
    g = Geometry.parse(f"n1 c1>1 {problem}")
    (finding,) = found("T101", g)
    words = finding.fix.split()
    made = Geometry.parse(
        f"n1 c1>1 i{'x'.join(map(str, g.input))} k{words[1]} p{words[4]} s{'x'.join(map(str, g.stride))}"
    )
    assert made.output == g.output
    assert codes(made) <= {"T104"}


def test_outputs_without_taps_are_counted() -> None:
    checked = 0
    cases = [replace(g, batch=1) for _, g in load_cases()]
    longer = [replace(g, input=(g.input[0] + 997,)) for g in cases if g.axes == 1 and g.kernel[0] < 99]
    for g in [*cases, *longer]:
        one = replace(g, in_channels=1, out_channels=1, groups=1)
        y = views.scatter(np.ones(one.input_shape, int), np.ones(one.weight_shape, int), one)
        x_gradient = views.gather(np.ones(one.output_shape, int), np.ones(one.weight_shape, int), one)
        findings = {finding.code: finding for finding in diagnose(one).findings}
        bare, dead = int((y == 0).sum()), int((x_gradient == 0).sum())
        assert ("T102" in findings) == (bare > 0), g
        assert ("T103" in findings) == (dead > 0), g
        assert not bare or findings["T102"].evidence["bare"] == bare
        assert not dead or findings["T103"].evidence["dead"] == dead
        checked += bool(bare) + bool(dead)
        assert json.loads(json.dumps(diagnose(g).as_dict()))["layers"][0]["problem"] == str(g)
    assert checked >= 20


def test_starved_border_inputs() -> None:
    g = Geometry.parse("n1 c1>1 i8 k4 s2 p3")
    (finding,) = found("T104", g)
    gradient = views.gather(np.ones(g.output_shape, int), np.ones(g.weight_shape, int), g)[0, 0]
    assert finding.evidence["taps"] == {"0": [gradient.min(), gradient.max()]} == {"0": [1, 4]}


def test_one_input_along_an_axis_overlaps_nothing() -> None:
    assert codes("n1 c10>6 i1x1 k4x4 s3") == set()
    assert codes("n1 c1>1 i1x8 k3 s2") == {"T101"}
    assert algebra.phase_taps((3, 3), (1, 2)).tolist() == [[6, 3]]


@pytest.mark.parametrize(
    ("problem", "skip", "fix"),
    [
        ("i28x28 k2 s2", (57, 57), "output_padding 1x1"),
        ("i28x28 k2 s2", 57, "output_padding 1x1"),
        ("i8 k4 s2", (16,), "padding 1 "),
        ("i8 k4 s2", (15,), "padding 1:2"),
        ("i8 k4 s2", (30,), "padding -6"),
    ],
)
def test_sizes_at_a_skip_connection(problem: str, skip: Any, fix: str) -> None:
    g = Geometry.parse(f"n1 c1>1 {problem}")
    (finding,) = found("T301", g, skip=skip)
    assert finding.fix.startswith(fix)
    wanted = tuple(finding.evidence["skip"])
    name, value = finding.fix.split()[:2]
    sides = {"output_padding": "o", "padding": "p"}[name] + value
    assert Geometry.parse(f"{g} {sides}").output == wanted
    assert codes(g, skip=g.output) == set()


@pytest.mark.parametrize("skip", [(0, 3), (5, 5, 5)])
def test_a_skip_that_is_none(skip: tuple[int, ...]) -> None:
    with pytest.raises(TconvError, match="skip"):
        diagnose("n1 c1>1 i8x8 k2 s2", skip=skip)


@pytest.mark.parametrize("k", [4, 6])
def test_a_multiple_of_the_stride_does_not_save_trained_weights(k: int) -> None:
    g = Geometry.parse(f"n1 c3>2 i12x12 k{k} s2")
    weight = np.random.default_rng(0).normal(size=g.weight_shape)
    (finding,) = found("T201", g, weight)
    y = views.scatter(np.ones(g.input_shape), weight, g)[0, :, 10:12, 10:12]
    spread = np.ptp(y.reshape(2, -1), axis=1)
    worst = finding.evidence["worst_channel"]
    least, most = np.abs(y[worst]).min(), np.abs(y[worst]).max()
    assert finding.evidence["worst_channel_least"] == pytest.approx(least)
    assert finding.evidence["worst_channel_most"] == pytest.approx(most)
    assert (spread > 0.5).all()
    pattern = y - y.mean((1, 2), keepdims=True)
    assert finding.evidence["ripple_ones"] == pytest.approx(float(np.sqrt((pattern**2).sum() / (y**2).sum())))


def test_each_channel_counts_and_not_their_sum_alone() -> None:
    """Two input channels whose patterns cancel for ones do not cancel for other constants."""
    weight = np.array([[[1.0, 1.0, 1.0, 2.0]], [[1.0, 1.0, 1.0, 0.0]]])
    (finding,) = found("T201", "n1 c2>1 i9 k4 s2 p1", weight)
    assert finding.evidence["ripple_ones"] == 0
    assert finding.evidence["ripple"] == pytest.approx(np.sqrt(0.5 / (2**2 + 3**2 + 2**2 + 1**2) * 2))


def test_tolerance() -> None:
    weight = filters.bilinear(2, 1)[None, None] * [1, 1.01, 1, 1]
    assert codes("n1 c1>1 i8 k4 s2 p1", weight) == set()
    assert codes("n1 c1>1 i8 k4 s2 p1", weight, tolerance=0.001) == {"T201"}
    with pytest.raises(TconvError, match="tolerance 2"):
        diagnose("n1 c1>1 i8 k4 s2 p1", weight, tolerance=2)


def test_images_without_uneven_gains() -> None:
    """Phases of equal gain that interpolate badly: one is a delay of two inputs, the other of none."""
    weight = np.array([[[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]]])
    assert codes("n1 c1>1 i12 k8 s2 p3", weight) == {"T202"}
    for name in filters.FILTERS:
        options = filters.options(name, 3)
        g = Geometry.make(in_channels=1, out_channels=1, input=(9, 9), **options)
        assert codes(g, filters.make(name, 3, 2)[None, None]) == set()


def test_the_fix_makes_the_finding_go_away() -> None:
    g = Geometry.parse("n1 c3>4 i12x12 k5x4 s2 g1")
    weight = np.random.default_rng(1).normal(size=g.weight_shape).astype(np.float32)
    report = diagnose(g, weight)
    made = report.fix()["weight"]
    assert made.dtype == np.float32
    assert "T201" not in codes(g, made)
    with pytest.raises(TconvError, match="no layer to correct"):
        diagnose(g, made).fix()


def test_starting_values() -> None:
    g = Geometry.parse("n1 c4>4 i8x8 k4 s2 p1")
    report = diagnose(g, np.ones(g.weight_shape, np.float32))
    bilinear = report.fix("bilinear")["weight"]
    np.testing.assert_array_equal(bilinear, algebra.bilinear((4, 4, 4, 4)))
    icnr, again, other = (report.fix("icnr", seed=seed)["weight"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(icnr, again)
    assert (icnr != other).any()
    assert codes(g, icnr) == set()
    wide = Geometry.parse("n1 c64>64 i8x8 k4 s2 p1")
    drawn = diagnose(wide, np.ones(wide.weight_shape)).fix("icnr")["weight"]
    assert drawn.std() == pytest.approx(np.sqrt(2 / (64 * 4)), rel=0.05)  # He: an output sums 64 * 4 products
    with pytest.raises(TconvError, match="no multiple of the stride"):
        diagnose("n1 c1>1 i8 k3 s2", np.ones((1, 1, 3))).fix("icnr")
    with pytest.raises(TconvError, match=r"^fix 'icnn' is unknown; did you mean 'icnr'"):
        report.fix("icnn")


def test_one_tap_per_phase_is_corrected_only_by_name() -> None:
    weight = np.random.default_rng(2).normal(size=(2, 2, 2, 2))
    report = diagnose("n1 c2>2 i8x8 k2 s2", weight)
    assert "nearest" in next(f.fix for f in report.findings if f.code == "T201")
    with pytest.raises(TconvError, match="each phase has one tap"):
        report.fix()
    made = report.fix(names=("weight",))["weight"]
    assert (np.ptp(made.reshape(2, 2, -1), axis=2) < 1e-15).all()


def test_a_slow_plan() -> None:
    (finding,) = found("T501", "n1 c2>2 i8 k4 s2 p1", np.ones((2, 2, 4), np.int32))
    assert finding.evidence["algorithm"] == "reference"
    assert "T501" not in codes("n1 c2>2 i64x64 k4 s2 p1", np.ones((2, 2, 4, 4), np.float32))
    # Few numbers are computed fastest by loops: nothing that the caller could change.
    assert "T501" not in codes("n1 c1>1 i2 k1", np.ones((1, 1, 1), np.float32))


def test_other_numbers_than_real_floats() -> None:
    g = Geometry.parse("n1 c2>2 i8 k4 s2 p1")
    rng = np.random.default_rng(3)
    weight = rng.normal(size=g.weight_shape) + 1j * rng.normal(size=g.weight_shape)
    report = diagnose(g, weight.astype(np.complex64))
    assert "T201" in {finding.code for finding in report.findings}
    assert report.fix()["weight"].dtype == np.complex64
    assert "T201" in codes(g, rng.normal(size=g.weight_shape).astype(np.float16))


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.full((2, 3, 4), np.nan), "24 of 24 weights are NaN or infinite"),
        (np.ones((2, 3, 5)), r"weight has shape \(2, 3, 5\) and n1 c2>3 i8 k4 s2 needs \(2, 3, 4\)"),
        (np.ones((3, 2, 4)), "its first two axes are swapped, as in a convolution"),
        (np.full((2, 3, 4), "a"), "numbers would fit"),
    ],
)
def test_bad_weights_are_refused(weight: Any, words: str) -> None:
    with pytest.raises(TconvError, match=words):
        diagnose("n1 c2>3 i8 k4 s2", weight)


def test_every_code_is_explained() -> None:
    assert {code.severity for code in CODES.values()} == {"error", "warning", "note"}
    assert all(code.meaning.endswith(".") and code.title for code in CODES.values())
