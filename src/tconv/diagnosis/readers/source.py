"""What a reader answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import IO, TypeAlias

from tconv.algebra.arrays import Array
from tconv.diagnosis.graph import Graph
from tconv.diagnosis.layers import ModelLayer
from tconv.errors import TconvError

__all__ = ["Save", "Source", "nearest_names", "only"]

#: Writes the file once more with other weights, by the layers' names.
Save: TypeAlias = Callable[[IO[bytes], Mapping[str, Array]], None]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Layers, and the graph between them where the format has one."""

    layers: tuple[ModelLayer, ...]
    graph: Graph | None = None
    save: Save | None = None
    alone: bool = False  #: one weight with nothing around it, which may take another shape
    notes: tuple[str, ...] = ()  #: what was not looked at, a sentence each


def nearest_names(name: str, known: Iterable[str]) -> str:
    """The end of an error: the names nearest to `name`, or the first of all.

    >>> nearest_names("up.0", ["up0", "down"])
    'did you mean up0?'
    """
    names = list(known)
    close = get_close_matches(name, names, 3, 0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"there are {', '.join(names[:8])}{more}" if names else "there is none"


def only(found: Iterable[ModelLayer], wanted: Iterable[str], where: str) -> tuple[ModelLayer, ...]:
    """The layers with the wanted names, all if none is wanted.

    Raises:
        TconvError: a wanted name that is not there.
    """
    layers, names = tuple(found), tuple(wanted)
    known = [layer.name for layer in layers]
    for name in names:
        if name not in known:
            raise TconvError(f"{where}: no layer {name!r}; {nearest_names(name, known)}")
    return tuple(layer for layer in layers if not names or layer.name in names)
