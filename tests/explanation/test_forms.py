"""How an explanation is printed: text, Markdown, JSON, and the command `tconv explain`."""

from __future__ import annotations

import json
import re

import pytest

import tconv
from tconv.cli import main
from tconv.documents import Code, Line, Matrix, Section, Strip, Table
from tconv.documents.text import grid, strip
from tconv.explanation import SECTIONS, Explanation
from tconv.geometry import Geometry
from tconv.testing import load_cases

CASES = [pytest.param(g, id=name) for name, g in load_cases()]
HUGE = [
    "n8 c4096>4096 i512x512x512 k4 s2 p1",
    "n1 c1>1 i600000 k1024 s1",
    "n1 c3>3 i2x2 k3 s400000 g3",
    "n1 c1>1 i10 k300000",
    "n1 c2050>1 i340 k4096 s1024",
]


def run(*words: str) -> int:
    try:
        return main(["explain", *words])
    except SystemExit as end:
        return int(end.code or 0)


class TestText:
    @pytest.mark.parametrize("geometry", CASES)
    def test_80_columns_are_enough(self, geometry: Geometry) -> None:
        explained = tconv.explain(geometry)
        items = [item for part in explained.sections for item in part.items]
        code = [row for item in items if isinstance(item, Code) for row in item.text.splitlines()]
        wide = [row for row in str(explained).splitlines() if len(row) > 80 and row[6:] not in code]
        assert wide == []

    @pytest.mark.parametrize("problem", HUGE)
    def test_huge_layers_stay_short(self, problem: str) -> None:
        text = str(tconv.explain(Geometry.parse(problem)))
        assert text.count("\n") < 300
        assert "too large to be read" in text

    def test_left_out_is_said(self) -> None:
        explained = tconv.explain(Geometry.parse("n1 c1>1 i2x2 k64 s32"))
        assert "... and 48 more" in str(explained)  # of 2 * 32 phases
        assert explained.data()["sections"]["phases"]["rows_left_out"] == {"phases": 48}

    def test_printing_it_is_the_text(self) -> None:
        explained = tconv.explain(Geometry.parse("n1 c1>1 i3 k3"), only=["size"])
        assert str(explained) == repr(explained) == explained.text()
        assert str(explained).startswith("n1 c1>1 i3 k3\n\nSize of the output\n------------------\n")

    def test_a_matrix_that_is_too_wide_loses_its_middle(self) -> None:
        matrix = Matrix.of("m", "m", (2, 60), lambda r, c: 100 * r + c, most=(9, 60))
        assert grid(matrix, 400)[0] == ["m"]
        caption, lines = grid(matrix, 60)
        assert caption == ["m (2 x 60 in all)"]
        assert max(map(len, lines)) <= 60
        assert lines[0].startswith("  0   1   2")
        assert lines[1].endswith("158 159")
        assert all(" ... " in line for line in lines)

    def test_rows_begin_on_one_line(self) -> None:
        pair = [Matrix.of("m", caption, (1, 1), lambda r, c: 7) for caption in ("far " * 10, "near")]
        assert list(strip(pair)) == [
            "far far far far far far far far    near",
            "far far",
            "7                                  7",
        ]

    def test_rows_and_columns_that_are_left_out(self) -> None:
        matrix = Matrix.of("m", "m", (9, 9), lambda r, c: 10 * r + c, most=(4, 4), names=(range(9), range(9)))
        assert matrix.shortened
        caption, lines = grid(matrix)
        assert caption == ["m (9 x 9 in all)"]
        assert lines == [
            "     0  1 ...  7  8",
            "    ---------------",
            "0 |  0  1 ...  7  8",
            "1 | 10 11 ... 17 18",
            "  | ...",
            "7 | 70 71 ... 77 78",
            "8 | 80 81 ... 87 88",
        ]


