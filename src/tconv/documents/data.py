"""A document as plain data, for JSON."""

from __future__ import annotations

from fractions import Fraction
from math import isfinite
from typing import Any

from tconv.documents.document import (
    Cell,
    Code,
    Document,
    Entries,
    Findings,
    Line,
    Mark,
    Matrix,
    Section,
    Table,
)

__all__ = ["render", "sections"]


def render(document: Document) -> dict[str, Any]:
    """The title, the lead, and the sections by name; pictures are left out."""
    return {"title": document.title, "lead": document.lead, "sections": sections(document)}


def sections(document: Document) -> dict[str, Any]:
    """The sections by name."""
    return {section.name: _section(section) for section in document.sections}


def _section(section: Section) -> dict[str, Any]:
    made: dict[str, Any] = {
        "title": section.title,
        "lines": [item.text for item in section.items if isinstance(item, Line)],
    }
    tables = [item for item in section.items if isinstance(item, Table)]
    if tables:
        made["tables"] = {
            item.name: [{name: plain(value) for name, value in row.items()} for row in item.records()]
            for item in tables
        }
        if any(item.left_out for item in tables):
            made["rows_left_out"] = {item.name: item.left_out for item in tables if item.left_out}
    matrices = list(section.matrices())
    if matrices:
        made["matrices"] = [_matrix(item) for item in matrices]
    code = [item for item in section.items if isinstance(item, Code)]
    if code:
        made["code"] = {item.name: {"code": item.text, "notes": list(item.notes)} for item in code}
    entries = [list(pair) for item in section.items if isinstance(item, Entries) for pair in item.entries]
    if entries:
        made["entries"] = entries
    findings = [item for item in section.items if isinstance(item, Findings)]
    if findings:
        made["findings"] = {item.code: [list(entry) for entry in item.entries] for item in findings}
    return made


def _matrix(item: Matrix) -> dict[str, Any]:
    names = {"row_names": list(item.row_names), "column_names": list(item.column_names)}
    return {
        "name": item.name,
        "caption": item.caption,
        "shape": list(item.shape),
        "rows": list(item.rows),
        "columns": list(item.columns),
        "values": [[0 if value is None else plain(value) for value in row] for row in item.values],
        **{name: shown for name, shown in names.items() if shown},
    }


def plain(value: Cell) -> Any:
    """A value that JSON can represent: integers stay integers, no number is infinite."""
    if isinstance(value, Mark):
        return plain(value.value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
