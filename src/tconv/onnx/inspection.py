"""A model inspected: each transposed convolution, its cost, how runtimes compute it, what to correct."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tconv.arguments import checked
from tconv.diagnosis import Diagnosis
from tconv.diagnosis.diagnose import examine
from tconv.documents import Document, html, text
from tconv.errors import TconvError, clean
from tconv.geometry.normalize import shown
from tconv.models import Model, ModelLayer
from tconv.models.onnx.nodes import quiet
from tconv.models.onnx.reader import of_ir, read
from tconv.onnx import report
from tconv.onnx.counting import Work, count
from tconv.onnx.inspected import Inspected, InspectionData
from tconv.onnx.preview import would_rewrite

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Inspection", "inspect"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Inspection(InspectionData):
    """The result of an inspection; `str` is the report."""

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return report.as_dict(self)

    def document(self) -> Document:
        """The report, for any renderer of `tconv.documents`."""
        return report.document(self)

    def __str__(self) -> str:
        """The report as text."""
        return text.render(self.document())

    def html(self) -> str:
        """The report as one self-contained HTML page; needs Jinja2."""
        return html.render(report.document(self, page=True))


@checked
def inspect(
    what: Any,
    *,
    sizes: Mapping[str, int] | None = None,
    input: Mapping[str, tuple[int, ...]] | None = None,
    example: Any = None,
) -> Inspection:
    """Inspect a model: every transposed convolution, its problem, cost, runtimes, findings and rewrites.

    Args:
        what: a path to an .onnx file, an `onnx_ir.Model`, a `Model` read from either, or a PyTorch module.
        sizes: sizes of axes that the model leaves open, by name.
        input: shapes of a model's inputs, by name ("" names the only one); also of values in the graph whose
            size depends on the data.
        example: the arguments for a PyTorch module: a tensor, a tuple, or a dict of keywords.

    Raises:
        TconvError: a malformed or truncated file, weights and attributes that contradict each other, unknown
            names; a PyTorch module without an example.
    """
    if _is_module(what):
        return _inspect_module(what, example)
    if example is not None:
        raise TconvError("example is for PyTorch modules; an ONNX model takes sizes and input")
    if isinstance(what, Model):
        model = what
    elif isinstance(what, str | os.PathLike):
        model = read(what, sizes=sizes, input=input)
    else:
        if not any(base.__module__.startswith("onnx_ir") for base in type(what).__mro__):
            raise TconvError(
                f"what={shown(what)} is a {type(what).__name__}; a file, a model of onnx_ir or a module of "
                "PyTorch would fit"
            )
        model = of_ir(what, what.graph.name or "model", sizes=sizes, input=input)
    with quiet():
        return _inspect_model(model)


def _is_module(what: object) -> bool:
    """Whether it is a PyTorch module, without importing PyTorch for other objects."""
    return any(base.__module__ == "torch.nn.modules.module" for base in type(what).__mro__)


def _inspect_model(model: Model) -> Inspection:
    rewrites = would_rewrite(model.onnx)
    layers = [_as_far_as_bearable(layer) for layer in model.layers]
    found = [layer for layer in layers if not layer.conv]
    work = count(model.sized, found)
    diagnosis, undiagnosed = _diagnosed(replace(model, layers=tuple(layers)))
    places = {layer.origin[:2] for layer in found}
    return Inspection(
        source=model.source,
        about=_about(model.onnx),
        layers=tuple(Inspected(layer=one, rewrites=rewrites.get(one.origin[:2], {})) for one in found),
        work=work,
        diagnosis=diagnosis,
        elsewhere=tuple(
            (rule, name, where)
            for (where, name), rules in rewrites.items()
            for rule, reason in rules.items()
            if reason is None and (where, name) not in places
        ),
        notes=(*model.notes, *_notes(model.sized, work), *undiagnosed),
    )


def _inspect_module(module: Any, example: Any) -> Inspection:
    from tconv.models.module import watch

    model, products = watch(module, example)
    work: dict[str, Work] = {}
    for name, number in products:
        had = work.get(name, Work(operator=name, nodes=0, multiplications=0, open=0))
        work[name] = replace(
            had,
            nodes=had.nodes + 1,
            multiplications=had.multiplications + (number or 0),
            open=had.open + (number is None),
            counted=number is not None,
        )
    diagnosis, undiagnosed = _diagnosed(model)
    return Inspection(
        source=model.source,
        about={"inputs": {name: str(list(shape)) for name, shape in model.inputs.items()}},
        layers=tuple(Inspected(layer=layer) for layer in model.layers if not layer.conv),
        work=tuple(sorted(work.values(), key=lambda one: -one.multiplications)),
        notes=(*_uncounted(work.values()), *undiagnosed),
        diagnosis=diagnosis,
        rewritable=False,
    )


def _diagnosed(model: Model) -> tuple[Diagnosis | None, tuple[str, ...]]:
    """The diagnosis of the layers whose geometry is known, or why there is none."""
    if all(layer.conv or layer.geometry is None for layer in model.layers):
        return None, ()
    try:
        return examine(model, model.source), ()
    except TconvError as fault:
        return None, (f"not diagnosed: {fault}",)


def _as_far_as_bearable(layer: ModelLayer) -> ModelLayer:
    """The layer, without a geometry that is too large to examine; with a note if OpenVINO differs."""
    if layer.geometry is None:
        return layer
    try:
        replace(layer, weight=None).checked()
    except TconvError as fault:
        return replace(layer, geometry=None, sized=False, why=str(fault))
    if _read_otherwise(layer):
        why = "here OpenVINO crops other cells than ONNX Runtime"
        return replace(layer, why="; ".join(filter(None, (layer.why, why))))
    return layer


def _read_otherwise(layer: ModelLayer) -> bool:
    """Whether OpenVINO outputs another part of the full output (`tconv.conventions.onnx`)."""
    told, g = layer.options, layer.geometry
    if layer.conv or told is None or g is None or not layer.sized:
        return False
    return told.window(g.input) != told.window(g.input, "openvino")


def _about(model: ir.Model) -> dict[str, Any]:
    inputs = {
        clean(value.name): f"[{', '.join(clean(size) for size in value.shape or ())}]"
        for value in model.graph.inputs
        if value.const_value is None
    }
    return {
        "opset": int(model.opset_imports.get("", 0)),
        "ir_version": model.ir_version,
        "producer": clean(f"{model.producer_name or ''} {model.producer_version or ''}".strip()),
        "nodes": sum(1 for _ in model.graph.all_nodes()),
        "inputs": inputs,
    }


def _uncounted(work: Iterable[Work]) -> list[str]:
    """What was not counted, one sentence each."""
    work, notes = list(work), []
    unknown = [entry.operator for entry in work if not entry.counted]
    if unknown:
        notes.append(f"not counted, since their operation is unknown: {', '.join(map(clean, unknown))}")
    open_ = [
        f"{entry.open} of {entry.nodes} {entry.operator}" for entry in work if entry.open and entry.counted
    ]
    if open_:
        notes.append(
            f"sizes not known: {', '.join(open_)}; --size and --input set those that a model leaves open"
        )
    return notes


def _notes(model: ir.Model, work: Sequence[Work]) -> list[str]:
    notes = _uncounted(work)
    if any(node.op_type in ("If", "Loop", "Scan") for node in model.graph.all_nodes()):
        notes.append("each branch and loop body is counted once, however often it runs")
    return notes
