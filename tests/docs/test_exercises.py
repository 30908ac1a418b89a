"""Every exercise has one answer, and every answer has code that checks it; `test_docs` runs the code."""

from __future__ import annotations

import re

from tests import ROOT

TEXT = (ROOT / "docs" / "tutorials" / "exercises.md").read_text(encoding="utf-8")


def test_every_answer_is_checked() -> None:
    numbers = re.findall(r"^\*\*(\d+)\.\*\* ", TEXT, re.MULTILINE)
    assert numbers == [str(n) for n in range(1, len(numbers) + 1)]
    answers = re.findall(
        r"^<details><summary>Answer</summary>\n(.*?)^</details>$", TEXT, re.MULTILINE | re.DOTALL
    )
    assert len(answers) == len(numbers) == TEXT.count("<details>")
    for answer in answers:
        (code,) = re.findall(r"^```python\n((?s:.*?))^```$", answer, re.MULTILINE)
        assert "assert" in code


def test_the_confusion_matrix_is_the_tutorial_s() -> None:
    tutorial = (ROOT / "docs" / "tutorials" / "first_fcn.md").read_text(encoding="utf-8")
    rows = re.findall(r"^[a-zA-Z ]+?  +0\.\d{4} +((?:\d+ *){4})$", tutorial, re.MULTILINE)
    shown = [[int(number) for number in row.split()] for row in rows]
    asked = [
        [int(number) for number in row.split(",")]
        for row in re.findall(r"^        \[(\d+(?:, \d+){3})\],$", TEXT, re.MULTILINE)
    ]
    assert len(shown) == 4
    assert asked == shown
