"""A document as Markdown: headings, tables, lists, and matrices in blocks of text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tconv.documents.cells import shown
from tconv.documents.document import (
    Code,
    Document,
    Entries,
    Figure,
    Figures,
    Findings,
    Item,
    Line,
    Matrix,
    Strip,
    Table,
)
from tconv.documents.text import strip
from tconv.errors import printable

__all__ = ["render"]


def render(document: Document, *, readable: bool = False) -> str:
    """The whole document, its title as a heading of level 2.

    `readable`: also to be read as text. Columns are aligned, and harmless characters are not escaped.
    """
    parts = [[f"## {_span(document.title)}"] if document.title else []]
    parts.append([_escaped(document.lead, readable)] if document.lead else [])
    for section in document.sections:
        parts.append([f"### {_escaped(section.title, readable)}"] if section.title else [])
        parts.extend(list(_lines(item, readable)) for item in section.items)
    return "\n\n".join("\n".join(part) for part in parts if part)


def _lines(item: Item, readable: bool) -> Iterator[str]:
    if isinstance(item, Line):
        yield _span(item.text) if item.formula else _escaped(item.text, readable)
    elif isinstance(item, Table):
        yield from _table(item, readable)
    elif isinstance(item, Matrix | Strip):
        yield "```text"
        yield from strip([item] if isinstance(item, Matrix) else item.matrices)
        yield "```"
    elif isinstance(item, Code):
        yield from _code(item, readable)
    elif isinstance(item, Entries):
        for head, text in item.entries:
            yield f"- {f'**{_escaped(head, readable)}**: ' if head else ''}{_escaped(text, readable)}"
    elif isinstance(item, Findings):
        yield f"**{item.code} {item.severity}: {_escaped(item.title, readable)}**"
        yield from ("", _escaped(item.meaning, readable), "")
        for names, text, fix in item.entries:
            told = f"- **{_escaped(names, readable)}**: {_escaped(text, readable)}"
            yield told if item.fix else f"{told} *Fix:* {_escaped(fix, readable)}"
        if item.fix:
            yield from ("", f"*Fix:* {_escaped(item.fix, readable)}")
    elif isinstance(item, Figures):
        for figure in item.figures:
            if isinstance(figure, Figure) and figure.picture.startswith("data:"):
                yield f"![{_escaped(figure.alt, readable)}]({figure.picture})"
            yield f"*{_escaped(figure.caption, readable)}*"


def _table(item: Table, readable: bool) -> Iterator[str]:
    rows = [[_escaped(name, readable) for name in item.columns]]
    for row in item.rows:
        codes = [item.kind(c) == "code" for c in range(len(row))]
        cells = zip(map(shown, row), codes, strict=True)
        rows.append([_span(cell) if code else _escaped(cell, readable) for cell, code in cells])
    widths = [max(map(len, column)) if readable else 0 for column in zip(*rows, strict=True)]
    if item.columns:
        yield _row(rows[0], widths)
        yield (
            f"|{'|'.join('-' * (w + 2) for w in widths)}|"
            if readable
            else _row(["---"] * len(widths), widths)
        )
    yield from (_row(row, widths) for row in rows[1:])
    for notes in item.notes:
        yield from (f"\n{_escaped(note, readable)}" for note in notes)
    if item.left_out:
        yield from ("", f"... and {item.left_out:,} more")


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"


def _span(text: str) -> str:
    """Code within a line: between more backticks than it holds; a bar of a table stays within its cell."""
    text = printable(text).replace("|", "\\|")
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks}{text}{ticks}" if len(ticks) == 1 else f"{ticks} {text} {ticks}"


def _escaped(text: str, readable: bool = False) -> str:
    """Characters that Markdown would take for emphasis, links, HTML or a table's bar, escaped."""
    if readable:
        return re.sub(r"[\\`*\[\]<|]|(?<!\w)_|_(?!\w)", r"\\\g<0>", printable(text))
    return re.sub(r"[\\`*_\[\]<>|#]", r"\\\g<0>", printable(text))


def _code(item: Code, readable: bool) -> Iterator[str]:
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", item.text)), default=0))
    yield from (f"{_escaped(item.name, readable)}:", "", f"{fence}text")
    yield from (*map(printable, item.text.splitlines()), fence)
    for note in item.notes:
        yield from ("", _escaped(note, readable))
