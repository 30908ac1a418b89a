"""What moves, step by step, and the numbers at the edges of grids."""

from __future__ import annotations

from itertools import pairwise, product
from math import prod

import numpy as np
import pytest

from tconv.drawing import draw
from tconv.drawing.shapes import Rect, Shape, Text
from tconv.geometry import Geometry
from tests.drawing.helpers import PLANE, cells, inside, outlines
from tests.views.helpers import dense


@pytest.mark.parametrize("problem", PLANE)
def test_phases_fill_in_one_after_another(problem: str) -> None:
    """Each frame adds the outputs of one phase, strong, and marks its taps and its sub-filter."""
    g = Geometry.parse(problem)
    picture = draw(Geometry.parse(problem), "phases", animated=True)
    full = list(product(*([p.residue for p in g.phases(a) if p.taps] for a in range(g.axes))))
    assert len(picture.frames) == len(full) + 1
    outputs = list(np.ndindex(*g.output))
    for n, (frame, newest) in enumerate(zip(picture.frames, full, strict=False)):
        (output,) = outlines(frame, "ink")
        for cell, o in zip(inside(frame, output), outputs, strict=True):
            residue = tuple((c + lo) % s for c, (lo, _), s in zip(o, g.padding, g.stride, strict=True))
            assert cell.text == (",".join(map(str, residue)) if residue in full[: n + 1] else "")
            assert cell.fill.endswith(".strong") == (residue == newest)
        strong = {cell.text for cell in cells(frame) if cell.fill.endswith(".strong") and cell.text[0] == "w"}
        taps = product(*(dict(g.phases(a)[r].taps) for a, r in enumerate(newest)))
        assert strong == {"w" + ",".join(map(str, tap)) for tap in taps}
    still = draw(Geometry.parse(problem), "phases")
    assert set(cells(still.shapes)) == set(cells(picture.frames[-1]))


@pytest.mark.parametrize("problem", ["c1>1 i2x2 k3", "c1>1 i5 k4 s2 p1", "c1>1 i2x2x2 k2"])
def test_matrices_fill_in_row_after_row(problem: str) -> None:
    g = Geometry.parse(problem)
    wanted = dense(np.arange(1, prod(g.kernel) + 1).reshape(g.kernel), g) > 0  # outputs x inputs
    picture = draw(g, "matrix", animated=True)
    assert len(picture.frames) == prod(g.input) + 1
    papers = {
        n: [s for s in f if isinstance(s, Rect) and s.fill == "blank"] for n, f in enumerate(picture.frames)
    }
    for n, frame in enumerate(picture.frames):
        for paper, matrix, rows in zip(papers[n], (wanted.T, wanted), (True, False), strict=True):
            size = paper.width / matrix.shape[1]
            found = np.zeros(matrix.shape, bool)
            for cell in inside(frame, paper):
                if cell.fill != "blank":
                    found[int((cell.y - paper.y) / size), int((cell.x - paper.x) / size)] = True
            until = (slice(n + 1), slice(None)) if rows else (slice(None), slice(n + 1))
            expected = np.zeros_like(matrix)
            expected[until] = matrix[until]
            assert found.tolist() == expected.tolist()
        marks = outlines(frame, "ink")
        assert len(marks) == (2 if n < prod(g.input) else 0)
        for mark, paper, along in zip(marks, papers[n], ("y", "x"), strict=False):
            side = min(mark.width, mark.height)
            assert (getattr(mark, along) - getattr(paper, along)) / side == pytest.approx(n)


def numbered(shapes: tuple[Shape, ...], title: str) -> tuple[dict[str, float], dict[str, float]]:
    """The numbers at the rows and columns of the grid below a title, each with where it stands."""
    words = [s for s in shapes if isinstance(s, Text)]
    (head,) = (s for s in words if s.text == title or s.text.startswith((f"{title},", f"{title}:")))
    end = min([s.x for s in words if s.size == 12 and s.y == head.y and s.x > head.x], default=1e9)
    columns = [s for s in words if s.size == 8 and s.y == head.y + 16 and head.x < s.x < end]
    rows = [
        s for s in words if s.size == 8 and s.anchor == "end" and head.x - 6 < s.x < head.x and s.y > head.y
    ]
    return {s.text: s.y for s in rows}, {s.text: s.x for s in columns}


@pytest.mark.parametrize("problem", PLANE)
@pytest.mark.parametrize("view", ["stamp", "phases", "zeros", "coverage"])
def test_rows_and_columns_of_the_output_are_numbered(view: str, problem: str) -> None:
    """Cropped cells are not: the numbers are the indices of the output."""
    g = Geometry.parse(problem)
    shapes = draw(g, view).shapes
    rows, columns = numbered(shapes, f"output {'x'.join(map(str, g.output))}")
    assert list(columns) == [str(n) for n in range(g.output[-1])]
    assert list(rows) == ([str(n) for n in range(g.output[0])] if g.axes == 2 else [])
    if view in ("stamp", "phases"):
        (frame,) = outlines(shapes, "ink")
        shown = inside(shapes, frame)
        assert list(columns.values()) == pytest.approx([c.x for c in shown[: g.output[-1]]])
        assert list(rows.values()) == pytest.approx([c.y for c in shown[:: g.output[-1]]][: len(rows)])


def test_the_window_of_an_output_begins_at_its_number() -> None:
    shapes = draw(Geometry.parse("c1>1 i3x3 k3 s2 p3:1"), "zeros").shapes
    (window,) = outlines(shapes, "kernel.strong")
    rows, columns = numbered(shapes, "input with zeros")
    assert window.x + 15 == pytest.approx(columns["1"])  # the middle output is 1, 1
    assert window.y + 15 == pytest.approx(rows["1"])


@pytest.mark.parametrize(
    ("problem", "numbers"),
    [("i3x3 k3 s2", range(7)), ("i17 k3 s2", range(35)), ("i24x24 k3 s2", range(0, 49, 2))],
)
def test_small_cells_have_fewer_numbers(problem: str, numbers: range) -> None:
    shapes = draw(Geometry.parse(f"c1>1 {problem}"), "coverage").shapes
    columns = [s for s in shapes if isinstance(s, Text) and s.size == 8 and s.anchor == "middle"]
    assert [s.text for s in columns] == [str(n) for n in numbers]
    assert all(b.x - a.x >= 15 for a, b in pairwise(columns))
