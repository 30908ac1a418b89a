"""One diagnosis: read, check, measure, find."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from tconv.algebra.arrays import Array
from tconv.arguments import checked
from tconv.diagnosis import coverage, structure, weights
from tconv.diagnosis.data import TOLERANCE, DiagnosisData, Examined
from tconv.diagnosis.findings import Finding, in_order
from tconv.diagnosis.fixes import FIXES, before_reading, fixed
from tconv.diagnosis.measures import measure
from tconv.diagnosis.report import document
from tconv.documents import Document, html, text, together
from tconv.errors import TconvError, clean, said, unknown
from tconv.files import write_aside
from tconv.geometry import Geometry
from tconv.geometry.normalize import PerAxis, per_axis, shown
from tconv.models import SUFFIXES, Model, ModelLayer, read

__all__ = ["TOLERANCE", "Diagnosis", "Examined", "diagnose", "examine"]


@dataclass(frozen=True, kw_only=True)
class Diagnosis(DiagnosisData):
    """The layers that were examined, and the findings; `str` is the report."""

    def document(self) -> Document:
        """The report, for any renderer of `tconv.documents`."""
        return document(self)

    def __str__(self) -> str:
        """The report as text."""
        return text.render(self.document())

    def html(self) -> str:
        """The report as one self-contained HTML page; needs Jinja2."""
        return html.render(document(self, page=True))

    @checked
    def fix(self, how: str = "gains", *, seed: int = 0, names: tuple[str, ...] = ()) -> dict[str, Array]:
        """New weights, by layer name.

        Args:
            how: a name of `tconv.diagnosis.fixes.FIXES`: "gains" equalises the phase gains of layers with
                T201 (those with one tap per phase only by name: they would become nearest upsampling);
                "bilinear" and "icnr" give initial values; "merge" was done on reading; "split" gives the
                convolution after nearest upsampling.
            seed: seed of the random numbers of "icnr".
            names: the layers to correct, instead of those with findings.

        Raises:
            TconvError: no layer to correct, or weights that do not suit this fix.

        >>> weight = np.array([[[1.0, 2.0, 3.0, 3.0]]])
        >>> diagnose("n1 c1>1 i8 k4 s2 p1", weight).fix()["weight"]
        array([[[1.25, 1.75, 3.25, 2.75]]])
        """
        found = {finding.layer for finding in self.findings if finding.code == "T201"}
        return fixed(
            [(entry.layer, entry.layer.name in found) for entry in self.layers],
            how,
            seed=seed,
            names=names,
        )

    @checked
    def write(self, path: Path, fixed_weights: Mapping[str, Array]) -> None:
        """Write a copy of the file with these weights, to a temporary file that is then renamed.

        Raises:
            TconvError: the diagnosis was not made from a file, or the file cannot be written.
        """
        if self._read is None or self._read.save is None:
            raise TconvError(f"{self.source}: nothing to write; --fix needs a file of weights")
        with write_aside(path) as file:
            self._read.save(file, fixed_weights)


def diagnose(
    what: Geometry | str | Path,
    weight: Any = None,
    *,
    problem: Geometry | str | None = None,
    layers: Mapping[str, Geometry | str | None] | None = None,
    input: Mapping[str, tuple[int, ...]] | None = None,
    skip: PerAxis | None = None,
    tolerance: float = TOLERANCE,
    how: str = "gains",
) -> Diagnosis:
    """Report what is wrong, costly or avoidable in transposed convolutions.

    Args:
        what: a Geometry or its spelling; or a file: .npy (with `problem`), a state dict .pt, .pth or .ckpt
            (with `layers`), .pt2 of torch.export, .onnx.
        weight: (in, out/groups, *kernel), for a Geometry.
        layers: name -> problem of a state dict's layers; for a model, the names to examine.
        input: shapes of a model's inputs, by name, where the model leaves them open; "" names the only one.
        skip: spatial sizes of the skip connection that the layer's output is joined with.
        tolerance: largest phase-to-phase variation left unreported, as a share of the constant response.
        how: the intended fix; "merge" reads the weights as those of a convolution after nearest upsampling.

    Raises:
        TconvError: an input of no such kind, a truncated file, weights that are NaN or of another shape.

    >>> flat = np.array([[[0.25, 0.75, 0.75, 0.25]]])
    >>> diagnose("n1 c1>1 i8 k4 s2 p1", flat).findings
    ()
    >>> found = diagnose("n1 c1>1 i8 k4 s2 p1", flat + [0, 0.1, 0, 0]).findings[0]
    >>> found.code, round(found.evidence["ripple"], 3)
    ('T201', 0.048)
    """
    if not isinstance(how, str) or how not in FIXES:
        raise unknown("fix", how, FIXES)
    if not isinstance(tolerance, Real) or not 0 <= tolerance <= 1:
        raise TconvError(f"tolerance {shown(tolerance)}; 0 to 1 would fit")
    for name, value in (("layers", layers), ("input", input)):
        if value is not None and not isinstance(value, Mapping):
            raise TconvError(f"{name}={shown(value)}; a dictionary by name would fit")
    model = _model(what, weight, problem, layers or {}, input or {}, how)
    return examine(model, str(what), skip=skip, tolerance=tolerance, how=how)


def examine(
    model: Model,
    what: str,
    *,
    skip: PerAxis | None = None,
    tolerance: float = TOLERANCE,
    how: str = "gains",
) -> Diagnosis:
    """The diagnosis of a model named `what`; the other arguments are as in `diagnose`."""
    if how in ("merge", "split") and not model.alone:
        raise TconvError(
            f"{what}: {how} gives weights of another shape, which a model cannot take; a .npy would fit"
        )
    checked = [before_reading(layer, how).checked() for layer in model.layers if layer.geometry]
    # Convolutions of stride 1 are kept only for the operators around them.
    strided = [layer for layer in checked if not layer.conv or max(layer.known.stride) > 1]
    examined = [Examined(layer=layer, measures=measure(layer)) for layer in strided]
    found = [
        finding
        for entry in examined
        for finding in _of_layer(entry, tolerance, None if skip is None else skip)
    ]
    if model.graph is not None:
        names = {layer.name for layer in checked}
        found += [finding for finding in structure.of_graph(model.graph) if finding.layer in names]
    return Diagnosis(
        source=what,
        layers=tuple(entry for entry in examined if not entry.layer.conv),
        findings=in_order(found),
        notes=(*_told(model), *model.notes, *_unknown(model)),
        tolerance=tolerance,
        _read=model,
    )


def _told(model: Model) -> Iterator[str]:
    """The layers that are the engine's, or of which something is quantized."""
    layers = [layer for layer in model.layers if not layer.conv and layer.geometry]
    for names, told in together(layers, lambda layer: layer.name, lambda layer: layer.told):
        if told:
            yield f"{names}: {told}"


