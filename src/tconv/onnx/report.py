"""An inspection as text, and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from tconv.diagnosis.report import WIDTH, counted, of_code, table
from tconv.diagnosis.text import clean
from tconv.onnx.rewriting.goals import SPEED
from tconv.onnx.runtimes import size

if TYPE_CHECKING:
    from tconv.onnx.inspection import Inspected, Inspection

__all__ = ["COLUMNS", "as_dict", "cells", "headline", "text", "together", "total"]

COLUMNS = ("layer", "problem", "weights", "multiplications", "share", "in", "out", "columns")


def text(found: Inspection) -> str:
    """Headline, the table of layers, who computes them how, rewritings, the findings by code."""
    lines = [headline(found), *wrap(about(found), WIDTH), ""]
    if not found.layers:
        return "\n".join([*lines[:-1], *_noted(found)])
    lines += table([COLUMNS, *(cells(found, layer) for layer in found.layers)], words=3)
    lines += ["", *wrap(total(found), WIDTH)]
    lines += [*_noted(found), "", "Who computes it how"]
    for names, told in together(found.layers, lambda layer: tuple(layer.runtimes.items())):
        lines += _hanging(names, 2)
        for name, what in told:
            lines += _hanging(f"{name + ':':<14}{what}", 4, 18)
    if found.rewritable:
        lines += ["", "What tconv rewrite could do, each exactly"]
        lines += [line for names, rules in rewritings(found) for line in _hanging(f"{names}: {rules}", 2)]
    if found.diagnosis is not None:
        for code, group in groupby(found.diagnosis.findings, key=lambda finding: finding.code):
            lines += ["", *of_code(code, list(group))]
    return "\n".join(lines)


def headline(found: Inspection) -> str:
    """What was looked at, and how much there is.

    >>> from tconv.onnx.inspection import Inspection
    >>> headline(Inspection(source="m.onnx", about={}, layers=(), work=(), diagnosis=None))
    'm.onnx: no transposed convolution, no finding'
    """
    many = len(found.diagnosis.findings) if found.diagnosis else 0
    layers = counted(len(found.layers), "transposed convolution")
    return f"{clean(found.source, 300)}: {layers}, {counted(many, 'finding')}"


def about(found: Inspection) -> str:
    """Opset, nodes, inputs in one line."""
    known = dict(found.about)
    inputs = ", ".join(f"{name} {shape}" for name, shape in known.pop("inputs", {}).items())
    said = [f"{name.replace('_', ' ')} {value}" for name, value in known.items() if value]
    return "; ".join([*said, f"inputs {inputs}"] if inputs else said)


def cells(found: Inspection, layer: Inspected) -> tuple[str, ...]:
    """One row of the table."""
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


def total(found: Inspection) -> str:
    """All multiplications of the model, and whose they are."""
    if not found.multiplications and not found.whole:
        return "Multiplications of the model: not known without the sizes of its inputs."
    works = [work for work in found.work if work.counted and work.multiplications]
    whose = ", ".join(f"{work.operator} {work.multiplications:,} ({work.nodes})" for work in works[:8])
    known = "" if found.whole else " as far as sizes are known"
    return f"Multiplications of the model{known}: {found.multiplications:,}: {whose or 'none'}."


def together(layers: Any, said: Any) -> list[tuple[str, Any]]:
    """(names, what is said of them): layers of which the same is said stand together."""
    names: dict[Any, list[str]] = {}
    for layer in layers:
        names.setdefault(said(layer), []).append(clean(layer.name))
    return [(", ".join(of_one), told) for told, of_one in names.items() if told]


def rewritings(found: Inspection) -> list[tuple[str, str]]:
    """(nodes, rules that fire there), transposed convolutions first."""
    speed = {rule for rules in SPEED.values() for rule in rules}
    rows = []
    for names, rules in together(found.layers, lambda layer: layer.fires):
        parts = [
            f"{goal} {', '.join(chosen)}"
            for goal, chosen in (
                ("for speed, if measuring agrees:", [rule for rule in rules if rule in speed]),
                ("for targets:", [rule for rule in rules if rule not in speed]),
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
    return rows or [("nothing", "no rule fits")]


def _noted(found: Inspection) -> list[str]:
    why = [(names, told) for names, told in together(found.layers, lambda layer: layer.why)]
    notes = [f"{names}: {told}" for names, told in why] + list(found.notes)
    return [line for note in notes for line in ["", *wrap(note, WIDTH)]]


def _hanging(sentence: str, indent: int, then: int | None = None) -> list[str]:
    return wrap(
        sentence, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (then or indent + 2),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def as_dict(found: Inspection) -> dict[str, Any]:
    """All of it, for JSON; names are as the file has them."""
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
