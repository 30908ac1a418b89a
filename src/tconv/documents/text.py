"""A document as plain text, at most 80 columns wide where it can be.

A string cannot control the terminal, whatever it holds: every line goes through `printable`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from tconv.documents.cells import shown
from tconv.documents.document import (
    Code,
    Document,
    Entries,
    Findings,
    Item,
    Line,
    Matrix,
    Strip,
    Table,
    ends,
)
from tconv.errors import printable

__all__ = ["WIDTH", "body", "fits", "grid", "headline", "lines", "render", "strip"]

WIDTH = 80
_INDENT = "  "
_ROOM = WIDTH - len(_INDENT)
_LEAST = 16  # characters of a column of words


def render(document: Document, width: int = WIDTH) -> str:
    """The whole document, without pictures and what only a page needs."""
    parts = [[headline(document)] if document.title else []]
    for section in document.sections:
        title = printable(section.title)
        parts.append(
            [*([title, "-" * len(title)] if title else []), *body(section.items, width, bool(title))]
        )
    return "\n\n".join("\n".join(map(printable, part)) for part in parts if part)


def headline(document: Document) -> str:
    """The title and the lead."""
    return f"{document.title}: {document.lead}" if document.lead else document.title


def body(items: Sequence[Item], width: int, indented: bool) -> Iterator[str]:
    """The lines of all items, separated by an empty line except between sentences of one line."""
    indent = _INDENT if indented else ""
    before: tuple[Item | None, int] = None, 0
    for item in items:
        made = [f"{indent}{line}".rstrip() for line in lines(item, width - len(indent), ruled=not indented)]
        if not made:
            continue
        short = isinstance(item, Line) and isinstance(before[0], Line) and before[1] == len(made) == 1
        if before[1] and not short:
            yield ""
        yield from made
        before = item, len(made)


def lines(item: Item, room: int = _ROOM, *, ruled: bool = False) -> Iterable[str]:
    """The lines of one item; a `ruled` table has a rule below its header."""
    if isinstance(item, Line):
        text = printable(" ".join(item.text.split("\n")))
        return _hanging(text, room, "", "    ") if item.formula else _wrapped(text, room)
    if isinstance(item, Table):
        return table(item, room, ruled)
    if isinstance(item, Matrix):
        return strip([item], room)
    if isinstance(item, Strip):
        return strip(item.matrices, room)
    if isinstance(item, Code):
        return _code(item, room)
    if isinstance(item, Findings):
        return _findings(item, room)
    if isinstance(item, Entries):
        return _entries(item, room)
    return ()


def _wrapped(text: str, room: int, indent: str = "") -> list[str]:
    return textwrap.wrap(text, room, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _hanging(text: str, room: int, first: str, then: str) -> list[str]:
    """Wrapped only between words, so that a search for a name finds it."""
    return textwrap.wrap(
        printable(text), room, initial_indent=first, subsequent_indent=then,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def table(item: Table, room: int = _ROOM, ruled: bool = False) -> Iterator[str]:
    """Aligned columns, numbers at the right.

    If that is too wide, words are wrapped; if it still is, names and words get a line above the rest.
    """
    if item.stacked:
        yield from _stacked(item, room)
        return
    rows = [[printable(name) for name in item.columns], *([shown(v) for v in row] for row in item.rows)]
    laid = _laid(rows, [item.kind(c) for c in range(len(item.columns))], room, strict=bool(item.kinds))
    yield from laid[0]
    if ruled:
        yield "-" * max(map(len, [line for row in laid for line in row]))
    indent = " " * (max(len(row[0]) for row in rows) + 2)
    for row, notes in zip_longest(laid[1:], item.notes, fillvalue=()):
        yield from row
        for note in notes:
            yield from _hanging(note, max(room, WIDTH), indent, indent)
    if item.left_out:
        yield f"... and {item.left_out:,} more"


def fits(item: Table, room: int) -> bool:
    """Whether the columns fit side by side without wrapping."""
    rows = [list(item.columns), *([shown(value) for value in row] for row in item.rows)]
    return sum(_widths(rows)) + 2 * (len(item.columns) - 1) <= room


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _laid(rows: Sequence[Sequence[str]], kinds: Sequence[str], room: int, strict: bool) -> list[list[str]]:
    """The lines of each row; `strict`: only words may be wrapped, and not narrowly."""
    widths = _widths(rows)
    room -= 2 * (len(widths) - 1)
    while sum(widths) > room:
        wide = [c for c, w in enumerate(widths) if not strict or (kinds[c] == "words" and w > _LEAST)]
        if not wide:
            return _split(rows, kinds)
        widths[max(wide, key=lambda c: (widths[c], -c))] -= 1
    return [list(_aligned(row, widths, kinds)) for row in rows]


def _split(rows: Sequence[Sequence[str]], kinds: Sequence[str]) -> list[list[str]]:
    """Names and words in a separate line, above codes and numbers."""
    above = [c for c, kind in enumerate(kinds) if kind in ("name", "words")]
    below = [c for c in range(len(kinds)) if c not in above]
    rest = [[row[c] for c in below] for row in rows]
    widths, of_rest = _widths(rest), [kinds[c] for c in below]
    return [
        ["  ".join(row[c] for c in above), *(f"{_INDENT}{line}" for line in _aligned(low, widths, of_rest))]
        for row, low in zip(rows, rest, strict=True)
    ]


def _aligned(row: Sequence[str], widths: Sequence[int], kinds: Sequence[str]) -> Iterator[str]:
    pieces = [_wrapped(cell, width) if width else [] for cell, width in zip(row, widths, strict=True)]
    for line in zip_longest(*pieces, fillvalue=""):
        yield "  ".join(
            piece.rjust(width) if kind == "number" else piece.ljust(width)
            for piece, width, kind in zip(line, widths, kinds, strict=True)
        ).rstrip()


def _stacked(item: Table, room: int) -> Iterator[str]:
    """One paragraph per row: its name, then the text of each column."""
    wide = max(map(len, item.columns[1:])) + 2
    for name, *values in item.rows:
        yield from _hanging(shown(name), room, "", _INDENT)
        for column, value in zip(item.columns[1:], values, strict=True):
            text = f"{column + ':':<{wide}}{shown(value)}"
            yield from _hanging(text, room, _INDENT, _INDENT + " " * wide)


def _findings(item: Findings, room: int) -> Iterator[str]:
    yield f"{item.code} {item.severity}: {item.title}"
    yield from _hanging(item.meaning, room, _INDENT, _INDENT)
    for names, text, fix in item.entries:
        yield from _hanging(f"{names}: {text}", room, "  - ", "    ")
        if not item.fix:
            yield from _hanging(f"fix: {fix}", room, "    ", "    ")
    if item.fix:
        yield from _hanging(f"fix: {item.fix}", room, _INDENT, _INDENT)


def _entries(item: Entries, room: int) -> Iterator[str]:
    for head, text in item.entries:
        yield from _hanging(f"{head}: {text}" if head else text, room, "", _INDENT)


def grid(matrix: Matrix, room: int = _ROOM) -> tuple[list[str], list[str]]:
    """The caption and the rows of a matrix, without its middle columns if it would be too wide."""
    lines = _rows(matrix)
    most = len(matrix.columns)
    while most > 2 and _width(lines) > room:
        most -= 1
        kept = ends(len(matrix.columns), most)
        lines = _rows(
            replace(
                matrix,
                columns=tuple(matrix.columns[c] for c in kept),
                values=tuple(tuple(row[c] for c in kept) for row in matrix.values),
                column_names=tuple(matrix.column_names[c] for c in kept) if matrix.column_names else (),
            )
        )
    caption = matrix.caption
    if matrix.shortened or most < len(matrix.columns):
        caption += " ({:,} x {:,} in all)".format(*matrix.shape)
    return _wrapped(printable(caption), max(_width(lines), room * 2 // 5)), lines


def _rows(matrix: Matrix) -> list[str]:
    """The values in columns; names, if there are any, are separated by a bar and a line."""
    table = [[shown(value, none=".") for value in row] for row in matrix.values]
    headed = bool(matrix.column_names)
    if headed:
        table.insert(0, [printable(name) for name in matrix.column_names])
    if gap := _gap(matrix.columns):
        table = [[*row[:gap], "...", *row[gap:]] for row in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [" ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    if headed:
        lines.insert(1, "-" * len(lines[0]))
    if gap := _gap(matrix.rows):
        lines.insert(2 * headed + gap, "...")
    if matrix.row_names:
        names = [printable(name) for name in matrix.row_names]
        if gap:
            names.insert(gap, "")
        wide = _width(names)
        beside = [f"{name:>{wide}} | " for name in names]
        lines = [
            front + line for front, line in zip([" " * (wide + 3)] * 2 * headed + beside, lines, strict=True)
        ]
    return [line.rstrip() for line in lines]


def _gap(indices: Sequence[int]) -> int:
    """The position before which indices are left out; 0 if none are."""
    return next((i for i in range(1, len(indices)) if indices[i] != indices[i - 1] + 1), 0)


def strip(matrices: Sequence[Matrix], room: int = _ROOM) -> Iterator[str]:
    """Matrices side by side, as many per row as fit."""
    row: list[tuple[list[str], list[str]]] = []
    for caption, lines in (grid(matrix, room) for matrix in matrices):
        if row and sum(_width([*head, *body]) + 4 for head, body in row) + _width([*caption, *lines]) > room:
            yield from (*_beside(row), "")
            row = []
        row.append((caption, lines))
    yield from _beside(row)


def _width(lines: Sequence[str]) -> int:
    return max(map(len, lines), default=0)


def _beside(blocks: Sequence[tuple[list[str], list[str]]]) -> Iterator[str]:
    """Captions on top, padded to equal height, so that the rows begin on one line."""
    tall = max((len(caption) for caption, _ in blocks), default=0)
    columns = [[*caption, *[""] * (tall - len(caption)), *lines] for caption, lines in blocks]
    widths = [_width(column) for column in columns]
    for row in zip_longest(*columns, fillvalue=""):
        yield "    ".join(piece.ljust(width) for piece, width in zip(row, widths, strict=True)).rstrip()


def _code(item: Code, room: int) -> Iterator[str]:
    yield f"{printable(item.name)}:"
    yield from (f"    {printable(line)}" for line in item.text.splitlines())
    for note in item.notes:
        yield from _wrapped(printable(note), room, indent="    # ")
