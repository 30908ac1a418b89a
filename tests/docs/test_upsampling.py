"""The guide to upsamplings: what it prints is what it shows, its costs, and its pictures."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
from typing import Any

import pytest

from tconv.geometry import Geometry
from tests import ROOT

GUIDES = ROOT / "docs" / "guides"
TEXT = (GUIDES / "upsampling.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pictures() -> dict[str, Any]:
    pytest.importorskip("torch", reason="the examples need PyTorch; install tconv[torch]")
    return runpy.run_path(str(ROOT / "docs" / "upsampling_pictures.py"))


def test_what_the_examples_print_is_shown() -> None:
    pytest.importorskip("torch", reason="the examples need PyTorch; install tconv[torch]")
    out = io.StringIO()
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(out):
        for block in re.findall(r"^```python\n((?s:.*?))^```$", TEXT, re.MULTILINE):
            exec(compile(block, "upsampling.md", "exec"), names)
    lines = out.getvalue().splitlines()
    assert len(lines) == 8 + 11
    assert [line for line in lines if f"\n{line}\n" not in TEXT] == []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("transposed, kernel 2", "k2 s2"),
        ("transposed, kernel 3", "k3 s2 p1 o1"),
        ("transposed, kernel 4", "k4 s2 p1"),
        ("the same, merged into one transposed layer", "k4 s2 p1"),
    ],
)
def test_the_costs_of_transposed_layers(row: str, problem: str) -> None:
    """Away from the borders: the growth from one map to the next larger one is all inside."""
    products = [Geometry.parse(f"n1 c1>1 i{n} {problem}").macs_exact for n in (8, 9)]
    per_axis = (products[1] - products[0]) / 2
    shown = re.search(rf"^\| {row} \| ([0-9.]+) \| (\d+)", TEXT, re.MULTILINE)
    assert shown is not None
    assert float(shown[1]) == per_axis**2
    assert int(shown[2]) == int(problem[1]) ** 2


def test_the_grids_are_what_is_drawn(pictures: dict[str, Any]) -> None:
    assert (GUIDES / "grids.svg").read_text(encoding="utf-8") == pictures["grids"]()


def test_the_picture_is_what_is_painted(pictures: dict[str, Any]) -> None:
    """Except for the font, and the last bits of a least-squares solution."""
    from PIL import Image, ImageChops, ImageStat

    painted = pictures["upsamplings"]()
    with Image.open(GUIDES / "upsamplings.png") as shown:
        assert shown.size == painted.size
        off = ImageChops.difference(shown.convert("RGBA"), painted)
    assert max(ImageStat.Stat(off).mean) < 1, "run `python docs/generate.py`"
