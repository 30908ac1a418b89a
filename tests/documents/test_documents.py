"""A report is data, printed four ways: what each renderer makes of each item, and of a hostile name."""

from __future__ import annotations

import io
import json
import re
import sys
from html.parser import HTMLParser

import pytest

from tconv.documents import (
    Bars,
    Code,
    Document,
    Entries,
    Figure,
    Figures,
    Findings,
    Legend,
    Line,
    Mark,
    Matrix,
    Section,
    Strip,
    Table,
    Tally,
    Tiles,
    data,
    html,
    markdown,
    terminal,
    text,
)
from tconv.errors import TconvError, clean, printable, unknown

PNG = "data:image/png;base64,AAAA"
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><path d=""/></svg>'
HOSTILE = "up\x1b]0;mine\x07\x1b[2J\n\u202egnp<script>alert(1)</script>|`x`\x9b"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def everything(name: str) -> Document:
    """A document of every kind of item, with `name` wherever a string may stand."""
    figure = Figure(PNG, name, name)
    many = Table(name, (name, "n"), ((name, 3), (Mark(name, "best", "red"), None)), 9, ("name", "number"))
    noted = Table("t", ("layer", "told"), ((name, name),), kinds=("code", "words"), notes=((name,),))
    items = (
        *(Line(name), Line(name, formula=True), many, noted),
        Table(
            "wide",
            ("layer", "a", "b"),
            ((name, name * 3, name),),
            stacked=True,
            kinds=("name", "words", "words"),
        ),
        Matrix.of(name, name, (2, 2), lambda r, c: name, names=([name] * 2, [name] * 2)),
        Strip((Matrix.of("m", name, (1, 1), lambda r, c: 1),)),
        Code(name, f"{name}\n```\n", (name,)),
        Entries(((name, name), ("", name))),
        Findings("T101", "warning", name, name, ((name, name, name),)),
        Findings("T102", "error", name, name, ((name, name, ""),), name),
        Figures((figure, Figure(SVG, name), Tiles((name,), ((PNG,),), name, name)), name, name, "row", name),
        Tally(((name, name, "red"),)),
        Legend(((name, "red"),)),
        Bars(((name, ((name, 0.5, "red"),)),)),
    )
    return Document(name, (Section("all", name, items), Section("more", "", items)), name, name)


