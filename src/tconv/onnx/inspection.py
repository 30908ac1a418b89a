"""A model looked through: each transposed convolution, its cost, who computes it how, what to mend."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tconv.diagnosis import Diagnosis
from tconv.diagnosis.diagnose import examine
from tconv.errors import TconvError, clean
from tconv.geometry import Geometry
from tconv.models import Model, ModelLayer
from tconv.models.onnx.nodes import quiet
from tconv.models.onnx.reader import of_ir, read
from tconv.onnx import runtimes
from tconv.onnx.counting import Work, count

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Inspected", "Inspection", "Memory", "inspect"]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes that a layer needs; `columns` is the buffer of a runtime that computes by GEMM and col2im."""

    input: int
    output: int
    weights: int
    columns: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Inspected:
    """One transposed convolution."""

    layer: ModelLayer
    rewrites: Mapping[str, str | None] = field(
        default_factory=dict
    )  #: rule -> None (fires), or why it does not

    @property
    def name(self) -> str:
        """The layer's own."""
        return self.layer.name

    @property
    def where(self) -> str:
        """ "graph", or the branch, loop or module that holds it."""
        return self.layer.where

    @property
    def why(self) -> str:
        """What is not known."""
        return self.layer.why

    @property
    def dtype(self) -> str:
        """NumPy's name of the weights' type."""
        return self.layer.dtype

    @property
    def geometry(self) -> Geometry | None:
        """The problem; None where a size is open."""
        return self.layer.geometry if self.layer.sized else None

    @property
    def problem(self) -> str:
        """Our spelling, with ? for each open size."""
        g, held = self.layer.geometry, self.layer.input
        if g is None:
            return "?"
        batch = held[0] if held else None
        spelt = re.sub(r"^n\d+", f"n{batch or '?'}", str(g))
        if self.layer.sized:
            return spelt
        sizes = "x".join("?" if size is None else str(size) for size in held[2:] or (None,) * g.axes)
        return re.sub(r"\bi[\dx]+", f"i{sizes}", spelt)

    @property
    def weights(self) -> str:
        """Shape, layout and type."""
        g, layer = self.layer.geometry, self.layer
        shape = g.weight_shape if g is not None else None
        if shape is None and layer.options is not None and layer.channels is not None:
            shape = (layer.channels[0], layer.channels[1] // layer.options.groups, *layer.options.kernel)
        return "" if shape is None else f"{'x'.join(map(str, shape))} {layer.dtype}"

    @property
    def multiplications(self) -> int | None:
        """Those that reach an output; None where a size is open."""
        return None if self.geometry is None else self.geometry.macs_exact

    @property
    def memory(self) -> Memory | None:
        """What it needs; None where a size is open."""
        if self.geometry is None:
            return None
        g, each = self.geometry, 2 if self.dtype in ("float16", "bfloat16") else np.dtype(self.dtype).itemsize
        return Memory(
            input=prod(g.input_shape) * each,
            output=prod(g.output_shape) * each,
            weights=prod(g.weight_shape) * each,
            columns=runtimes.columns(g) * each,
        )

    @property
    def runtimes(self) -> dict[str, str]:
        """Runtime -> what it does with this layer."""
        g = self.layer.geometry
        return {} if g is None else runtimes.of_layer(g, self.dtype, self.layer.sized)

    @property
    def fires(self) -> tuple[str, ...]:
        """The rules of `tconv rewrite` that apply here."""
        return tuple(rule for rule, reason in self.rewrites.items() if reason is None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Inspection:
    """What was found in a model; `str` is the report."""

    source: str
    about: Mapping[str, Any]  #: opset, producer and the like
    layers: tuple[Inspected, ...]
    work: tuple[Work, ...]  #: of all operators that multiply
    diagnosis: Diagnosis | None  #: None without a layer to look at
    rewritable: bool = True  #: False for what `tconv rewrite` does not take: a PyTorch module
    elsewhere: tuple[tuple[str, str, str], ...] = ()  #: rules that fire at other nodes: (rule, node, where)
    notes: tuple[str, ...] = ()

    @property
    def multiplications(self) -> int:
        """Those of the whole model, as far as sizes are known."""
        return sum(work.multiplications for work in self.work)

    @property
    def whole(self) -> bool:
        """Whether every operator that multiplies has been counted."""
        return not any(work.open for work in self.work)

    def share(self, layer: Inspected) -> float | None:
        """The layer's part of all multiplications; where some are not known, the most that it can be."""
        mine = layer.multiplications
        return None if mine is None else mine / max(self.multiplications, 1)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        from tconv.onnx.report import as_dict

        return as_dict(self)

    def __str__(self) -> str:
        """The report as text."""
        from tconv.onnx.report import text

        return text(self)

    def html(self) -> str:
        """The report as one page that asks no network for anything."""
        from tconv.onnx.page import html

        return html(self)


def inspect(
    what: Any,
    *,
    sizes: Mapping[str, int] | None = None,
    input: Mapping[str, tuple[int, ...]] | None = None,
    example: Any = None,
) -> Inspection:
    """Look through a model: every transposed convolution, its problem, cost, runtimes, findings, rewrites.

    Args:
        what: a path to an .onnx file, an `onnx_ir.Model`, or a PyTorch module.
        sizes: axes that the model leaves open, by their names.
        input: shapes of a model's inputs, by name ("" names the only one); also of values in the graph whose
            size depends on the data.
        example: what a PyTorch module is called with: a tensor, a tuple of arguments, or a dict of them.

    Raises:
        TconvError: a file that cannot be trusted or is cut short, weights and attributes that contradict each
            other, unknown names; a PyTorch module without an example.
    """
    if _is_module(what):
        return _inspect_module(what, example)
    if example is not None:
        raise TconvError("example is for PyTorch modules; an ONNX model takes sizes and input")
    if isinstance(what, str | os.PathLike):
        model = read(what, sizes=sizes, input=input)
    else:
        model = of_ir(what, what.graph.name or "model", sizes=sizes, input=input)
    with quiet():
        return _inspect_model(model)


def _is_module(what: object) -> bool:
    """Whether it is one of PyTorch's, without importing PyTorch for anything else."""
    return any(base.__module__ == "torch.nn.modules.module" for base in type(what).__mro__)


def _inspect_model(model: Model) -> Inspection:
    from tconv.onnx.preview import would_rewrite

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
    """The layer, without a geometry that is too large to look at; and whether OpenVINO reads it otherwise."""
    if layer.geometry is None:
        return layer
    try:
        replace(layer, weight=None).checked()
    except TconvError as fault:
        return replace(layer, geometry=None, sized=False, why=str(fault))
    if _read_otherwise(layer):
        why = "OpenVINO crops other cells here than ONNX Runtime"
        return replace(layer, why="; ".join(filter(None, (layer.why, why))))
    return layer


def _read_otherwise(layer: ModelLayer) -> bool:
    """Whether OpenVINO answers with another part of the full output (`tconv.conventions.onnx`)."""
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
    """What was not counted, a sentence each."""
    work, notes = list(work), []
    unknown = [entry.operator for entry in work if not entry.counted]
    if unknown:
        notes.append(f"not counted, as it is not known what they compute: {', '.join(map(clean, unknown))}")
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
        notes.append("branches and the bodies of loops are counted once each, however often they run")
    return notes
