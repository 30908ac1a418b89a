"""A document printed by rich if there is a terminal and rich is installed; else as plain text.

Only this file checks whether a stream is a terminal, whether rich is there, and whether colours are wanted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, TextIO, TypeAlias

from tconv.documents import text
from tconv.documents.cells import shown
from tconv.documents.document import Cell, Document, Findings, Item, Mark, Table
from tconv.errors import clean, printable

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["progress", "show", "status"]

#: The longest name beside a bar.
_NAME = 30

_TONES = {"best": "bold", "good": "green", "error": "bold red", "warning": "yellow", "note": "blue"}


def show(
    document: Document, file: TextIO | None = None, plain: Callable[[Document], str] = text.render
) -> None:
    """Print a document to `file` (stdout): `plain` if that is not a terminal, or if rich is not installed."""
    out = sys.stdout if file is None else file
    if not out.isatty() or find_spec("rich") is None:
        print(plain(document), file=out)
        return
    from rich.console import Console

    # NO_COLOR switches colours off; bold and other styles are left out with them.
    system = None if os.environ.get("NO_COLOR") else "auto"
    console = Console(file=out, color_system=system, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]
    blocks: list[list[_Part]] = []
    if document.title:
        blocks.append([_Styled(text.headline(document), "bold")])
    for section in document.sections:
        made = list(_blocks(section.items, console.width, bool(section.title)))
        if section.title:
            made[:1] = [[_Styled(section.title, "bold"), *(part for block in made[:1] for part in block)]]
        blocks += made
    for i, block in enumerate(blocks):
        for part in [*[_Styled("")][: bool(i)], *block]:
            if isinstance(part, _Laid):
                _table(console, *part)
            else:
                _line(console, *part)


@contextmanager
def status(begin: str) -> Iterator[Callable[[str], None]]:
    """A progress line on stderr, if that is a terminal; the yielded function changes it."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(begin) as shown_status:
        yield lambda now: shown_status.update(Text(printable(now)))


@contextmanager
def progress(begin: str, steps: int) -> Iterator[Callable[[str], None]]:
    """A bar on stderr, if that is a terminal; the yielded function says what the next of `steps` is.

    `begin` is what comes before the first of them.
    """
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    text = TextColumn("{task.description:<18}", markup=False)
    columns = text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # Without a thread that redraws, which would take time from what is measured.
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        shown_task = bar.add_task(clean(begin, _NAME), total=steps)
        bar.refresh()
        reached = 0

        def step(name: str) -> None:
            nonlocal reached
            bar.update(shown_task, description=clean(name, _NAME), completed=reached, refresh=True)
            reached += 1

        yield step


class _Styled(NamedTuple):
    line: str
    style: str = ""


class _Laid(NamedTuple):
    table: Table
    indent: int


_Part: TypeAlias = _Styled | _Laid


def _blocks(items: Sequence[Item], width: int, indented: bool) -> Iterator[list[_Part]]:
    """The blocks between empty lines: tables for rich, findings in the colour of their severity, text."""
    for kind, group in groupby(items, lambda item: "table" if _fits(item, width) else type(item).__name__):
        if kind == "table":
            for item in group:
                if isinstance(item, Table):
                    yield [_Laid(item, 2 * indented)]
            continue
        # Each finding by itself: its first line has the colour of its severity.
        for part in [[item] for item in group] if kind == "Findings" else [[*group]]:
            first = part[0]
            style = _TONES.get(first.severity, "") if isinstance(first, Findings) else ""
            lines = [*text.body(part, width, indented)]
            if lines:
                yield [_Styled(lines[0], style), *map(_Styled, lines[1:])]


def _fits(item: Item, width: int) -> bool:
    """Whether rich can lay out a table without breaking names."""
    if not isinstance(item, Table) or item.stacked or any(item.notes):
        return False
    return not item.kinds or text.fits(item, width - 4)


def _line(console: Console, line: str, style: str = "") -> None:
    """One line unchanged; the terminal wraps it if it is too wide."""
    from rich.text import Text

    console.print(Text(printable(line), style=style), soft_wrap=True)


def _table(console: Console, item: Table, indent: int) -> None:
    from rich import box
    from rich.padding import Padding
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for c, name in enumerate(item.columns):
        right = item.kind(c) == "number"
        made.add_column(Text(printable(name)), justify="right" if right else "left", overflow="fold")
    for row in item.rows:
        made.add_row(*(Text(shown(value), style=_tone(value)) for value in row))
    console.print(Padding(made, (0, 0, 0, indent)))
    if item.left_out:
        _line(console, f"... and {item.left_out:,} more")


def _tone(value: Cell) -> str:
    return _TONES.get(value.tone, "") if isinstance(value, Mark) else ""
