"""The guides about diagnosis tell the truth: the picture and the codes are the code's."""

from __future__ import annotations

import re

import numpy as np

from tconv.diagnosis import CODES, diagnose
from tconv.diagnosis.pictures import answers
from tconv.drawing import svg
from tests import ROOT

GUIDES = ROOT / "docs" / "guides"


def test_the_picture_is_that_of_the_example() -> None:
    weight = np.random.default_rng(0).normal(size=(16, 3, 4, 4)).astype(np.float32)
    report = diagnose("n1 c16>3 i32x32 k4 s2 p1", weight)
    (entry,) = report.layers
    drawn = svg(answers(entry.layer, entry.measures, report.fix()["weight"]))
    shown = (GUIDES / "checkerboard.svg").read_text(encoding="utf-8")
    words = re.findall(r">([^<>]+)</text>", drawn)
    assert len(words) > 2 * 12 * 12
    assert re.findall(r">([^<>]+)</text>", shown) == words


def test_the_table_of_codes_is_whole() -> None:
    text = (GUIDES / "diagnosis.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (T\d+) \| (\w+) \|", text, re.MULTILINE)
    assert rows == [(name, code.severity) for name, code in CODES.items()]


def test_the_shown_report_is_what_is_printed() -> None:
    text = (GUIDES / "checkerboards.md").read_text(encoding="utf-8")
    printed = str(diagnose("n1 c64>3 i64x64 k3 s2 p1 o1"))
    shown = text.split("  ...\n")[1].split("```")[0]
    assert shown in printed + "\n"


def test_the_shown_counts() -> None:
    numbers = diagnose("n1 c8>4 i10x10 k4 s2 p1").as_dict()["layers"][0]["multiplications"]
    text = (GUIDES / "diagnosis.md").read_text(encoding="utf-8")
    for kind in ("zero_insertion", "nominal", "exact"):
        assert f"{numbers[kind]:,}" in text
