"""A diagnosis as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

from tconv.diagnosis.findings import CODES, Finding
from tconv.diagnosis.text import clean

if TYPE_CHECKING:
    from tconv.diagnosis.diagnose import Diagnosis, Examined

__all__ = [
    "COLUMNS",
    "WIDTH",
    "cells",
    "counted",
    "headline",
    "of_code",
    "problem",
    "table",
    "text",
    "together",
]

WIDTH = 80
COLUMNS = ("layer", "problem", "taps", "pattern", "images", "multiplications")


def text(diagnosis: Diagnosis) -> str:
    """Headline, a table of the layers, the findings by code."""
    lines = [headline(diagnosis), ""]
    rows = [COLUMNS, *(cells(entry) for entry in diagnosis.layers)]
    lines += table(rows)
    if not all(entry.layer.sized for entry in diagnosis.layers):
        lines += [
            "",
            *_wrapped(
                "~ sizes that the model leaves open have a stand-in (--input NAME=SHAPE sets them)", ""
            ),
        ]
    for note in diagnosis.notes:
        lines += ["", *_wrapped(note, "")]
    for code, group in groupby(diagnosis.findings, key=lambda finding: finding.code):
        lines += ["", *of_code(code, list(group))]
    return "\n".join(lines)


def headline(diagnosis: Diagnosis) -> str:
    """What was looked at, and how much was found.

    >>> from tconv.diagnosis import diagnose
    >>> headline(diagnose("n1 c1>1 i8 k3 s2"))
    'n1 c1>1 i8 k3 s2: 1 transposed convolution, 1 finding'
    """
    layers = counted(len(diagnosis.layers), "transposed convolution")
    return f"{clean(diagnosis.source, 300)}: {layers}, {counted(len(diagnosis.findings), 'finding')}"


def counted(number: int, noun: str) -> str:
    """`1 finding`, `2 findings`, `no finding`."""
    return f"{number or 'no'} {noun}{'s' if number > 1 else ''}"


def problem(entry: Examined) -> str:
    """The spelling, with ~ where sizes stand in."""
    return f"{'' if entry.layer.sized else '~'}{entry.layer.geometry}"


def cells(entry: Examined) -> tuple[str, ...]:
    """One row of the table: name, problem, taps of a phase, pattern, images, multiplications."""
    measures, found = entry.measures, entry.measures.weights
    least, most = int(measures.taps.min()), int(measures.taps.max())
    return (
        clean(entry.layer.name),
        problem(entry),
        str(most) if least == most else f"{least} to {most}",
        "" if found is None or measures.taps.size == 1 else f"{found.ripple:.1%}",
        "" if found is None or measures.taps.size == 1 else f"{found.images:.1%}",
        f"{'' if entry.layer.sized else '~'}{measures.multiplications:,}",
    )


def table(rows: Sequence[Sequence[str]], words: int = 2) -> list[str]:
    """Lines with aligned columns: the first, of `words`, to the left, those of numbers to the right.

    What is wider than a terminal has the first column, and the words after the second, in lines of their own.

    >>> table([("layer", "problem", "weights", "share"), ("up", "n1 c1>1 i3 k3", "1x1x3", "5%")], words=3)
    ['layer  problem        weights  share', 'up     n1 c1>1 i3 k3  1x1x3       5%']
    """
    lines = _aligned(rows, words)
    if max(map(len, lines)) <= WIDTH:
        return lines
    below = _aligned([(row[1], *row[words:]) for row in rows], 1)
    pairs = zip(rows, below, strict=True)
    return [line for row, rest in pairs for line in ("  ".join([row[0], *row[2:words]]), f"  {rest}")]


def _aligned(rows: Sequence[Sequence[str]], words: int) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def of_code(code: str, findings: Sequence[Finding]) -> list[str]:
    """Title, meaning, evidence and fixes of the findings of one code."""
    lines = [f"{code} {CODES[code].severity}: {CODES[code].title}"]
    lines += _wrapped(CODES[code].meaning, "  ")
    alike = together(findings)
    fixes = {fix for _, _, fix in alike}
    for names, text, fix in alike:
        lines += _wrapped(f"{names}: {text}", "  - ", "    ")
        if len(fixes) > 1:
            lines += _wrapped(f"fix: {fix}", "    ")
    if len(fixes) == 1:
        lines += _wrapped(f"fix: {findings[0].fix}", "  ")
    return lines


def together(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    """(names, text, fix) of findings of one code: layers of which the same is said stand together."""
    names: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        names.setdefault((finding.text, finding.fix), []).append(clean(finding.layer))
    return [(", ".join(of_layer), text, fix) for (text, fix), of_layer in names.items()]


def _wrapped(sentence: str, first: str, then: str | None = None) -> Iterable[str]:
    return wrap(
        sentence, WIDTH, initial_indent=first, subsequent_indent=first if then is None else then,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
