"""A diagnosis as one HTML page that holds all it shows and asks no network for anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from importlib.metadata import version
from importlib.resources import files
from itertools import groupby
from string import Template

from tconv import algebra
from tconv.algebra.arrays import Array
from tconv.diagnosis.data import DiagnosisData, Examined
from tconv.diagnosis.findings import CODES, SEVERITIES, Finding
from tconv.diagnosis.measures import stepped
from tconv.diagnosis.pictures import answers, coverage, responses
from tconv.diagnosis.report import COLUMNS, cells, counted, together
from tconv.diagnosis.weights import one_tap
from tconv.drawing import Picture, svg
from tconv.errors import TconvError

__all__ = ["figures", "html", "pictures", "section", "style"]

_MOST_PICTURED = 8  # layers


def html(diagnosis: DiagnosisData) -> str:
    """The page."""
    template = Template(files("tconv.diagnosis").joinpath("report.html").read_text(encoding="utf-8"))
    severities = Counter(finding.severity for finding in diagnosis.findings)
    layers = counted(len(diagnosis.layers), "transposed convolution")
    return template.substitute(
        style=style(),
        title=escape(diagnosis.source.replace("\\", "/").rpartition("/")[2]),
        lead=f"{layers}, {counted(len(diagnosis.findings), 'finding')}.",
        tally="".join(
            f'<li class="{name}"><b>{severities[name]}</b><span>{name}{"" if severities[name] == 1 else "s"}'
            "</span></li>"
            for name in SEVERITIES
        ),
        head="".join(f'<th scope="col">{name}</th>' for name in COLUMNS),
        rows="".join(_row(entry) for entry in diagnosis.layers),
        sizes=("" if all(entry.layer.sized for entry in diagnosis.layers) else _OPEN)
        + "".join(f"<p>{escape(note)}</p>" for note in diagnosis.notes),
        findings="".join(
            section(code, list(group))
            for code, group in groupby(diagnosis.findings, key=lambda finding: finding.code)
        )
        or "<p>Nothing found.</p>",
        pictures=pictures(diagnosis),
        version=version("tconv"),
    )


def style() -> str:
    """The look of a report, light and dark."""
    return files("tconv.diagnosis").joinpath("report.css").read_text(encoding="utf-8")


_OPEN = "<p>~ Sizes that the model leaves open have a stand-in.</p>"


def _row(entry: Examined) -> str:
    name, *others = cells(entry)
    return (
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{escape(cell) or '&ndash;'}</td>" for cell in others)
        + "</tr>"
    )


def section(code: str, findings: list[Finding]) -> str:
    """The findings of one code."""
    kind = CODES[code]
    alike = together(findings)
    fixes = {fix for _, _, fix in alike}
    items = "".join(
        f"<li><b>{escape(names)}</b> {escape(text)}"
        + (f'<span class="fix">{escape(fix)}</span>' if len(fixes) > 1 else "")
        + "</li>"
        for names, text, fix in alike
    )
    common = f'<p class="fix">{escape(findings[0].fix)}</p>' if len(fixes) == 1 else ""
    return (
        f'<section class="finding {kind.severity}"><h3><code>{code}</code> {escape(kind.title)} '
        f'<span class="severity">{kind.severity}</span></h3><p class="meaning">{escape(kind.meaning)}</p>'
        f"<ul>{items}</ul>{common}</section>"
    )


def pictures(diagnosis: DiagnosisData) -> str:
    """Coverage where it is uneven; the weights' answers and responses, before and after equal gains."""
    uneven = {finding.layer for finding in diagnosis.findings if finding.code in ("T101", "T102")}
    seen = {finding.layer for finding in diagnosis.findings if finding.code in ("T201", "T202")}
    drawn = [entry for entry in diagnosis.layers if entry.layer.name in uneven | seen]
    parts = []
    for entry in drawn[:_MOST_PICTURED]:
        drawn_here = []
        if entry.layer.name in uneven:
            drawn_here.append(figures(partial(_coverage, entry)))
        if entry.layer.name in seen:
            drawn_here += _of_weights(entry)
        parts.append(f"<section><h3>{escape(entry.layer.name)}</h3>{''.join(drawn_here)}</section>")
    left = len(drawn) - len(parts)
    more = f"<p>{counted(left, 'more layer')} of the kind, not drawn.</p>" if left else ""
    return f"<h2>Pictures</h2>{''.join(parts)}{more}" if parts else ""


def _coverage(entry: Examined) -> list[tuple[str, Picture]]:
    return [("Coverage, on a small map", coverage(entry.layer))]


def _of_weights(entry: Examined) -> list[str]:
    layer, measures = entry.layer, entry.measures
    after: Array | None = None
    if layer.weight is not None and measures.taps.all() and not one_tap(layer):
        after = algebra.equal_phase_gains(layer.weight, stepped(layer), layer.known.dilation)
    filters = figures(lambda: responses(layer, after))
    return [
        figures(lambda: [("The answer to a constant", answers(layer, measures, after))]),
        f"<details><summary>Filters and frequency response</summary>{filters}</details>",
    ]


def figures(make: Callable[[], Sequence[tuple[str, Picture]]]) -> str:
    """Figures with their captions, or why there is none: what is too large to be seen."""
    try:
        made = make()
    except TconvError as fault:
        return f"<p>{escape(str(fault))}</p>"
    return "".join(
        f'<figure><div class="scroll">{svg(picture)}</div><figcaption>{escape(title)}</figcaption></figure>'
        for title, picture in made
    )
