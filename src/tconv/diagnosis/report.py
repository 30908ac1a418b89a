"""A diagnosis as a document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from tconv.diagnosis.data import DiagnosisData, Examined
from tconv.diagnosis.figures import figures
from tconv.diagnosis.findings import CODES, SEVERITIES, Finding
from tconv.documents import Document, Entries, Findings, Item, Line, Section, Table, Tally, counted, together
from tconv.errors import clean

__all__ = ["document", "findings", "lead", "titled"]

COLUMNS = ("layer", "problem", "taps", "pattern", "images", "multiplications")
TERMS = (
    ("Taps:", "how many weights an output of each phase sums, away from the borders."),
    ("Pattern:", "the share of the response to a constant that varies from phase to phase."),
    (
        "Images:",
        "the share of the output's power in spectral images, for inputs whose neighbours correlate by 0.95.",
    ),
    ("Multiplications:", "those that reach an output."),
)


def document(diagnosis: DiagnosisData, *, page: bool = False) -> Document:
    """The layers, then the findings by code; for a `page` with pictures, and what the columns mean.

    >>> from tconv.diagnosis import diagnose
    >>> document(diagnose("n1 c1>1 i8 k3 s2")).lead
    '1 transposed convolution, 1 finding'
    """
    found = tuple(findings(diagnosis.findings))
    sections = [Section("layers", "", tuple(_layers(diagnosis, page)))]
    if page:
        found = found or (Line("Nothing found."),)
        sections += [Section("findings", "Findings", found), *_pictures(diagnosis)]
    else:
        sections += [Section("findings", "", found)]
    return Document(
        titled(diagnosis.source, page),
        tuple(sections),
        lead(len(diagnosis.layers), len(diagnosis.findings)),
        "tconv diagnose",
    )


def titled(source: str, page: bool) -> str:
    """What was examined; on a page only the name of the file."""
    return clean(source.replace("\\", "/").rpartition("/")[2] if page else source, 300)


def lead(layers: int, found: int) -> str:
    """The number of layers and of findings."""
    return f"{counted(layers, 'transposed convolution')}, {counted(found, 'finding')}"


def _layers(diagnosis: DiagnosisData, page: bool) -> Iterator[Item]:
    if page:
        many = Counter(finding.severity for finding in diagnosis.findings)
        yield Tally(
            tuple((str(many[name]), name + "s" * (many[name] != 1), f"var(--{name})") for name in SEVERITIES)
        )
    kinds = ("name", "code", *["number"] * 4)
    yield Table("layers", COLUMNS, tuple(_row(entry) for entry in diagnosis.layers), kinds=kinds)
    if page:
        yield Entries(TERMS, terms=True)
    if not all(entry.layer.sized for entry in diagnosis.layers):
        yield Line("~ placeholders for sizes that the model leaves open (--input NAME=SHAPE sets them)")
    yield from map(Line, diagnosis.notes)


def _row(entry: Examined) -> tuple[str, ...]:
    """One row of the table: name, problem, taps of a phase, pattern, images, multiplications."""
    measures, found = entry.measures, entry.measures.weights
    least, most = int(measures.taps.min()), int(measures.taps.max())
    guessed = "" if entry.layer.sized else "~"
    return (
        clean(entry.layer.name),
        f"{guessed}{entry.layer.known}",
        str(most) if least == most else f"{least} to {most}",
        "" if found is None or measures.taps.size == 1 else f"{found.ripple:.1%}",
        "" if found is None or measures.taps.size == 1 else f"{found.images:.1%}",
        f"{guessed}{measures.multiplications:,}",
    )


def _pictures(diagnosis: DiagnosisData) -> Iterator[Section]:
    items = tuple(figures(diagnosis))
    if items:
        yield Section("pictures", "Pictures", items)


def findings(found: Sequence[Finding]) -> Iterator[Item]:
    """The findings of each code: title, meaning, evidence and fixes."""
    for code, group in groupby(found, key=lambda finding: finding.code):
        alike = together(group, lambda finding: finding.layer, lambda finding: (finding.text, finding.fix))
        fixes = {fix for _, (_, fix) in alike}
        entries = tuple((names, text, fix) for names, (text, fix) in alike)
        kind = CODES[code]
        yield Findings(
            code, kind.severity, kind.title, kind.meaning, entries, fixes.pop() if len(fixes) == 1 else ""
        )
