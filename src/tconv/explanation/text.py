"""An explanation for a terminal: plain text, at most 80 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import zip_longest
from math import isinf

from tconv.explanation.document import Cell, Code, Explanation, Item, Line, Matrix, Strip, Table, ends

__all__ = ["WIDTH", "grid", "render", "shown", "strip"]

WIDTH = 80
_INDENT = "  "
_ROOM = WIDTH - len(_INDENT)


def render(explanation: Explanation) -> str:
    """The whole explanation."""
    parts = [explanation.problem]
    for section in explanation.sections:
        body = _spaced(section.items)
        parts.append("\n".join([section.title, "-" * len(section.title), *body]))
    return "\n\n".join(parts)


def _spaced(items: Sequence[Item]) -> Iterator[str]:
    """The lines of all items; between them an empty one, except between sentences of one line."""
    before: list[str] = []
    for i, item in enumerate(items):
        lines = [f"{_INDENT}{line}".rstrip() for line in _lines(item)]
        short = len(before) == len(lines) == 1 and isinstance(item, Line) and isinstance(items[i - 1], Line)
        if before and not short:
            yield ""
        yield from lines
        before = lines


def _lines(item: Item) -> Iterable[str]:
    if isinstance(item, Line):
        return _wrapped(item.text) if not item.formula else _formula(item.text)
    if isinstance(item, Table):
        return table(item)
    if isinstance(item, Matrix):
        return strip([item])
    if isinstance(item, Strip):
        return strip(item.matrices)
    return _code(item)


def _formula(text: str) -> list[str]:
    return textwrap.wrap(
        text, _ROOM, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _wrapped(text: str, room: int = _ROOM, indent: str = "") -> list[str]:
    return textwrap.wrap(text, room, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def shown(value: Cell, none: str = "-") -> str:
    """A value as people write it: thousands apart, fractions as decimals of at most six digits.

    >>> shown(1048576), shown(Fraction(9, 16)), shown(Fraction(1, 3)), shown(float("inf")), shown((0, 1))
    ('1,048,576', '0.5625', '0.333333', 'infinite', '(0, 1)')
    """
    if value is None:
        return none
    if isinstance(value, str | tuple):
        return str(value)
    if isinstance(value, float) and isinf(value):
        return "infinite"
    exact = Fraction(value)
    return f"{int(exact):,}" if exact.denominator == 1 and abs(exact) < 10**12 else f"{float(exact):.6g}"


def table(item: Table) -> Iterator[str]:
    """Columns that line up, numbers to the right; where it is too wide the widest columns are wrapped."""
    cells = [[shown(value) for value in row] for row in item.rows]
    numeric = [
        all(isinstance(row[c], int | float | Fraction | None) for row in item.rows)
        for c in range(len(item.columns))
    ]
    widths = [max(map(len, column)) for column in zip(item.columns, *cells, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > _ROOM:
        widths[widths.index(max(widths))] -= 1
    for row in [list(item.columns), *cells]:
        pieces = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in zip_longest(*pieces, fillvalue=""):
            yield "  ".join(
                piece.rjust(width) if right else piece.ljust(width)
                for piece, width, right in zip(line, widths, numeric, strict=True)
            ).rstrip()
    if item.left_out:
        yield f"... and {item.left_out:,} more"


def grid(matrix: Matrix, room: int = _ROOM) -> tuple[list[str], list[str]]:
    """The caption and the rows of a matrix, its middle columns left out where it would be too wide."""
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
    return _wrapped(caption, max(_width(lines), room * 2 // 5)), lines


def _rows(matrix: Matrix) -> list[str]:
    """The values in columns; names, if there are any, beyond a bar and a line."""
    table = [[shown(value, none=".") for value in row] for row in matrix.values]
    headed = bool(matrix.column_names)
    if headed:
        table.insert(0, list(matrix.column_names))
    if gap := _gap(matrix.columns):
        table = [[*row[:gap], "...", *row[gap:]] for row in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [" ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    if headed:
        lines.insert(1, "-" * len(lines[0]))
    if gap := _gap(matrix.rows):
        lines.insert(2 * headed + gap, "...")
    if matrix.row_names:
        names = list(matrix.row_names)
        if gap:
            names.insert(gap, "")
        wide = _width(names)
        beside = [f"{name:>{wide}} | " for name in names]
        lines = [
            front + line for front, line in zip([" " * (wide + 3)] * 2 * headed + beside, lines, strict=True)
        ]
    return [line.rstrip() for line in lines]


def _gap(indices: Sequence[int]) -> int:
    """The place before which indices are left out; 0 if none are."""
    return next((i for i in range(1, len(indices)) if indices[i] != indices[i - 1] + 1), 0)


def strip(matrices: Sequence[Matrix]) -> Iterator[str]:
    """Matrices side by side, as many in a row as there is room for."""
    row: list[tuple[list[str], list[str]]] = []
    for caption, lines in (grid(matrix) for matrix in matrices):
        if row and sum(_width([*head, *body]) + 4 for head, body in row) + _width([*caption, *lines]) > _ROOM:
            yield from (*_beside(row), "")
            row = []
        row.append((caption, lines))
    yield from _beside(row)


def _width(lines: Sequence[str]) -> int:
    return max(map(len, lines), default=0)


def _beside(blocks: Sequence[tuple[list[str], list[str]]]) -> Iterator[str]:
    """Captions above, of like height, so that the rows begin on one line."""
    tall = max((len(caption) for caption, _ in blocks), default=0)
    columns = [[*caption, *[""] * (tall - len(caption)), *lines] for caption, lines in blocks]
    widths = [_width(column) for column in columns]
    for row in zip_longest(*columns, fillvalue=""):
        yield "    ".join(piece.ljust(width) for piece, width in zip(row, widths, strict=True)).rstrip()


def _code(item: Code) -> Iterator[str]:
    lines = item.text.splitlines()
    yield f"{item.name}:"
    yield from (f"    {line}" for line in lines)
    for note in item.notes:
        yield from _wrapped(note, indent="    # ")
