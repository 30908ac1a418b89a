"""The guide's restored picture: its numbers are those of its own examples."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy", reason="SciPy is not installed")

from tconv.scipy import linear_operator
from tests import ROOT

GUIDE = ROOT / "docs" / "guides" / "restoration.md"


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """All that the examples of the page define."""
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n((?s:.*?))^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE):
        exec(compile(block, GUIDE.name, "exec"), names)
    return names


def test_the_table_holds_what_was_restored(made: dict[str, Any]) -> None:
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) dB \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name, _ in rows} == set(made["psnr"])
    for name, told in rows:
        assert abs(made["psnr"][name] - float(told)) < 0.1, name


def test_restoring_helps_and_transposing_does_not(made: dict[str, Any]) -> None:
    """Measured another way: the mean error of the picture, and what a camera would see of each answer."""
    truth = made["picture"][made["inner"]]
    error = {name: np.abs(panel - truth).mean() for name, panel in made["panels"].items()}
    assert error["restored"] < error["blurred"] / 1.5
    assert error["transposed"] > error["blurred"]
    A = linear_operator(made["weight"], made["problem"])
    seen = A @ made["restored"].y.ravel() - made["blurred"].ravel()
    np.testing.assert_allclose(np.linalg.norm(seen), made["restored"].residual, rtol=1e-6)
    assert np.abs(seen).max() < 5 * np.abs(made["noise"]).max()
