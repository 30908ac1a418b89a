"""The figures of a diagnosis: coverage where it is uneven, and the responses of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from tconv import algebra
from tconv.diagnosis.data import DiagnosisData, Examined
from tconv.diagnosis.measures import stepped
from tconv.diagnosis.pictures import answers, coverage, responses
from tconv.diagnosis.weights import one_tap
from tconv.documents import Figure, Figures, Item, Line, counted
from tconv.drawing import Picture, svg
from tconv.errors import TconvError

__all__ = ["drawn", "figures"]

_MOST_PICTURED = 8  # layers


def figures(diagnosis: DiagnosisData) -> Iterator[Item]:
    """Coverage where it is uneven; constant and frequency responses, before and after equal gains."""
    uneven = {finding.layer for finding in diagnosis.findings if finding.code in ("T101", "T102")}
    seen = {finding.layer for finding in diagnosis.findings if finding.code in ("T201", "T202")}
    shown = [entry for entry in diagnosis.layers if entry.layer.name in uneven | seen]
    for entry in shown[:_MOST_PICTURED]:
        name = entry.layer.name
        if name in uneven:
            yield drawn(partial(_coverage, entry), name)
        if name in seen:
            yield from _of_weights(entry, "" if name in uneven else name)
    left = len(shown) - _MOST_PICTURED
    if left > 0:
        yield Line(f"{counted(left, 'more layer')} of this kind, not drawn.")


def _coverage(entry: Examined) -> list[tuple[str, Picture]]:
    return [("Coverage, on a small map", coverage(entry.layer))]


def _of_weights(entry: Examined, title: str) -> Iterator[Item]:
    layer, measures = entry.layer, entry.measures
    after = None
    if layer.weight is not None and measures.taps.all() and not one_tap(layer):
        # In half precision they may be out of range, which only --fix has to refuse.
        wide = layer.weight.astype(np.result_type(layer.weight.dtype, np.float32))
        after = algebra.equal_phase_gains(wide, stepped(layer), layer.known.dilation)
    yield drawn(lambda: [("The response to a constant", answers(layer, measures, after))], title)
    yield drawn(lambda: responses(layer, after), folded="Filters and frequency response")


def drawn(make: Callable[[], Iterable[tuple[str, Picture]]], title: str = "", folded: str = "") -> Figures:
    """Pictures with their captions, or why there are none: what is too large to be drawn."""
    try:
        made, why = tuple(Figure(svg(picture), caption) for caption, picture in make()), ""
    except TconvError as fault:
        made, why = (), str(fault)
    return Figures(made, title, why, folded=folded)