class TestMarkdown:
    @pytest.mark.parametrize("geometry", CASES)
    def test_tables_and_blocks_are_whole(self, geometry: Geometry) -> None:
        explained = tconv.explain(geometry)
        text = explained.markdown()
        assert text.startswith(f"## `{geometry}`\n\n### Size of the output\n")
        items = [item for part in explained.sections for item in part.items]
        assert text.count("\n```") == 2 * sum(isinstance(item, Matrix | Strip | Code) for item in items)
        assert text.count("| --- |") >= sum(isinstance(item, Table) for item in items)
        for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}) == 1

    def test_signs_of_markdown_are_plain(self) -> None:
        text = tconv.explain(Geometry.parse("n1 c1>1 i3 k3"), only=["cells"]).markdown()
        assert r"y\[2\] = x\[2\]\*a + x\[1\]\*b + x\[0\]\*c" in text

    def test_a_border_in_a_cell_is_no_border(self) -> None:
        table = Table("t", ("a|b",), (("c|d <e>",),))
        explained = Explanation("p", (Section("s", "S", (table, Line("f * g", formula=True))),))
        wanted = ["## `p`", "### S", "| a\\|b |\n| --- |\n| c\\|d \\<e\\> |", "`f * g`"]
        assert explained.markdown().split("\n\n") == wanted

    def test_notebooks_show_it(self) -> None:
        explained = tconv.explain(Geometry.parse("n1 c1>1 i3 k3"), only=["size"])
        assert explained._repr_markdown_() == explained.markdown()


class TestJson:
    @pytest.mark.parametrize("geometry", CASES)
    def test_it_is_json(self, geometry: Geometry) -> None:
        data = tconv.explain(geometry).data()
        assert json.loads(json.dumps(data, allow_nan=False)) == data
        assert data["problem"] == str(geometry)
        assert list(data["sections"]) == list(SECTIONS)

    def test_numbers_are_numbers(self) -> None:
        g = Geometry.parse("n1 c1>1 i3x3 k4 s2 p1")
        data = tconv.explain(g, values=("count", "bilinear")).data()["sections"]
        assert data["size"]["tables"]["axes"][0]["output"] == 6
        assert data["size"]["tables"]["shapes"][2]["shape"] == [1, 1, 6, 6]
        assert data["coverage"]["tables"]["evenness"][1]["most / fewest"] == 2
        found = {m["name"]: m for m in data["values-answer"]["matrices"]}
        assert found["phases"]["values"][0] == [0.5625, 0.9375, 1.3125, 1.6875, 2.0625, 1.6875]
        stretched = next(m for m in data["values-zeros"]["matrices"] if m["name"] == "stretched")
        assert stretched["values"][2] == [0, 0, 1, 0, 2, 0, 3, 0, 0]
        assert set(data["frameworks"]["code"]) >= {"pytorch", "keras", "onnx"}


