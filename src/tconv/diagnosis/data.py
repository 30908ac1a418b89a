"""What a diagnosis holds: the layers with their numbers, and the findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tconv.diagnosis.findings import Finding
from tconv.diagnosis.measures import Measures
from tconv.models import Model, ModelLayer

__all__ = ["TOLERANCE", "DiagnosisData", "Examined"]

#: The share of a constant's answer that may be a pattern: 1 % is 2.5 of 255 levels of grey.
TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class Examined:
    """One layer and its numbers."""

    layer: ModelLayer
    measures: Measures

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
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
    """What was looked at, and what was found."""

    source: str
    layers: tuple[Examined, ...]  #: the transposed convolutions
    findings: tuple[Finding, ...]  #: the gravest first
    notes: tuple[str, ...] = ()  #: what was not looked at
    tolerance: float = TOLERANCE
    _read: Model | None = field(default=None, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "source": self.source,
            "tolerance": self.tolerance,
            "notes": list(self.notes),
            "layers": [entry.as_dict() for entry in self.layers],
            "findings": [finding.as_dict() for finding in self.findings],
        }
