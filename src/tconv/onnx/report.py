"""An inspection as a document, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from tconv.diagnosis.figures import drawn, figures
from tconv.diagnosis.report import findings, lead, titled
from tconv.documents import Document, Entries, Item, Line, Section, Table, counted, together
from tconv.drawing import Picture, draw
from tconv.errors import clean
from tconv.geometry import Geometry
from tconv.onnx.inspected import Inspected, InspectionData
from tconv.onnx.rewriting.goals import SPEED
from tconv.onnx.runtimes import RUNTIMES, size

__all__ = ["as_dict", "document"]

COLUMNS = ("layer", "problem", "weights", "multiplications", "share", "in", "out", "columns")
TERMS = (
    ("Weights:", "in, out/groups, kernel."),
    ("Multiplications:", "those that reach an output; share: their share of the model's."),
    ("In, out:", "the size of the maps."),
    (
        "Columns:",
        "the buffer for one group of one image that a runtime needs if it computes by GEMM and col2im.",
    ),
)
_MOST_DRAWN = 6  # problems
_FEW = 3  # inputs of a drawing along an axis


def document(found: InspectionData, *, page: bool = False) -> Document:
    """The layers, how each runtime computes them, rewritings, findings by code; for a `page` with drawings.

    >>> document(InspectionData(source="m.onnx", about={}, layers=(), work=(), diagnosis=None)).lead
    'no transposed convolution, no finding'
    """
    told = found.diagnosis.findings if found.diagnosis else ()
    sections = [Section("layers", "", tuple(_layers(found, page)))]
    if found.layers:
        sections.append(Section("runtimes", "How each runtime computes it", (_runtimes(found),)))
        if found.rewritable:
            could = Entries(tuple(rewritings(found)))
            sections.append(Section("rewritings", "What tconv rewrite could do, exactly", (could,)))
    listed = tuple(findings(told))
    if page:
        sections.append(Section("findings", "Findings", listed or (Line("Nothing found."),)))
        sections += _drawings(found)
    else:
        sections.append(Section("findings", "", listed))
    return Document(
        titled(found.source, page), tuple(sections), lead(len(found.layers), len(told)), "tconv inspect"
    )


def _layers(found: InspectionData, page: bool) -> Iterator[Item]:
    yield Line(about(found))
    if found.layers:
        kinds = ("name", "code", "words", *["number"] * 5)
        rows = tuple(cells(found, layer) for layer in found.layers)
        yield Table("layers", COLUMNS, rows, kinds=kinds)
        yield Line(total(found))
        if page:
            yield Entries(TERMS, terms=True)
    for said in (lambda layer: layer.layer.told, lambda layer: layer.why):
        for names, why in together(found.layers, lambda layer: layer.name, said):
            if why:
                yield Line(f"{names}: {why}")
    yield from map(Line, found.notes)


def _runtimes(found: InspectionData) -> Table:
    """How each runtime computes the layers: one row for layers with the same entries."""
    alike = together(found.layers, lambda layer: layer.name, lambda layer: tuple(layer.runtimes.items()))
    rows = tuple((names, *dict(told).values()) for names, told in alike if told)
    kinds = ("name", *["words"] * len(RUNTIMES))
    return Table("runtimes", ("layer", *RUNTIMES), rows, kinds=kinds, stacked=True)


def _drawings(found: InspectionData) -> Iterator[Section]:
    """Each kind of layer on a few inputs: its stamps, and how many taps reach an output."""
    problems: dict[Geometry, list[str]] = {}
    for layer in found.layers:
        if layer.layer.geometry is not None:
            problems.setdefault(_small(layer.layer.geometry), []).append(clean(layer.name))
    items: list[Item] = [
        drawn(partial(_views, geometry), ", ".join(names))
        for geometry, names in list(problems.items())[:_MOST_DRAWN]
    ]
    if len(problems) > _MOST_DRAWN:
        items.append(Line(f"{counted(len(problems) - _MOST_DRAWN, 'more kind')} of layer, not drawn."))
    if items:
        yield Section("drawings", "The layers as drawings", tuple(items))
    pictures = tuple(figures(found.diagnosis)) if found.diagnosis else ()
    if pictures:
        yield Section("pictures", "Pictures", pictures)


def _views(geometry: Geometry) -> list[tuple[str, Picture]]:
    return [
        (f"{geometry}, one channel: each input stamps its multiple of the kernel", draw(geometry, "stamp")),
        ("How many taps reach each output", draw(geometry, "coverage")),
    ]


def _small(g: Geometry) -> Geometry:
    """The same layer with one channel and as few inputs as leave outputs after cropping."""
    one = replace(g, batch=1, in_channels=1, out_channels=1, groups=1)
    few = [min(size, _FEW) for size in g.input]
    for a, ((lo, hi), s) in enumerate(zip(g.padding, g.stride, strict=True)):
        few[a] = min(g.input[a], max(few[a], (lo + hi) // s + 1))
    return replace(one, input=tuple(few))


def about(found: InspectionData) -> str:
    """The opset, the nodes and the inputs in one line."""
    known = dict(found.about)
    inputs = ", ".join(f"{name} {shape}" for name, shape in known.pop("inputs", {}).items())
    said = [f"{name.replace('_', ' ')} {value}" for name, value in known.items() if value]
    return "; ".join([*said, f"inputs {inputs}"] if inputs else said)


def cells(found: InspectionData, layer: Inspected) -> tuple[str, ...]:
    """One row of the table of layers."""
    memory, share = layer.memory, found.share(layer)
    most = "" if found.whole else "<= "
    return (
        clean(layer.name, 40),
        layer.problem,
        layer.weights,
        "?" if layer.multiplications is None else f"{layer.multiplications:,}",
        "?" if share is None else f"{most}{share:.1%}",
        *(("?",) * 3 if memory is None else map(size, (memory.input, memory.output, memory.columns))),
    )


def total(found: InspectionData) -> str:
    """All multiplications of the model, by operator."""
    if not found.multiplications and not found.whole:
        return "Multiplications of the model: not known without the sizes of its inputs."
    works = [work for work in found.work if work.counted and work.multiplications]
    whose = ", ".join(f"{work.operator} {work.multiplications:,} ({work.nodes})" for work in works[:8])
    known = "" if found.whole else " as far as sizes are known"
    return f"Multiplications of the model{known}: {found.multiplications:,}: {whose or 'none'}."


def rewritings(found: InspectionData) -> list[tuple[str, str]]:
    """(nodes, rules that apply there), transposed convolutions first."""
    speed = {rule for rules in SPEED.values() for rule in rules}
    rows = []
    for names, rules in together(found.layers, lambda layer: layer.name, lambda layer: layer.fires):
        if not rules:
            continue
        parts = [
            f"{goal} {', '.join(chosen)}"
            for goal, chosen in (
                ("for speed, if measured faster:", [rule for rule in rules if rule in speed]),
                ("for the engine:", [rule for rule in rules if rule == "to-engine"]),
                ("for targets:", [rule for rule in rules if rule not in {*speed, "to-engine"}]),
            )
            if chosen
        ]
        rows.append((names, "; ".join(parts)))
    others: dict[str, list[str]] = {}
    for rule, node, _ in found.elsewhere:
        others.setdefault(rule, []).append(clean(node))
    for rule, nodes in others.items():
        more = f" and {len(nodes) - 6} more" if len(nodes) > 6 else ""
        rows.append((", ".join(nodes[:6]) + more, rule))
    return rows or [("nothing", "no rule applies")]


def as_dict(found: InspectionData) -> dict[str, Any]:
    """All fields, for JSON; names are as in the file."""
    return {
        "source": found.source,
        **found.about,
        "notes": list(found.notes),
        "multiplications": found.multiplications,
        "multiplications_known": found.whole,
        "layers": [
            {
                "name": layer.name,
                "where": layer.where,
                "problem": layer.problem,
                "unknown": layer.why,
                "weights": layer.weights,
                "layout": "(in, out/groups, *kernel)",
                "dtype": layer.dtype,
                "operator": layer.layer.operator,
                "quantized": dict(layer.layer.quantized),
                "multiplications": layer.multiplications,
                "share": found.share(layer),
                "bytes": None if layer.memory is None else asdict(layer.memory),
                "runtimes": layer.runtimes,
                "rewrites": dict(layer.rewrites),
            }
            for layer in found.layers
        ],
        "work": [work.as_dict() for work in found.work],
        "rewrites_elsewhere": [
            {"rule": rule, "node": node, "where": where} for rule, node, where in found.elsewhere
        ],
        "findings": [finding.as_dict() for finding in found.diagnosis.findings] if found.diagnosis else [],
    }
