"""An explanation as Markdown: headings, tables, and matrices in blocks of text."""

from __future__ import annotations

from collections.abc import Iterator

from tconv.explanation.document import Code, Explanation, Item, Line, Matrix, Strip, Table
from tconv.explanation.text import shown, strip

__all__ = ["render"]


def render(explanation: Explanation) -> str:
    """The whole explanation, its problem as a heading of level 2."""
    parts = [f"## `{explanation.problem}`"]
    for section in explanation.sections:
        parts.append(f"### {section.title}")
        parts.extend("\n".join(_lines(item)) for item in section.items)
    return "\n\n".join(parts)


def _lines(item: Item) -> Iterator[str]:
    if isinstance(item, Line):
        yield f"`{item.text}`" if item.formula else _escaped(item.text)
    elif isinstance(item, Table):
        yield _row(item.columns)
        yield _row(["---"] * len(item.columns))
        yield from (_row([shown(value) for value in row]) for row in item.rows)
        if item.left_out:
            yield from ("", f"... and {item.left_out:,} more")
    elif isinstance(item, Matrix | Strip):
        yield "```text"
        yield from strip([item] if isinstance(item, Matrix) else item.matrices)
        yield "```"
    else:
        yield from _code(item)


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    """Signs that Markdown would take for emphasis, links, HTML or a border, made plain."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in text)


def _code(item: Code) -> Iterator[str]:
    yield from (f"{_escaped(item.name)}:", "", "```text", *item.text.splitlines(), "```")
    for note in item.notes:
        yield from ("", _escaped(note))
