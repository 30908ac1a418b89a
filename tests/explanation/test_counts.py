"""Coverage and multiplications as `tconv.explain` counts them, held to stamps of ones."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import reduce
from math import inf

import numpy as np
import pytest

import tconv
import tconv.drawing
from tconv.documents import Line
from tconv.geometry import Geometry
from tconv.testing import load_cases
from tconv.views import scatter

PAIRS = [
    pytest.param(replace(g, batch=1, in_channels=1, out_channels=1, groups=1), id=name)
    for name, g in load_cases()
    if np.prod(g.output) <= 2500 and np.prod(g.kernel) <= 144
]


def stamps(geometry: Geometry) -> np.ndarray:
    """How many taps reach each output: stamps of ones by ones."""
    ones = np.ones((1, 1, *geometry.input), int), np.ones((1, 1, *geometry.kernel), int)
    return scatter(*ones, geometry)[0, 0]


def inside(geometry: Geometry) -> np.ndarray:
    """Which outputs would be reached by no more taps if the input went on beyond its ends."""
    g = geometry
    more = [d * (k - 1) // s + 1 for k, s, d in zip(g.kernel, g.stride, g.dilation, strict=True)]
    longer = replace(
        g,
        input=tuple(i + 2 * m for i, m in zip(g.input, more, strict=True)),
        padding=tuple(
            (lo + m * s, hi + m * s) for (lo, hi), m, s in zip(g.padding, more, g.stride, strict=True)
        ),
    )
    assert longer.output == g.output
    # Axis by axis, as an output is inside along each; beyond the last tap there is no inside.
    parts = []
    for a in range(g.axes):
        one, other = (line(h, a) for h in (g, longer))
        full = one.output[0] + sum(one.padding[0]) - one.output_padding[0]
        u = np.arange(one.output[0]) + one.padding[0][0]
        parts.append((stamps(one) == stamps(other)) & (u >= 0) & (u < full))
    return reduce(np.logical_and.outer, parts)


def line(g: Geometry, a: int) -> Geometry:
    """One axis of a problem by itself."""
    return Geometry.make(
        in_channels=1,
        out_channels=1,
        input=(g.input[a],),
        kernel=(g.kernel[a],),
        stride=(g.stride[a],),
        padding=(g.padding[a],),
        output_padding=(g.output_padding[a],),
        dilation=(g.dilation[a],),
    )


def evenness(geometry: Geometry) -> dict[str, tuple[object, ...]]:
    rows = tconv.explain(geometry, only=["coverage"])["coverage"].table("evenness").rows
    return {str(name): tuple(rest) for name, *rest in rows}


class TestCoverage:
    @pytest.mark.parametrize("geometry", PAIRS)
    def test_the_map_counts_stamps(self, geometry: Geometry) -> None:
        counted = stamps(geometry)
        shown = [
            m
            for m in tconv.explain(geometry, only=["coverage"])["coverage"].matrices()
            if m.name == "coverage"
        ]
        assert bool(shown) == (geometry.axes < 3 or counted.size <= 600)
        for z, m in enumerate(shown):
            flat = counted.reshape(-1, *(1, *counted.shape)[-2:])[z]
            assert np.array_equal(m.values, flat[np.ix_(m.rows, m.columns)])

    @pytest.mark.parametrize("geometry", PAIRS)
    def test_the_figures(self, geometry: Geometry) -> None:
        counted, within = stamps(geometry), inside(geometry)
        found = evenness(geometry)
        parts = {"inside": counted[within], "border": counted[~within], "all": counted}
        assert set(found) == {name for name, cells in parts.items() if cells.size}
        for name, (cells, least, most, _) in found.items():
            assert (cells, least, most) == (
                parts[name].size,
                parts[name].min(),
                parts[name].max(),
            ), name

    @pytest.mark.parametrize(
        ("problem", "ratio"),
        [
            ("n1 c1>1 i8x8 k3 s2", 4),  # Odena, Dumoulin, Olah 2016: uneven in both axes multiplies
            ("n1 c1>1 i8 k3 s2", 2),
            ("n1 c1>1 i8x8 k4 s2 p1", 1),
            ("n1 c1>1 i8x8 k2 s2", 1),
            ("n1 c1>1 i8 k5 s3", 2),
            ("n1 c1>1 i8 k7 s2", Fraction(4, 3)),
            ("n1 c1>1 i8 k2 s3", inf),
            ("n1 c1>1 i8 k4 s2 d2", inf),  # every other output has no tap
            ("n1 c1>1 i8 k4 s2 d3", 1),
            ("n1 c1>1 i8x8 k3 p1", 1),
        ],
    )
    def test_checkerboard_figure(self, problem: str, ratio: object) -> None:
        explained = tconv.explain(Geometry.parse(problem), only=["coverage"])
        assert evenness(Geometry.parse(problem))["inside"][-1] == ratio
        told = " ".join(item.text for item in explained["coverage"].items if isinstance(item, Line))
        assert ("Even: inside" in told) == (ratio == 1)
        assert ("checkerboard" in told.split("Uneven")[-1]) == ("Uneven" in told or ratio == 1)
        data = explained.data()["sections"]["coverage"]["tables"]["evenness"][0]
        assert data["most / fewest"] == (None if ratio == inf else pytest.approx(float(ratio)))

    def test_bilinear_2x(self) -> None:
        """Even inside; a corner is reached by one tap alone."""
        found = evenness(Geometry.parse("n1 c1>1 i3x3 k4 s2 p1"))
        assert found == {"inside": (16, 4, 4, 1), "border": (20, 1, 2, 2), "all": (36, 1, 4, 4)}

    @pytest.mark.parametrize(
        ("problem", "larger"),
        [
            ("n1 c1>1 i2 k5 s2", 9),
            ("n1 c1>1 i2x3 k5 s2", 9),
            ("n1 c1>1 i3 k7 s3 d2", 19),
            ("n1 c1>1 i2 k4 s2 d2", 9),
        ],
    )
    def test_the_verdict_on_few_inputs_is_that_on_many(self, problem: str, larger: int) -> None:
        few = Geometry.parse(problem)
        many = replace(few, input=(larger,) * few.axes)
        inside = evenness(many)["inside"]
        assert few.evenness == many.evenness == inside[1:3]
        assert few.evenness[0] != few.evenness[1]
        text = tconv.explain(few, only="coverage").text()
        assert "Uneven: " in text
        assert "Even: " not in text
        assert "With so few inputs" in text
        figure = f"{few.evenness[0]} to {few.evenness[1]} taps"
        assert any(figure in note for note in [tconv.drawing.draw(few, "coverage").description])

    def test_one_input_overlaps_with_nothing(self) -> None:
        for problem, ends in (("i1x1 k3 s2", (1, 1)), ("i1x1 k3 s2 d2", (0, 1)), ("i1x4 k3 s2", (1, 2))):
            g = Geometry.parse(f"n1 c1>1 {problem}")
            counted = stamps(replace(g, padding=((0, 0),) * 2))
            assert g.evenness == ends
            assert (counted.min(), counted.max()) == ends
            codes = {finding.code for finding in tconv.diagnose(g).findings}
            assert ("T101" in codes) == (ends == (1, 2))
            assert ("Uneven" in tconv.explain(g, only="coverage").text()) == (ends != (1, 1))

    def test_what_would_be_even(self) -> None:
        def told(problem: str) -> str:
            items = tconv.explain(Geometry.parse(problem), only=["coverage"])["coverage"].items
            return " ".join(item.text for item in items if isinstance(item, Line))

        assert "the kernel 5 is not a multiple of the stride 3; 3 or 6 would be even" in told(
            "n1 c1>1 i8 k5 s3"
        )
        assert "the kernel 2 is not a multiple of the stride 3; 3 would be even" in told("n1 c1>1 i8 k2 s3")
        assert "have the divisor 2, so no kernel is even" in told("n1 c1>1 i8 k4 s2 d2")
        assert "No output is inside" in told("n1 c1>1 i2 k64 s4")

    @pytest.mark.parametrize(
        ("problem", "start", "middle", "end"),
        [
            ("n1 c1>1 i2 k64 s4", "1 x 4, 2 x 60, 1 x 4", "none", "none"),  # nothing is inside
            ("n1 c1>1 i9x11 k64 s32", "1 x 32", "2 x 32", "1 x 32"),
            ("n1 c1>1 i6x6 k3 s2", "1", "1, 2", "1"),
            ("n1 c1>1 i6x6 k3 s2 p0:1", "1", "1, 2", "none"),
            ("n1 c1>1 i9x9 k5 s3", "1 x 2", "1, 2 x 2", "1 x 2"),
        ],
    )
    def test_along_an_axis(self, problem: str, start: str, middle: str, end: str) -> None:
        found = tconv.explain(Geometry.parse(problem), only=["coverage"])["coverage"]
        assert found.table("along each axis").rows[0][2:] == (start, middle, end)


class TestWork:
    @pytest.mark.parametrize("geometry", [pytest.param(g, id=name) for name, g in load_cases()])
    def test_counted(self, geometry: Geometry) -> None:
        g = geometry
        rows = tconv.explain(g, only=["work"])["work"].table("multiplications").rows
        pairs = g.batch * g.in_channels * g.out_channels // g.groups
        one = stamps(replace(g, batch=1, in_channels=1, out_channels=1, groups=1))
        exact, nominal, zeros = (count for _, count, _ in rows)
        assert exact == pairs * one.sum()
        assert nominal == pairs * np.prod(g.input) * np.prod(g.kernel)
        assert zeros == pairs * one.size * np.prod(g.kernel)
        assert [ratio for *_, ratio in rows] == [
            Fraction(int(count), int(exact)) if exact else None for count in (exact, nominal, zeros)
        ]

    def test_pytorchs_counter_is_the_nominal_one(self) -> None:
        torch = pytest.importorskip("torch", reason="asks PyTorch's counter; install tconv[torch]")
        from torch.utils.flop_counter import FlopCounterMode

        layer = torch.nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, bias=False)
        with FlopCounterMode(display=False) as counter:
            layer(torch.ones(1, 16, 14, 14))
        rows = tconv.explain(Geometry.parse("n1 c16>8 i14x14 k3 s2 p1"), only=["work"])["work"].table(
            "multiplications"
        )
        assert counter.get_total_flops() == 2 * rows.rows[1][1]

    def test_what_inserting_zeros_costs(self) -> None:
        """k4 s2: 16 products an output where 4 are needed."""
        rows = tconv.explain(Geometry.parse("n1 c1>1 i64x64 k4 s2 p1"), only=["work"])["work"].table(
            "multiplications"
        )
        assert [count for _, count, _ in rows.rows] == [(4 * 64 - 2) ** 2, 256**2, 16 * 128**2]