def _unknown(model: Model) -> Iterator[str]:
    """The transposed convolutions that could not be examined completely, and why."""
    whole = [layer for layer in model.layers if not layer.conv and layer.geometry is None]
    yield from (f"not examined: {clean(layer.name)} ({layer.why})" for layer in whole)
    computed = [
        clean(layer.name) for layer in model.layers if layer.weight is None and layer.geometry and layer.why
    ]
    if computed:
        yield f"weights not examined: {', '.join(computed)} (computed in the model, or an input)"


def _of_layer(entry: Examined, tolerance: float, skip: PerAxis | None) -> Iterator[Finding]:
    layer, measures = entry.layer, entry.measures
    yield from coverage.of_geometry(layer, measures, tolerance)
    yield from weights.of_weights(layer, measures, tolerance)
    yield from coverage.of_plan(layer)
    if skip is not None and not layer.conv:
        yield from coverage.at_skip(layer, per_axis("skip", skip, layer.known.axes))


def _geometry(problem: Geometry | str) -> Geometry:
    return problem if isinstance(problem, Geometry) else Geometry.parse(problem)


def _model(
    what: Geometry | str | Path,
    weight: Any,
    problem: Geometry | str | None,
    layers: Mapping[str, Geometry | str | None],
    input: Mapping[str, tuple[int, ...]],
    how: str,
) -> Model:
    is_file = isinstance(what, Path) or (
        isinstance(what, str) and (Path(what).suffix.lower() in SUFFIXES or os.path.isfile(what))
    )
    if is_file and not isinstance(what, Geometry):
        if weight is not None:
            raise TconvError(f"{what} has its own weights; leave weight out")
        return read(
            Path(what),
            layers={name: None if spelt is None else _geometry(spelt) for name, spelt in layers.items()},
            problem=None if problem is None else _geometry(problem),
            sizes=input,
        )
    if layers or input or problem is not None:
        raise TconvError(f"{what} is a problem; problem, layers and input are for files")
    assert not isinstance(what, Path)
    try:
        array = None if weight is None else np.asarray(weight)
    except ValueError as fault:
        raise TconvError(f"weight={shown(weight)} is no array: {said(fault)}") from None
    name = "layer" if array is None else "weight"
    return Model(layers=(ModelLayer(name=name, geometry=_geometry(what), weight=array),), alone=True)
