"""What the drawings show, read back and compared with Geometry and the definition."""

from __future__ import annotations

import re
from itertools import pairwise, product
from math import prod

import numpy as np
import pytest

from tconv.drawing import draw
from tconv.drawing.shapes import Rect, Stroke, Text
from tconv.geometry import Geometry
from tconv.views import scatter
from tests.drawing.helpers import PLANE, PROBLEMS, Cell, cells, inside, outlines, right_of_arrows, texts
from tests.views.helpers import dense


def counted(g: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and kernel 1, 2, 3 ..., one channel."""
    return (
        np.arange(1, prod(g.input) + 1).reshape(1, 1, *g.input),
        np.arange(1, prod(g.kernel) + 1).reshape(1, 1, *g.kernel),
    )


def alone(problem: str) -> Geometry:
    """The problem with one channel."""
    words = [word for word in problem.split() if word[0] not in "cg"]
    return Geometry.parse(" ".join(["c1>1", *words]))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_stamp_sums_are_the_output_and_the_rest_is_hatched(problem: str) -> None:
    g = alone(problem)
    x, w = counted(g)
    shapes = draw(Geometry.parse(problem), "stamp").shapes
    frames = outlines(shapes, "ink")
    shown = [cell for frame in frames for cell in inside(shapes, frame)]
    expected = scatter(x, w, g).ravel()
    assert [int(cell.text) for cell in shown] == expected.tolist()
    kept = {(cell.x, cell.y) for cell in shown}
    for line in (s for s in shapes if isinstance(s, Stroke) and s.stroke == "hatch"):
        middle = (line.x1 + line.x2) / 2, (line.y1 + line.y2) / 2
        assert not any(abs(x - middle[0]) < 3 and abs(y - middle[1]) < 3 for x, y in kept)
    full = [
        (i - 1) * s + d * (k - 1) + 1
        for i, k, s, d in zip(g.input, g.kernel, g.stride, g.dilation, strict=True)
    ]
    cropped = any(lo > 0 or lo + o < f for (lo, _), o, f in zip(g.padding, g.output, full, strict=True))
    assert any(isinstance(s, Stroke) and s.stroke == "hatch" for s in shapes) == cropped


@pytest.mark.parametrize("problem", [p for p in PLANE if "i4 " not in p and "i5 " not in p])
def test_the_first_two_stamps_lie_a_stride_apart_and_begin_at_minus_padding(problem: str) -> None:
    g = Geometry.parse(problem)
    shapes = draw(g, "stamp").shapes
    (output,) = outlines(shapes, "ink")
    size = output.width / g.output[1]
    (first,), (second,) = (outlines(shapes, f"{name}.strong") for name in ("input", "kernel"))
    reach = g.dilation[1] * (g.kernel[1] - 1) + 1
    assert (first.x - output.x) / size == pytest.approx(-g.padding[1][0])
    assert (first.y - output.y) / size == pytest.approx(-g.padding[0][0])
    assert first.width / size == pytest.approx(reach)
    middles = [frame.x + frame.width / 2 for frame in (first, second)]  # the second is drawn a little smaller
    assert (middles[1] - middles[0]) / size == pytest.approx(g.stride[1])
    overlap = {cell.fill for cell in inside(shapes, first)}
    taps = {t * g.dilation[1] for t in range(g.kernel[1])}
    assert ("both" in overlap) == bool(taps & {t + g.stride[1] for t in taps})


def test_stamps_of_one_axis_are_a_row_each() -> None:
    shapes = draw(Geometry.parse("c1>1 i3 k2 s3"), "stamp").shapes
    rows = [c for c in cells(shapes) if c.fill in ("input", "kernel")]
    assert [int(c.text) for c in rows] == [1, 2, 2, 4, 3, 6]
    assert [round((c.x - rows[0].x) / 30) for c in rows] == [0, 1, 3, 4, 6, 7]
    assert [round((c.y - rows[0].y) / 30) for c in rows] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("problem", PLANE)
def test_zeros_shows_the_recipe_and_the_middle_output(problem: str) -> None:
    g = alone(problem)
    x, w = counted(g)
    y = scatter(x, w, g)[0, 0]
    drawing = draw(Geometry.parse(problem), "zeros")
    middle = tuple((size - 1) // 2 for size in g.output)
    (marked,) = [c for c in cells(drawing.shapes) if c.fill == "output.strong"]
    assert int(marked.text) == y[middle]
    reached = list(product(*(g.taps_of_output(a, o) for a, o in enumerate(middle))))
    found = [c for c in cells(drawing.shapes) if c.fill == "kernel.strong" and c.size > 14]
    values = [int(x[0, 0][tuple(i for i, _ in pairs)]) for pairs in reached]
    assert sorted(int(c.text) for c in found) == sorted(values)
    sums = [text for text in texts(drawing) if text.startswith("output ") and "=" in text]
    assert len(sums) == 1
    terms = [tuple(map(int, term)) for term in re.findall(r"(\d+) x (\d+)", sums[0])]
    taps = [int(w[0, 0][tuple(tap for _, tap in pairs)]) for pairs in reached]
    assert set(terms) <= set(zip(values, taps, strict=True))
    assert len(terms) == min(len(values), 6)
    turned = [c.text for c in cells(drawing.shapes) if c.fill == "kernel" and c.size > 14 and c.text != "0"]
    assert turned == [str(n) for n in range(prod(g.kernel), 0, -1)]
    assert sums[0].endswith(f"=  {y[middle]}" if values else "only zeros")
    if g.axes == 2:
        shown = right_of_arrows(drawing.shapes)
        assert [int(c.text) for c in shown if c.size > 14][: y.size] == y.ravel().tolist()


@pytest.mark.parametrize("problem", PLANE)
def test_zeros_stretches_the_input(problem: str) -> None:
    g = Geometry.parse(problem)
    recipe = g.zero_insertion()
    sizes = [
        max(before, 0) + (i - 1) * (between + 1) + 1 + max(after, 0)
        for i, between, (before, after) in zip(g.input, recipe.between, recipe.around, strict=True)
    ]
    shapes = draw(g, "zeros").shapes
    shown = [c for c in cells(shapes) if c.size > 14]  # without the legend
    assert len(shown) == prod(sizes) + prod(g.kernel) + prod(g.output)
    if g.axes == 1:  # the turned kernel stands above, the output below
        shown = [c for c in shown if c.y == sorted({c.y for c in shown})[1]]
    inputs = [c for c in shown if c.fill in ("input", "kernel.strong")]
    assert [int(c.text) for c in inputs] == list(range(1, prod(g.input) + 1))
    cell = min(b.x - a.x for a, b in pairwise(shown) if b.x > a.x)
    for n, index in enumerate(np.ndindex(*g.input)):
        assert (inputs[n].x - inputs[0].x) / cell == pytest.approx(index[-1] * g.stride[-1])
    # The window of output o begins `before` zeros in front of the input that stands at o.
    (window,) = outlines(shapes, "kernel.strong")
    begin = (window.x + cell / 2 - inputs[0].x) / cell
    assert begin == pytest.approx((g.output[-1] - 1) // 2 - recipe.around[-1][0])
    assert window.width / cell == pytest.approx(g.dilation[-1] * (g.kernel[-1] - 1) + 1)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_outputs_have_one_colour_if_and_only_if_they_are_of_one_phase(problem: str) -> None:
    g = Geometry.parse(problem)
    shapes = draw(g, "phases").shapes
    shown = [cell for frame in outlines(shapes, "ink") for cell in inside(shapes, frame)]
    outputs = list(np.ndindex(*g.output))
    assert len(shown) == len(outputs)
    colours: dict[tuple[int, ...], set[str]] = {}
    for cell, o in zip(shown, outputs, strict=True):
        residue = tuple((c + lo) % s for c, (lo, _), s in zip(o, g.padding, g.stride, strict=True))
        assert cell.text == ",".join(map(str, residue))
        colours.setdefault(residue, set()).add(cell.fill)
    full = [r for r in colours if all(g.phases(a)[c].taps for a, c in enumerate(r))]
    assert all(len(found) == 1 for found in colours.values())
    assert len({next(iter(colours[r])) for r in full}) == len(full)
    assert all(colours[r] == {"blank"} for r in colours if r not in full)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_tap_belongs_to_one_sub_filter(problem: str) -> None:
    g = Geometry.parse(problem)
    shown = [text for text in texts(draw(g, "phases")) if text[:1] == "w"]
    assert sorted(shown) == sorted("w" + ",".join(map(str, tap)) for tap in np.ndindex(*g.kernel))


@pytest.mark.parametrize(
    "problem", ["c1>1 i2x2 k3", "c1>1 i5 k4 s2 p1", "c1>1 i3x3 k3 s3 p1 o1", "c1>1 i2x2x2 k2"]
)
def test_matrices_have_their_taps_where_the_definition_has(problem: str) -> None:
    g = Geometry.parse(problem)
    wanted = dense(np.arange(1, prod(g.kernel) + 1).reshape(g.kernel), g)
    shapes = draw(g, "matrix").shapes
    blanks = [s for s in shapes if isinstance(s, Rect) and s.fill == "blank"]
    hues = {}
    for frame, matrix in zip(blanks, (wanted.T, wanted), strict=True):
        size = frame.width / matrix.shape[1]
        found = np.zeros(matrix.shape, bool)
        for cell in inside(shapes, frame):
            if cell.fill != "blank":
                row, column = int((cell.y - frame.y) / size), int((cell.x - frame.x) / size)
                found[row, column] = True
                assert hues.setdefault(matrix[row, column], cell.fill) == cell.fill
        assert found.tolist() == (matrix > 0).tolist()
    assert len(set(hues.values())) == prod(g.kernel)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_coverage_counts_are_those_of_kernels_of_ones(problem: str) -> None:
    g = alone(problem)
    ones = scatter(np.ones(g.input_shape, int), np.ones(g.weight_shape, int), g)[0, 0]
    drawing = draw(Geometry.parse(problem), "coverage")
    shown = [cell for cell in cells(drawing.shapes) if cell.fill.startswith("heat")]
    counts = [int(cell.text) for cell in shown]
    if g.axes == 2:  # the columns' counts stand above, the rows' at the left
        assert counts[: g.output[1]] == (ones.max(0) / ones.max() * max(g.coverage()[1])).astype(int).tolist()
        left = min(cell.x for cell in shown)
        counts = [int(cell.text) for cell in shown[g.output[1] :] if cell.x > left + 1]
    assert sorted(counts) == sorted(ones.ravel().tolist())
    if g.axes < 3:
        assert counts == ones.ravel().tolist()
    assert f"{ones.sum()} products" in drawing.description


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("c1>1 i3x3 k3 s2", "1 to 4 taps reach outputs, most / fewest = 4"),
        ("c1>1 i3x3 k5 s3", "1 to 4 taps reach outputs, most / fewest = 4"),
        ("c1>1 i3x3 k5x3 s2", "2 to 6 taps reach outputs, most / fewest = 3"),
        ("c1>1 i3x3 k4 s2 p1", "every output is reached by 4 taps: even"),
        ("c1>1 i3x3 k2 s2", "every output is reached by 1 tap: even"),
        ("c1>1 i2x3 k2 s3", "0 to 1 taps"),
    ],
)
def test_the_checkerboard_figure(problem: str, said: str) -> None:
    assert said in draw(Geometry.parse(problem), "coverage").description


def test_channels_are_joined_within_their_group() -> None:
    shapes = draw(Geometry.parse("c4>6 i3x3 k3 s2 g2"), "stamp").shapes
    lines = [s for s in shapes if isinstance(s, Stroke) and s.stroke.startswith("hue")]
    assert len(lines) == 2 * 2 * 3
    assert {s.stroke for s in lines if s.y1 == min(line.y1 for line in lines)} == {lines[0].stroke}
    assert len({s.stroke for s in lines}) == 2
    assert not any(
        s.stroke.startswith("hue") for s in draw(alone("i3x3 k3 s2"), "stamp").shapes if isinstance(s, Stroke)
    )


def test_reading_back_finds_what_is_there() -> None:
    """Kept honest by a drawing made by hand."""
    shapes = (Rect(0, 0, 10, 10, "cell"), Text(5, 5, "7", 4), Rect(0, 0, 10, 10, "both"))
    assert cells(shapes) == [Cell(5, 5, 10, "both", "7")]
    assert inside(shapes, Rect(6, 0, 4, 4)) == []
    with pytest.raises(ValueError):
        right_of_arrows(shapes)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("c1>1 i3x3 k4x3 s2x3", "each a stride-1 correlation"),
        ("c1>1 i3x3 k3 s2", "Phases differ in their number of taps"),
        (
            "c1>1 i3x3 k3x2 s2x3 d2x1",
            "4 have no tap, since stride and dilation share a factor and the kernel is",
        ),
        ("c1>1 i3x3 k3", "1 phase, a stride-1"),
    ],
)
def test_the_notes_of_phases(problem: str, said: str) -> None:
    told = draw(Geometry.parse(problem), "phases").description
    assert said in told
    assert ("differ" in told) == ("differ" in said)
