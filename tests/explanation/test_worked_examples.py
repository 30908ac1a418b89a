"""The worked examples of the documentation are what the command prints.

`python -m tests.explanation.test_worked_examples` writes them anew.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex

from tconv.cli import main
from tests import ROOT

DOCUMENT = ROOT / "docs/explanation/worked_examples.md"
PRINTED = re.compile(
    r"(```console\n\$ tconv (?P<words>[^\n]*)\n```\n\n<!-- printed -->\n).*?(<!-- /printed -->)", re.DOTALL
)


def printed(match: re.Match[str]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(shlex.split(match["words"])) == 0
    return f"{match[1]}\n{out.getvalue()}\n{match[3]}"


def test_examples_are_what_the_command_prints() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert len(PRINTED.findall(text)) == 2
    assert PRINTED.sub(printed, text) == text


def test_the_literature_s_numbers_are_in_them() -> None:
    tensorflow, fcn = DOCUMENT.read_text(encoding="utf-8").split("## FCN")
    answer = "1 1  3 2\n1 1  3 2\n4 4 10 6\n3 3  7 4\n"
    assert tensorflow.count(f"the output\n{answer}") == 5
    assert "1 1  3 2    1 1  3 2    1 1  3 2    1 1  3 2    1 1  3 2" in tensorflow
    ends = [
        "0.5625 0.9375 1.3125 1.6875 2.0625 1.6875\n",
        "3.9375 5.4375 5.8125 6.1875 6.5625 5.0625\n",
    ]
    for row in ends:
        assert fcn.count(f"\n{row}") >= 5


if __name__ == "__main__":
    DOCUMENT.write_text(PRINTED.sub(printed, DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
