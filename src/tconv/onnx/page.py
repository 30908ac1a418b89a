"""An inspection as one HTML page that holds all it shows and asks no network for anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape
from importlib.metadata import version
from importlib.resources import files
from itertools import groupby
from string import Template
from typing import TYPE_CHECKING

from tconv.diagnosis.page import figures, pictures, section, style
from tconv.diagnosis.report import counted
from tconv.diagnosis.text import clean
from tconv.drawing import Picture, draw
from tconv.geometry import Geometry
from tconv.onnx.report import COLUMNS, about, cells, rewritings, together, total
from tconv.onnx.runtimes import RUNTIMES

if TYPE_CHECKING:
    from tconv.onnx.inspection import Inspected, Inspection

__all__ = ["html"]

_MOST_DRAWN = 6  # problems
_FEW = 3  # inputs of a drawing along an axis


def html(found: Inspection) -> str:
    """The page."""
    template = Template(files("tconv.onnx").joinpath("report.html").read_text(encoding="utf-8"))
    findings = found.diagnosis.findings if found.diagnosis else ()
    layers = counted(len(found.layers), "transposed convolution")
    return template.substitute(
        style=style(),
        title=escape(clean(found.source.replace("\\", "/").rpartition("/")[2])),
        lead=f"{layers}, {counted(len(findings), 'finding')}.",
        about=escape(about(found)),
        layers=_table(COLUMNS, [cells(found, layer) for layer in found.layers]) if found.layers else "",
        total=escape(total(found)),
        notes="".join(f"<p>{escape(note)}</p>" for note in _notes(found)),
        runtimes=_table(("layer", *RUNTIMES), list(_runtimes(found))) if found.layers else "<p>Nothing.</p>",
        rewrites=_rewrites(found) if found.rewritable else "",
        findings="".join(
            section(code, list(group)) for code, group in groupby(findings, key=lambda finding: finding.code)
        )
        or "<p>Nothing found.</p>",
        drawings="".join(_drawings(found.layers)),
        pictures=pictures(found.diagnosis) if found.diagnosis else "",
        version=version("tconv"),
    )


def _notes(found: Inspection) -> Iterator[str]:
    for names, why in together(found.layers, lambda layer: layer.why):
        yield f"{names}: {why}"
    yield from found.notes


def _runtimes(found: Inspection) -> Iterator[tuple[str, ...]]:
    for names, told in together(found.layers, lambda layer: tuple(layer.runtimes.items())):
        yield names, *(what for _, what in told)


def _rewrites(found: Inspection) -> str:
    rows = "".join(f"<li><b>{escape(names)}</b> {escape(rules)}</li>" for names, rules in rewritings(found))
    return f"<h2>What tconv rewrite could do, each exactly</h2><ul>{rows}</ul>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return f'<div class="scroll"><table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>'


def _drawings(layers: Sequence[Inspected]) -> Iterator[str]:
    """Each kind of layer, on a few inputs: its stamps, and the zeros that it inserts."""
    problems: dict[Geometry, list[str]] = {}
    for layer in layers:
        if layer.stand_in is not None:
            problems.setdefault(_small(layer.stand_in), []).append(clean(layer.name))
    for geometry, names in list(problems.items())[:_MOST_DRAWN]:
        yield f"<section><h3>{escape(', '.join(names))}</h3>{figures(_views(geometry))}</section>"
    left = len(problems) - _MOST_DRAWN
    if left > 0:
        yield f"<p>{counted(left, 'more kind')} of layer, not drawn.</p>"


def _views(geometry: Geometry) -> Callable[[], list[tuple[str, Picture]]]:
    return lambda: [
        (f"{geometry}, one channel: each input stamps its multiple of the kernel", draw(geometry, "stamp")),
        ("How many taps reach each output", draw(geometry, "coverage")),
    ]


def _small(g: Geometry) -> Geometry:
    """The same layer of one channel, with as few inputs as leave something after cropping."""
    one = replace(g, batch=1, in_channels=1, out_channels=1, groups=1)
    few = [min(size, _FEW) for size in g.input]
    for a, ((lo, hi), s) in enumerate(zip(g.padding, g.stride, strict=True)):
        few[a] = min(g.input[a], max(few[a], (lo + hi) // s + 1))
    return replace(one, input=tuple(few))
