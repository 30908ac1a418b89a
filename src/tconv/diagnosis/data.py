"""What a diagnosis holds: the layers with their numbers, and the findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tconv.diagnosis.findings import Finding
from tconv.diagnosis.measures import Measures
from tconv.models import Model, ModelLayer

__all__ = ["TOLERANCE", "DiagnosisData", "Examined"]

#: The share of the response to a constant that may be a pattern: 1 % is 2.5 of 255 grey levels.
TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class Examined:
    """One layer and its numbers."""

    layer: ModelLayer
    measures: Measures

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        layer = self.layer
        return {
            "name": layer.name,
            "problem": str(layer.known),
            "sizes_known": layer.sized,
            "dtype": None if layer.weight is None else str(layer.weight.dtype),
            **self.measures.as_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class DiagnosisData:
    """The layers that were examined, and the findings."""

    source: str
    layers: tuple[Examined, ...]  #: the transposed convolutions
    findings: tuple[Finding, ...]  #: the most severe first
    notes: tuple[str, ...] = ()  #: what was not examined
    tolerance: float = TOLERANCE
    _read: Model | None = field(default=None, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return {
            "source": self.source,
            "tolerance": self.tolerance,
            "notes": list(self.notes),
            "layers": [entry.as_dict() for entry in self.layers],
            "findings": [finding.as_dict() for finding in self.findings],
        }
