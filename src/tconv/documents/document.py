"""The parts of a report: sections of lines, tables, matrices, code, pictures and findings, as data.

It is built once; `text`, `markdown`, `html` and `data` only print it.  Strings are plain text, wherever they
come from: each renderer escapes them for its own format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from tconv.errors import unknown

__all__ = [
    "Bars",
    "Cell",
    "Code",
    "Document",
    "Entries",
    "Figure",
    "Figures",
    "Findings",
    "Item",
    "Legend",
    "Line",
    "Mark",
    "Matrix",
    "Section",
    "Strip",
    "Table",
    "Tally",
    "Tiles",
    "ends",
]


@dataclass(frozen=True, slots=True)
class Mark:
    """A highlighted value: the "best" of a column, or "good"; with a dot of a CSS `colour` before it."""

    value: int | float | Fraction | str
    tone: str = ""
    colour: str = ""

    def __str__(self) -> str:
        """The value without its mark."""
        return str(self.value)


#: An entry of a table or matrix; None is "no value" in a table and a structural zero in a matrix.
Cell: TypeAlias = int | float | Fraction | str | tuple[int, ...] | Mark | None


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence, or a formula that must not be wrapped as prose (`formula`)."""

    text: str
    formula: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns; of `total` rows the last ones may be left out.

    `kinds` gives the kind of each column: the row's "name", "code" that is never broken, "words" that may be
    wrapped, a "number" (aligned right); without it, columns of numbers are detected by their values. `notes`
    are sentences under each row. The cells of a `stacked` table are sentences: as text, each row is a
    paragraph.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: int = -1
    kinds: tuple[str, ...] = ()
    notes: tuple[tuple[str, ...], ...] = ()
    stacked: bool = False

    @property
    def left_out(self) -> int:
        """How many rows are not shown."""
        return max(0, self.total - len(self.rows))

    def kind(self, column: int) -> str:
        """The kind of a column."""
        if self.kinds:
            return self.kinds[column]
        values = (row[column] for row in self.rows)
        numbers = all(isinstance(value, int | float | Fraction | None) for value in values)
        return "number" if numbers else "words"

    def records(self) -> list[dict[str, Cell]]:
        """Each row as column -> value."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Part of a matrix of `shape`: `rows` and `columns` are the indices that are shown.

    `row_names` and `column_names`, if there are any, are printed at the left and on top.  A None among the
    values is a structural zero, printed as a dot.
    """

    name: str
    caption: str
    shape: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    values: tuple[tuple[Cell, ...], ...]
    row_names: tuple[str, ...] = ()
    column_names: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        caption: str,
        shape: tuple[int, int],
        value: Callable[[int, int], Cell],
        *,
        most: tuple[int, int] = (24, 24),
        names: tuple[Sequence[object], Sequence[object]] | None = None,
    ) -> Matrix:
        """The matrix whose cell (r, c) is `value(r, c)`; if it is larger than `most`, the middle is left out.

        `names` name every row (empty: no row) and every column.
        """
        rows, columns = (ends(size, limit) for size, limit in zip(shape, most, strict=True))
        values = tuple(tuple(value(r, c) for c in columns) for r in rows)
        if names is None:
            return cls(name, caption, shape, rows, columns, values)
        down, across = names
        return cls(
            name,
            caption,
            shape,
            rows,
            columns,
            values,
            tuple(str(down[r]) for r in rows) if down else (),
            tuple(str(across[c]) for c in columns),
        )

    @property
    def shortened(self) -> bool:
        """Whether rows or columns are left out."""
        return (len(self.rows), len(self.columns)) != self.shape


@dataclass(frozen=True, slots=True)
class Strip:
    """Matrices that belong together, placed side by side where there is room."""

    matrices: tuple[Matrix, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """A call to paste, and notes about it."""

    name: str
    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entries:
    """(head, text) pairs, one per line; a head may be empty.  `terms` explain a table's columns."""

    entries: tuple[tuple[str, str], ...]
    terms: bool = False


@dataclass(frozen=True, slots=True)
class Findings:
    """Findings of one code: (layers, evidence, fix) each, and `fix` if all have the same."""

    code: str
    severity: str
    title: str
    meaning: str
    entries: tuple[tuple[str, str, str], ...]
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture: an SVG element from tconv's own code, or the data URI of a PNG."""

    picture: str
    caption: str
    alt: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures that belong together, for pages: in a "stack", in a "row", or "wide" (as many per row as fit).

    `folded` is the label of a collapsed block that holds them.
    """

    figures: tuple[Figure | Tiles, ...]
    title: str = ""
    text: str = ""
    layout: Literal["stack", "row", "wide", "pairs"] = "stack"
    folded: str = ""


@dataclass(frozen=True, slots=True)
class Tiles:
    """A square of small PNGs (data URIs), one row and one column for each of `names`."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    alt: str


@dataclass(frozen=True, slots=True)
class Tally:
    """Large numbers: (number, what it counts, CSS colour) each."""

    entries: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Legend:
    """The meaning of colours: (name, CSS colour) each."""

    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Bars:
    """Groups of bars: (title, ((name, share of 1, CSS colour), ...)) each."""

    groups: tuple[tuple[str, tuple[tuple[str, float, str], ...]], ...]


Item: TypeAlias = Line | Table | Matrix | Strip | Code | Entries | Findings | Figures | Tally | Legend | Bars


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report; its title may be empty."""

    name: str
    title: str
    items: tuple[Item, ...]

    def matrices(self) -> Iterator[Matrix]:
        """Every matrix, those in strips too."""
        for item in self.items:
            if isinstance(item, Matrix):
                yield item
            elif isinstance(item, Strip):
                yield from item.matrices

    def table(self, name: str) -> Table:
        """The table called `name`."""
        return next(item for item in self.items if isinstance(item, Table) and item.name == name)


@dataclass(frozen=True, slots=True)
class Document:
    """A report: its title, a one-line summary (`lead`), and sections.

    >>> report = Document("m.onnx", (Section("layers", "", (Line("None."),)),), lead="no layer")
    >>> report["layers"].items
    (Line(text='None.', formula=False),)
    """

    title: str
    sections: tuple[Section, ...]
    lead: str = ""
    command: str = ""  #: the command that made it

    def __getitem__(self, name: str) -> Section:
        """The section called `name`."""
        for section in self.sections:
            if section.name == name:
                return section
        raise unknown("section", name, [section.name for section in self.sections])


def ends(size: int, most: int) -> tuple[int, ...]:
    """All indices of `size`, or as many of both ends as `most` allows.

    >>> ends(4, 6), ends(100, 6)
    ((0, 1, 2, 3), (0, 1, 2, 97, 98, 99))
    """
    if size <= most:
        return tuple(range(size))
    return (*range(most - most // 2), *range(size - most // 2, size))