class Page(HTMLParser):
    """The elements of a page, closed in order, and its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, words: str) -> None:
        self.words += words


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "70")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


class TestAHostileName:
    def test_text_and_markdown_hold_nothing_that_a_terminal_obeys(self) -> None:
        for printed in (text.render(everything(HOSTILE)), markdown.render(everything(HOSTILE))):
            assert OBEYED.search(printed) is None
            assert printed.count(r"\x1b[2J") + printed.count(r"\x1b\[2J") > 20
        assert OBEYED.search(markdown.render(everything(HOSTILE), readable=True)) is None

    def test_in_markdown_it_is_neither_html_nor_a_border_nor_the_end_of_code(self) -> None:
        for readable in (False, True):
            printed = markdown.render(everything(HOSTILE), readable=readable)
            blocks = re.sub(r"^(`{3,})text\n(?s:.*?)\n\1$", "", printed, flags=re.MULTILINE)
            for line in blocks.splitlines():
                outside = re.sub(r"(`+) ?.*? ?\1", "", line)
                assert not re.search(r"(?<!\\)<", outside), line
            rows = [row for row in printed.splitlines() if row.startswith("| ")]
            assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3, 4}
            # Code is fenced by more backticks than it holds.
            assert re.search(r"^````text\n(?:.*\n)*?```\n````$", printed, re.MULTILINE)

    def test_in_html_it_is_words_alone(self) -> None:
        pytest.importorskip("jinja2", reason="pages need Jinja2")
        page = html.render(everything(HOSTILE))
        assert not Page(page).tags & {"script", "link", "iframe", "object", "embed"}
        assert OBEYED.search(page) is None
        assert page.count("&lt;script&gt;") > 30
        assert "http" not in page.replace("http://www.w3.org/2000/svg", "")

    def test_json_is_escaped(self) -> None:
        made = data.render(everything(HOSTILE))
        printed = json.dumps(made)
        assert json.loads(printed) == made
        assert OBEYED.search(printed) is None

    def test_on_a_terminal_only_our_own_colours_are_obeyed(self, shown: Terminal) -> None:
        pytest.importorskip("rich", reason="terminals need rich")
        terminal.show(everything(HOSTILE), shown)
        printed = shown.getvalue()
        assert "\x1b[1m" in printed
        assert OBEYED.search(re.sub(r"\x1b\[[0-9;]*m", "", printed)) is None

    def test_in_errors(self) -> None:
        assert OBEYED.search(str(unknown("layer", HOSTILE, [HOSTILE, "down"]))) is None
        assert OBEYED.search(str(unknown("layer", "x", [HOSTILE, "down"]))) is None
        assert clean(HOSTILE).startswith("up" + r"\x1b]0;mine\x07\x1b[2J\n\u202egnp")
        assert printable(printable(HOSTILE)) == printable(HOSTILE)


class TestTables:
    HEAD = ("layer", "problem", "share")
    KINDS = ("name", "code", "number")

    def test_numbers_stand_to_the_right_under_a_rule(self) -> None:
        table = Table("t", self.HEAD, (("up", "n1 c1>1 i3 k3", "5%"),), kinds=self.KINDS)
        alone = Document("m: n", (Section("s", "", (table,)),))
        assert text.render(alone).splitlines() == [
            "m: n",
            "",
            "layer  problem        share",
            "---------------------------",
            "up     n1 c1>1 i3 k3     5%",
        ]
        titled = Document("", (Section("s", "S", (table,)),))
        assert text.render(titled).splitlines()[:3] == ["S", "-", "  layer  problem        share"]

    def test_a_name_is_never_cut(self) -> None:
        rows = tuple((f"{'long.' * 12}{i}", f"n1 c{i}>1 i3x3 k3x3 s2", f"{i}%") for i in range(2))
        lines = [*text.lines(Table("t", self.HEAD, rows, kinds=self.KINDS), 80)]
        assert lines == [
            "layer",
            "  problem               share",
            f"{'long.' * 12}0",
            "  n1 c0>1 i3x3 k3x3 s2     0%",
            f"{'long.' * 12}1",
            "  n1 c1>1 i3x3 k3x3 s2     1%",
        ]

    def test_words_are_wrapped_and_notes_stand_below(self) -> None:
        table = Table(
            "t", ("layer", "why"), (("up", "because of this and that"), ("b", "-")),
            kinds=("name", "words"), notes=(("a note",), ()),
        )  # fmt: skip
        assert [*text.lines(table, 25)] == [
            "layer  why",
            "up     because of this",
            "       and that",
            "       a note",
            "b      -",
        ]

    def test_sentences_are_stacked(self) -> None:
        table = Table("t", ("layer", "one", "other"), (("up", "x y", "z"),), stacked=True)
        assert [*text.lines(table, 40)] == ["up", "  one:   x y", "  other: z"]

    def test_readable_markdown_lines_up(self) -> None:
        table = Table("t", ("layer", "problem"), (("a_b", "n1 c2>1"),), kinds=("name", "code"))
        document = Document("", (Section("s", "", (table, Line("f32_phases__avx512, c2>1"))),))
        assert markdown.render(document, readable=True) == (
            "| layer | problem   |\n|-------|-----------|\n| a_b   | `n1 c2>1` |\n\nf32_phases__avx512, c2>1"
        )
        assert "a\\_b" in markdown.render(document)


class TestTerminal:
    def test_what_is_no_terminal_gets_plain_text(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        file = io.StringIO()
        terminal.show(everything("up"), file)
        assert file.getvalue() == text.render(everything("up")) + "\n"

    def test_without_rich_a_terminal_gets_plain_text(
        self, shown: Terminal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(terminal, "find_spec", lambda name: None)
        terminal.show(everything("up"), shown)
        assert shown.getvalue() == text.render(everything("up")) + "\n"

    def test_no_color(self, shown: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("rich", reason="terminals need rich")
        monkeypatch.setenv("NO_COLOR", "1")
        terminal.show(everything("up"), shown)
        assert "\x1b" not in shown.getvalue()
        assert "T101 warning: up" in shown.getvalue()

    def test_a_finding_has_the_colour_of_its_severity_whatever_its_words(self, shown: Terminal) -> None:
        pytest.importorskip("rich", reason="terminals need rich")
        entries = (("up", "why", "fix"),)
        found = [
            Findings("T1", "note", "an error: told", "m", entries),
            Findings("T2", "error", "a note: told", "m", entries),
        ]
        terminal.show(Document("", (Section("s", "", tuple(found)),)), shown)
        heads = [line for line in shown.getvalue().splitlines() if "told" in line]
        blue, red = "\x1b[34m", "\x1b[1;31m"
        assert [line.startswith(colour) for line, colour in zip(heads, (blue, red), strict=True)] == [
            True
        ] * 2

    def test_lines_keep_to_the_width(self, shown: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("rich", reason="terminals need rich")
        monkeypatch.setenv("COLUMNS", "44")
        prose = Line("a sentence of several words " * 9)
        table = Table(
            "t",
            ("layer", "problem", "n"),
            ((f"{'up' * 9}", "n1 c1>1 i3x3 k3x3 s2", "3"),),
            kinds=("name", "code", "number"),
        )
        terminal.show(Document("m", (Section("s", "S", (prose, table)),)), shown)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue()).splitlines()
        assert max(map(len, lines)) <= 44
        assert any("up" * 9 in line for line in lines)  # whole


def test_a_page_without_jinja2_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    html._page.cache_clear()
    with pytest.raises(
        TconvError, match=r"^a page needs Jinja2, which is not installed: pip install 'tconv\[html\]'$"
    ):
        html.check()


def test_a_section_that_is_not_there() -> None:
    with pytest.raises(TconvError, match=r"^section 'al' is unknown; did you mean 'all'\?$"):
        everything("up")["al"]


def test_a_bar_is_shown_on_a_terminal_only(shown: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich", reason="terminals need rich")
    for stream in (shown, io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        with terminal.progress("roof", 2) as step:
            for name in ("[red]one", HOSTILE):
                step(name)
        if stream is not shown:
            assert stream.getvalue() == ""
    printed = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue())
    assert re.search(r"roof +\S+ 0/2(?s:.*)\[red\]one +\S+ 0/2(?s:.*) 1/2", printed)
    assert OBEYED.search(printed.replace("\r", "\n")) is None
