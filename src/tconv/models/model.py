"""What a reader returns: the layers of a model, the graph around them, and a function that saves it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, TypeAlias

from tconv.algebra.arrays import Array
from tconv.errors import unknown
from tconv.models.graph import Graph
from tconv.models.layer import ModelLayer

__all__ = ["Model", "Save", "only"]

#: Writes the model with other weights, given by layer name.
Save: TypeAlias = Callable[[IO[bytes], Mapping[str, Array]], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """The layers, and the graph between them if the format has one."""

    layers: tuple[ModelLayer, ...]
    source: str = ""  #: where it came from
    graph: Graph | None = None
    inputs: Mapping[str, tuple[int | str | None, ...]] = field(default_factory=dict)  #: name -> shape
    save: Save | None = None
    alone: bool = False  #: a single weight without a model, which may take another shape
    notes: tuple[str, ...] = ()  #: what was not examined and why, one sentence each
    onnx: Any = None  #: the onnx_ir.Model as in the file, which `tconv rewrite` changes
    sized: Any = None  #: the same with functions inlined and sizes inferred


def only(found: Iterable[ModelLayer], wanted: Iterable[str], where: str) -> tuple[ModelLayer, ...]:
    """The layers with the wanted names; all if no name is given.

    Raises:
        TconvError: a wanted name that is not there.
    """
    layers, names = tuple(found), tuple(wanted)
    known = [layer.name for layer in layers]
    for name in names:
        if name not in known:
            raise unknown(f"{where}: layer", name, known)
    return tuple(layer for layer in layers if not names or layer.name in names)
