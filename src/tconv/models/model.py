"""What reading a model answers: its layers, the graph around them, and the way back into a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, TypeAlias

from tconv.algebra.arrays import Array
from tconv.errors import unknown
from tconv.models.graph import Graph
from tconv.models.layer import ModelLayer

__all__ = ["Model", "Save", "only"]

#: Writes the model once more with other weights, by the layers' names.
Save: TypeAlias = Callable[[IO[bytes], Mapping[str, Array]], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """Layers, and the graph between them where the format has one."""

    layers: tuple[ModelLayer, ...]
    source: str = ""  #: where it came from
    graph: Graph | None = None
    inputs: Mapping[str, tuple[int | str | None, ...]] = field(default_factory=dict)  #: name -> shape
    save: Save | None = None
    alone: bool = False  #: one weight with nothing around it, which may take another shape
    notes: tuple[str, ...] = ()  #: what was not looked at and why, a sentence each
    onnx: Any = None  #: the onnx_ir.Model as the file has it, which `tconv rewrite` changes
    sized: Any = None  #: the same with functions written out wherever they are called, and sizes inferred


def only(found: Iterable[ModelLayer], wanted: Iterable[str], where: str) -> tuple[ModelLayer, ...]:
    """The layers with the wanted names, all if none is wanted.

    Raises:
        TconvError: a wanted name that is not there.
    """
    layers, names = tuple(found), tuple(wanted)
    known = [layer.name for layer in layers]
    for name in names:
        if name not in known:
            raise unknown(f"{where}: layer", name, known)
    return tuple(layer for layer in layers if not names or layer.name in names)
