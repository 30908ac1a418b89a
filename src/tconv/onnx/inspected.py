"""What an inspection holds: the layers with their costs, all multiplications, and the findings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tconv.diagnosis import Diagnosis
from tconv.geometry import Geometry
from tconv.models import ModelLayer
from tconv.onnx import runtimes
from tconv.onnx.counting import Work

__all__ = ["Inspected", "InspectionData", "Memory"]


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
    )  #: rule -> None if it applies, else why not

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name

    @property
    def where(self) -> str:
        """ "graph", or the branch, loop or module that contains it."""
        return self.layer.where

    @property
    def why(self) -> str:
        """What is not known, and why."""
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
        """The problem in tconv's spelling, with ? for each open size."""
        g, held = self.layer.geometry, self.layer.input
        if g is None or (self.layer.options is not None and self.layer.options.pads is None):
            return "?"  # with output_shape the padding depends on the size
        batch = held[0] if held else None
        spelt = re.sub(r"^n\d+", f"n{batch or '?'}", str(g))
        if self.layer.sized:
            return spelt
        sizes = "x".join("?" if size is None else str(size) for size in held[2:] or (None,) * g.axes)
        return re.sub(r"\bi[\dx]+", f"i{sizes}", spelt)

    @property
    def weights(self) -> str:
        """The shape and type of the weights."""
        g, layer = self.layer.geometry, self.layer
        shape = g.weight_shape if g is not None else None
        if shape is None and layer.options is not None and layer.channels is not None:
            shape = (layer.channels[0], layer.channels[1] // layer.options.groups, *layer.options.kernel)
        return "" if shape is None else f"{'x'.join(map(str, shape))} {layer.dtype}"

    @property
    def multiplications(self) -> int | None:
        """The multiplications that reach an output; None if a size is open."""
        return None if self.geometry is None else self.geometry.macs_exact

    @property
    def memory(self) -> Memory | None:
        """The memory that the layer needs; None if a size is open."""
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
        """Runtime -> how it computes this layer."""
        g = self.layer.geometry
        if g is None:
            return {}
        return runtimes.of_layer(g, self.dtype, self.layer.sized, engine="::" in self.layer.operator)

    @property
    def fires(self) -> tuple[str, ...]:
        """The rules of `tconv rewrite` that apply here."""
        return tuple(rule for rule, reason in self.rewrites.items() if reason is None)


@dataclass(frozen=True, kw_only=True, eq=False)
class InspectionData:
    """The result of an inspection."""

    source: str
    about: Mapping[str, Any]  #: opset, producer and the like
    layers: tuple[Inspected, ...]
    work: tuple[Work, ...]  #: per operator that multiplies
    diagnosis: Diagnosis | None  #: None if there is no layer to diagnose
    rewritable: bool = True  #: False if `tconv rewrite` does not take it: a PyTorch module
    elsewhere: tuple[tuple[str, str, str], ...] = ()  #: rules that apply at other nodes: (rule, node, where)
    notes: tuple[str, ...] = ()

    @property
    def multiplications(self) -> int:
        """The multiplications of the whole model, as far as sizes are known."""
        return sum(work.multiplications for work in self.work)

    @property
    def whole(self) -> bool:
        """Whether the multiplications of every operator have been counted."""
        return not any(work.open for work in self.work)

    def share(self, layer: Inspected) -> float | None:
        """The layer's share of all multiplications; an upper bound if some are not known."""
        mine = layer.multiplications
        return None if mine is None else mine / max(self.multiplications, 1)
