"""The page's JavaScript says what Python says: of every problem of cases.txt, and of nonsense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tconv.testing import load_cases
from tests.page.golden import NONSENSE, drawn, fault, golden
from tests.page.helpers import address, browser, page

__all__ = ["address", "browser", "page"]

DESCRIBE = Path(__file__).with_name("golden.js").read_text(encoding="utf-8")


def test_geometry_is_pythons(page: Any) -> None:
    cases = load_cases()
    said = page.evaluate(DESCRIBE, [str(geometry) for _, geometry in cases])
    assert len(said) == len(cases) >= 120
    for (name, geometry), facts in zip(cases, said, strict=True):
        assert facts == golden(geometry), name


def test_problems_drawn_at_random_are_pythons(page: Any) -> None:
    problems = drawn(400, seed=0)
    for geometry, facts in zip(problems, page.evaluate(DESCRIBE, list(map(str, problems))), strict=True):
        assert facts == golden(geometry), geometry


def test_faults_are_pythons(page: Any) -> None:
    said = page.evaluate(DESCRIBE, NONSENSE)
    for text, line in zip(NONSENSE, said, strict=True):
        assert line == fault(text), text
