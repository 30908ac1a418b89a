"""What an explanation is made of: sections of lines, tables, matrices and code, as data.

It is made once; `text`, `markdown` and `data` only print it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from tconv.errors import TconvError

__all__ = [
    "Cell",
    "Code",
    "Explanation",
    "Item",
    "Line",
    "Matrix",
    "Section",
    "Strip",
    "Table",
    "ends",
]

#: What stands in a table or matrix; None is "no value" in a table and a structural zero in a matrix.
Cell: TypeAlias = int | float | Fraction | str | tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence, or a formula that must not be wrapped as prose (`formula`)."""

    text: str
    formula: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns; of `total` rows some may be left out at the end."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: int = -1

    @property
    def left_out(self) -> int:
        """How many rows are not shown."""
        return max(0, self.total - len(self.rows))

    def records(self) -> list[dict[str, Cell]]:
        """Each row as column -> value."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Some rows and columns of a matrix of `shape`: `rows` and `columns` are the indices that are shown.

    `row_names` and `column_names` are printed beside what is shown, if there are any.  A None among the
    values is a zero that stands there by construction, printed as a dot.
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
        """The matrix whose cell (r, c) is `value(r, c)`; of more than `most` the middle is left out.

        `names` call every row (none: no row) and every column.
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
    """Matrices that belong together, side by side where there is room."""

    matrices: tuple[Matrix, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """A call to paste, and what is to be said about it."""

    name: str
    text: str
    notes: tuple[str, ...] = ()


Item: TypeAlias = Line | Table | Matrix | Strip | Code


@dataclass(frozen=True, slots=True)
class Section:
    """One question about the layer, answered."""

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


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """What `tconv.explain` answers; printing it shows it as text, a notebook as Markdown.

    >>> import tconv
    >>> explained = tconv.explain(tconv.Geometry.parse("n1 c1>1 i3 k3 s2"), only=["size"])
    >>> [section.name for section in explained.sections]
    ['size']
    >>> explained["size"].table("shapes").records()[-1]
    {'array': 'output', 'shape': (1, 1, 7), 'axes': 'batch, channels, axis 0'}
    """

    problem: str
    sections: tuple[Section, ...]

    def __getitem__(self, name: str) -> Section:
        """The section called `name`."""
        for section in self.sections:
            if section.name == name:
                return section
        names = ", ".join(section.name for section in self.sections)
        raise TconvError(f"no section {name!r} in this explanation; it has {names}")

    def text(self) -> str:
        """For a terminal, at most 80 columns wide."""
        from tconv.explanation.text import render

        return render(self)

    def markdown(self) -> str:
        """Headings, tables and code blocks."""
        from tconv.explanation.markdown import render

        return render(self)

    def data(self) -> dict[str, Any]:
        """Lists, numbers and strings, as `--json` prints them; an infinite or missing number is None."""
        from tconv.explanation.data import render

        return render(self)

    __str__ = text
    __repr__ = text
    _repr_markdown_ = markdown


def ends(size: int, most: int) -> tuple[int, ...]:
    """All indices of `size`, or so many of both ends that `most` are not exceeded.

    >>> ends(4, 6), ends(100, 6)
    ((0, 1, 2, 3), (0, 1, 2, 97, 98, 99))
    """
    if size <= most:
        return tuple(range(size))
    return (*range(most - most // 2), *range(size - most // 2, size))
