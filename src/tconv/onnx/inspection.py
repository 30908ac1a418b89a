"""A model looked through: each transposed convolution, its cost, who computes it how, what to mend."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tconv.algebra.arrays import Array
from tconv.diagnosis import Diagnosis
from tconv.diagnosis.layers import ModelLayer, stand_in
from tconv.diagnosis.text import clean, said
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.onnx import runtimes
from tconv.onnx.attributes import geometry
from tconv.onnx.convolutions import Transposed, transposed
from tconv.onnx.counting import Work, count
from tconv.onnx.model import quiet, read
from tconv.onnx.shapes import infer, set_sizes

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Inspected", "Inspection", "Memory", "inspect", "notes_of"]


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

    name: str
    where: str  #: "graph", or the branch, loop or module that holds it
    problem: str  #: our spelling, with ? for each open size
    weights: str  #: shape, layout and type
    dtype: str  #: NumPy's name
    why: str  #: what is not known
    geometry: Geometry | None  #: None where a size is open
    stand_in: Geometry | None  #: with stand-ins for open sizes; None if the weights' shape is open
    weight: Array | None
    rewrites: Mapping[str, str | None] = field(
        default_factory=dict
    )  #: rule -> None (fires), or why it does not

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
        if self.stand_in is None:
            return {}
        return runtimes.of_layer(self.stand_in, self.dtype, self.geometry is not None)

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
        from tconv.onnx.modules import inspect_module

        return inspect_module(what, example)
    if example is not None:
        raise TconvError("example is for PyTorch modules; an ONNX model takes sizes and input")
    if isinstance(what, str | os.PathLike):
        source, model = os.fspath(what), read(what)
    else:
        source, model = what.graph.name or "model", what
    with quiet():
        return _inspect_model(source, model, sizes or {}, input or {})


def _is_module(what: object) -> bool:
    """Whether it is one of PyTorch's, without importing PyTorch for anything else."""
    return any(base.__module__ == "torch.nn.modules.module" for base in type(what).__mro__)


def _inspect_model(
    source: str, model: ir.Model, sizes: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]
) -> Inspection:
    from tconv.onnx.preview import would_rewrite
    from tconv.onnx.surroundings import diagnosed

    sized = model.clone()
    set_sizes(sized, sizes, shapes)
    transposed(sized)  # says at once what is wrong with a layer, in the words of the file
    rewrites = would_rewrite(sized)
    sized, unfollowed = _inlined(sized)
    infer(sized)
    layers = transposed(sized)
    inspected = tuple(_inspected(layer, rewrites.pop((layer.where, layer.name), {})) for layer in layers)
    work = count(sized, layers)
    notes = _notes(sized, work)
    diagnosis, undiagnosed = diagnosed(source, sized, inspected)
    return Inspection(
        source=source,
        about=_about(model),
        layers=inspected,
        work=work,
        diagnosis=diagnosis,
        elsewhere=tuple(
            (rule, name, where)
            for (where, name), rules in rewrites.items()
            for rule, reason in rules.items()
            if reason is None
        ),
        notes=(*unfollowed, *notes, *undiagnosed),
    )


def _inlined(model: ir.Model) -> tuple[ir.Model, tuple[str, ...]]:
    """The model with its functions written out wherever they are called, or why it could not be done."""
    from onnx_ir.passes.common import InlinePass

    if not model.functions:
        return model, ()
    copy = model.clone()
    try:
        InlinePass()(copy)
    except (ValueError, NotImplementedError) as fault:  # another opset inside, for one
        return model, (f"functions are not followed: {said(fault)}",)
    return copy, ()


def _inspected(layer: Transposed, rewrites: Mapping[str, str | None]) -> Inspected:
    dtype = _dtype(layer)
    shape = None
    if layer.attributes is not None and layer.channels is not None:
        shape = (layer.channels[0], layer.channels[1] // layer.attributes.groups, *layer.attributes.kernel)
    guess, why = layer.geometry or _guess(layer), layer.why
    if guess is not None:
        try:
            ModelLayer(name=layer.name, geometry=guess).checked()
        except TconvError as fault:
            guess, why = None, str(fault)
    if _read_otherwise(layer):
        why = "; ".join(filter(None, (why, "OpenVINO crops other cells here than ONNX Runtime")))
    return Inspected(
        name=layer.name,
        where=layer.where,
        problem=_problem(layer, layer.geometry or guess),
        weights="" if shape is None else f"{'x'.join(map(str, shape))} {dtype}",
        dtype=dtype,
        why=why,
        geometry=layer.geometry,
        stand_in=guess,
        weight=layer.weight,
        rewrites=rewrites,
    )


def _read_otherwise(layer: Transposed) -> bool:
    """Whether OpenVINO answers with another part of the full output (`tconv.conventions.onnx`)."""
    told, g = layer.attributes, layer.geometry
    if told is None or g is None:
        return False
    # The pads of `told` are those that ONNX Runtime makes of output_shape: they say nothing there.
    channels = g.in_channels, g.out_channels
    ours, theirs = (geometry(told, channels, g.input, g.batch, name) for name in ("onnxruntime", "openvino"))
    return ours != theirs


def _dtype(layer: Transposed) -> str:
    if layer.weight is not None:
        return str(layer.weight.dtype)
    kinds = [value.dtype for value in layer.node.inputs if value is not None and value.dtype is not None]
    return str(kinds[0].numpy()) if kinds else "float32"


def _guess(layer: Transposed) -> Geometry | None:
    """The problem with stand-ins for the sizes that are open."""
    told = layer.attributes
    if told is None or layer.channels is None:
        return None
    if told.pads is None:  # they depend on the size, by output_shape: any that it is reached from
        return None
    most = stand_in(told.stride, told.pads)
    held = layer.input[2:] or (None,) * told.axes
    return layer.geometry_at(tuple(size or guess for size, guess in zip(held, most, strict=True)))


def _problem(layer: Transposed, guess: Geometry | None) -> str:
    """Our spelling, with ? for what is not known."""
    if layer.geometry is not None:
        return re.sub(r"^n\d+", "n?", str(layer.geometry)) if layer.input[0] is None else str(layer.geometry)
    if guess is None:
        return "?"
    held = layer.input[2:] or (None,) * guess.axes
    sizes = "x".join("?" if size is None else str(size) for size in held)
    batch = layer.input[0] if layer.input else None
    return re.sub(r"\bi[\dx]+", f"i{sizes}", re.sub(r"^n\d+", f"n{batch or '?'}", str(guess)))


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


def notes_of(work: Iterable[Work]) -> list[str]:
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
    notes = notes_of(work)
    if any(node.op_type in ("If", "Loop", "Scan") for node in model.graph.all_nodes()):
        notes.append("branches and the bodies of loops are counted once each, however often they run")
    return notes
