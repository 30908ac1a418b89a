"""Drawings equal to the last byte to those that were looked at.

`python -m tests.drawing.test_golden` draws them anew after a wanted change: look at each before you commit.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tconv.drawing import draw, load, svg
from tconv.geometry import Geometry

FOLDER = Path(__file__).parent / "golden"
#: Name -> view, problem, weights, whether it moves.
DRAWINGS: dict[str, tuple[str, str, str | None, bool]] = {
    "stamp_k3_s2": ("stamp", "n1 c1>1 i3x3 k3 s2", None, False),
    "stamp_bilinear": ("stamp", "n1 c1>1 i3x3 k4 s2 p1", "bilinear", False),
    "stamp_line": ("stamp", "n1 c1>1 i5 k4 s2 p1", None, False),
    "stamp_sides": ("stamp", "n1 c1>1 i3x3 k4x3 s2 p0:1x1:2", None, False),
    "stamp_negative": ("stamp", "n1 c1>1 i2x3 k3 s2 p-1", None, False),
    "stamp_dilated": ("stamp", "n1 c1>1 i3x3 k3 s3 d2", None, False),
    "stamp_gaps": ("stamp", "n1 c1>1 i2x3 k2 s3", None, False),
    "stamp_cube": ("stamp", "n1 c1>1 i2x2x2 k3 s2", None, False),
    "stamp_groups": ("stamp", "n1 c4>4 i3x3 k3 s2 g2", None, False),
    "stamp_moving": ("stamp", "n1 c1>1 i2x2 k3 s2 p0:1", None, True),
    "zeros_k3": ("zeros", "n1 c1>1 i2x2 k3", None, False),
    "zeros_k4_s2": ("zeros", "n1 c1>1 i3x3 k4 s2 p1", None, False),
    "zeros_line": ("zeros", "n1 c1>1 i5 k4 s2 p1", None, False),
    "zeros_cut": ("zeros", "n1 c1>1 i3x3 k3 s2 p3:1", None, False),
    "zeros_moving": ("zeros", "n1 c1>1 i2 k3 s2", None, True),
    "phases_k3_s2_o1": ("phases", "n1 c1>1 i4x4 k3 s2 p1 o1", None, False),
    "phases_gaps": ("phases", "n1 c1>1 i2x3 k2 s3", None, False),
    "phases_moving": ("phases", "n1 c1>1 i2 k3 s2 p0:1", None, True),
    "matrix_moving": ("matrix", "n1 c1>1 i3 k3 s2", None, True),
    "matrix_k3": ("matrix", "n1 c1>1 i2x2 k3", None, False),
    "matrix_k4_s2": ("matrix", "n1 c1>1 i5 k4 s2 p1", None, False),
    "coverage_k3_s2": ("coverage", "n1 c1>1 i4x4 k3 s2 p1 o1", None, False),
    "coverage_cube": ("coverage", "n1 c1>1 i2x2x2 k3 s2", None, False),
    "filter_ones": ("filter", "n1 c1>1 i3x3 k3 s2", None, False),
    "filter_bilinear_line": ("filter", "n1 c1>1 i5 k4 s2 p1", "bilinear", False),
}


def drawn(name: str) -> str:
    view, problem, weights, moving = DRAWINGS[name]
    geometry = Geometry.parse(problem)
    kernel = None if weights is None else load(weights, geometry)
    return svg(draw(geometry, view, weights=kernel, animated=moving))


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawing_is_the_one_that_was_looked_at(name: str) -> None:
    assert drawn(name) == (FOLDER / f"{name}.svg").read_text(encoding="utf-8")


def test_no_golden_drawing_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.svg")} == set(DRAWINGS)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.svg"):
        path.unlink()
    for name in DRAWINGS:
        (FOLDER / f"{name}.svg").write_text(drawn(name), encoding="utf-8")
        print(FOLDER / f"{name}.svg")