class TestCommand:
    def test_text_markdown_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        explained = tconv.explain(Geometry.parse("n1 c1>1 i5x5 k3 s2 p1"), output=(3, 4), input_cell=(1, 1))
        words = ["n1 c1>1 i5x5 k3 s2 p1", "--output", "3,4", "--input-cell", "1,1"]
        for form, wanted in (([], explained.text()), (["--markdown"], explained.markdown())):
            assert run(*words, *form) == 0
            assert capsys.readouterr() == (f"{wanted}\n", "")
        assert run(*words, "--json") == 0
        assert json.loads(capsys.readouterr().out) == explained.data()

    def test_only(self, capsys: pytest.CaptureFixture[str]) -> None:
        words = ("n1 c1>1 i2x2 k3 s2 p0:1", "--values", "-1,2;3,4", "ones", "--json")
        assert run(*words, "--only", "work,values") == 0
        found = json.loads(capsys.readouterr().out)["sections"]
        assert list(found) == [
            *("work", "values", "values-stamp", "values-zeros", "values-matrix", "values-gradient"),
            *("values-phases", "values-answer"),
        ]
        assert found["values-answer"]["matrices"][0]["values"][0] == [-1, -1, 1, 2]

    @pytest.mark.parametrize(
        ("framework", "call", "problem"),
        [
            ("keras", "Conv2DTranspose(8, 3, strides=2, padding='same')", "n1 c4>8 i5x5 k3 s2 p0:1"),
            ("pytorch", "nn.ConvTranspose2d(4, 8, 3, 2, 1)", "n1 c4>8 i5x5 k3 s2 p1"),
        ],
    )
    def test_any_framework_s_call(
        self, framework: str, call: str, problem: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["--from", framework, call, "--input", "5x5"]
        if framework == "keras":
            words += ["--channels", "4"]
        assert run(*words, "--only", "size") == 0
        out = capsys.readouterr().out
        assert out.startswith(
            f"{problem}\n\nThe call\n--------\n  {framework}:\n      {call}\n\n  is {problem}\n"
        )
        assert "Size of the output" in out

    def test_what_was_assumed_is_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--from", "keras", "Conv2DTranspose(8, 3)", "--input", "5x5", "--only", "size") == 0
        assert "input channels: 1 assumed" in capsys.readouterr().out

    def test_the_reading_can_be_chosen(self, capsys: pytest.CaptureFixture[str]) -> None:
        node = 'ConvTranspose(kernel_shape=[3], strides=[2], auto_pad="SAME_UPPER", output_shape=[10])'
        words = ("--from", "onnx", node, "--input", "5", "--only", "size", "--json")
        found = []
        for runtime in ("onnxruntime", "openvino"):
            assert run(*words, "--reading", runtime) == 0
            found.append(json.loads(capsys.readouterr().out)["problem"])
        assert found == ["n1 c1>1 i5 k3 s2 p0:1", "n1 c1>1 i5 k3 s2 p1:0"]

    WRONG = (
        ([""], "c (channels) and i (input) and k (kernel) missing"),
        ([], "the following arguments are required: PROBLEM"),
        (["n1 c1>1 i3 k0"], "kernel 0 on axis 0; it must be at least 1"),
        (["c1>1 i1000000000 k3"], "input 1000000000 on axis 0 is too large to count"),
        (["c1>1 i3 k1000000000"], "is too large to count"),
        (["c1>1 i3x3x3x3 k1"], "the input has 4 spatial axes"),
        (["c1>1 i3 k3", "--output", "9"], "no output 9 on axis 0; 0 to 4 would fit"),
        (["c1>1 i3 k3", "--output", "x"], "argument --output: cannot read 'x'"),
        (["c1>1 i3 k3", "--input-cell", "1,1"], "has 2 entries; give one int, or 1"),
        (["c1>1 i3 k3", "--only", "sise"], "did you mean 'size'?"),
        (["c1>1 i3 k3", "--only", "values"], "section 'values' is unknown"),
        (["c1>1 i3 k3", "--only", ""], "section '' is unknown"),
        (["c1>1 i3 k3", "--values", "1,2", "ones"], "X has shape (2,); (1, 1, 3) would fit"),
        (["c1>1 i3 k3", "--values", "nan,1,2", "ones"], "X: cannot read 'nan,1,2'"),
        (["c1>1 i3 k3", "--input", "5"], "--input was given without --from"),
        (["c1>1 i3 k3", "--json", "--markdown"], "not allowed with argument --json"),
        (
            ["nn.ConvTranspose2d(3, 8, 3)", "--input", "5x5"],
            "a framework's call; --from pytorch",
        ),
        (["--from", "kears", "x"], "'kears' is unknown; did you mean 'keras'?"),
        (["--from", "keras", "Conv2DTranspose(8, 3)"], "--from needs the input's spatial sizes"),
        (["--from", "keras", "", "--input", "5"], "tconv explain: "),
        (["--from", "keras", "Conv2DTranspose(8,", "--input", "5x5"], "tconv explain: "),
        (["--from", "keras", "Conv2DTranspose(8, 3)", "--input", "5xx"], "--input: cannot read '5xx'"),
        (
            ["--from", "keras", "Conv2DTranspose(8, 3)", "--input", "5x5", "--channels", "a"],
            "cannot read 'a'",
        ),
        (["--from", "keras", "Conv2DTranspose(8, 3)", "--input", "5x5", "--batch", "-1"], "batch"),
        (["--from", "onnx", "ConvTranspose()", "--input", "5", "--reading", "x"], "='x' is unknown for onnx"),
    )

    @pytest.mark.parametrize(("words", "message"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
    def test_a_fault_is_one_line_and_exit_2(
        self, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(*words) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert message in captured.err
        assert captured.err.count("\n") == 1
        assert captured.err.startswith("tconv explain: ")
