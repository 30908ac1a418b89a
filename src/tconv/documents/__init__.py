"""Reports as data, and four ways to print them: `text`, `markdown`, `html` and `data`; `terminal` shows one.

A command builds a `Document`; only this room decides how a table is aligned, coloured or escaped.
"""

from __future__ import annotations

from tconv.documents.document import (
    Bars,
    Cell,
    Code,
    Document,
    Entries,
    Figure,
    Figures,
    Findings,
    Item,
    Legend,
    Line,
    Mark,
    Matrix,
    Section,
    Strip,
    Table,
    Tally,
    Tiles,
)
from tconv.documents.wording import counted, named, together

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
    "counted",
    "named",
    "together",
]
