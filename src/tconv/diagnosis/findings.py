"""What a diagnosis can find: the table of codes, and the finding itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = ["CODES", "SEVERITIES", "Code", "Finding", "in_order"]

SEVERITIES = ("error", "warning", "note")


class Code(NamedTuple):
    """A kind of finding."""

    title: str
    severity: str  #: "error": numbers are lost or shapes do not fit; "warning": seen in results; "note"
    meaning: str


#: T1 geometry, T2 weights, T3 sizes, T4 work that could be saved, T5 speed.
CODES: Mapping[str, Code] = MappingProxyType(
    {
        "T101": Code(
            "uneven coverage",
            "warning",
            "Where the kernel is not a multiple of the stride, some outputs sum more taps than others: "
            "a checkerboard from the start (Odena, Dumoulin, Olah 2016). The gradient that a strided "
            "convolution of this kernel and stride sends back has the same pattern.",
        ),
        "T102": Code(
            "outputs that no tap reaches", "error", "Their value is the bias, whatever the input is."
        ),
        "T103": Code(
            "inputs without influence",
            "warning",
            "Everything that they stamp is cropped: they change no output and get no gradient.",
        ),
        "T104": Code(
            "uneven gradient",
            "note",
            "The gradient of a layer's input sums over the outputs that the input reaches. Strided "
            "convolutions with a kernel that is not a multiple of the stride give checkered gradients; "
            "heavy cropping leaves few terms at the borders.",
        ),
        "T201": Code(
            "uneven gains of the phases",
            "warning",
            "The taps of the phases have different sums, so the response to a constant varies from phase to "
            "phase. A kernel that is a multiple of the stride does not prevent this: the weights decide.",
        ),
        "T202": Code(
            "images stronger than those of nearest upsampling",
            "warning",
            "Spectral images, copies of the input's spectrum at high frequencies, pass: grain, checkers, "
            "whistling. Measured for inputs whose neighbours correlate by 0.95, like pixels of photographs. "
            "The share for white noise is also the share of a white gradient that is aliased backwards.",
        ),
        "T203": Code(
            "uneven gains in the gradient",
            "note",
            "In the backward pass of the strided convolution, a constant gradient becomes a pattern.",
        ),
        "T301": Code(
            "sizes that do not match",
            "error",
            "The layer's output and the skip connection differ in size, or one of them is cropped or padded.",
        ),
        "T401": Code(
            "nearest upsampling, then a convolution",
            "note",
            "One transposed convolution computes both exactly, with fewer multiplications.",
        ),
        "T402": Code(
            "BatchNorm that could be folded",
            "note",
            "In evaluation it is a scale and a shift of each channel, which fit into the layer's weights.",
        ),
        "T403": Code(
            "BatchNorm on a grouped layer that could be folded",
            "warning",
            "It must be folded by group: tools that scale axis 1 of a grouped transposed weight as a whole "
            "give wrong weights or refuse.",
        ),
        "T501": Code(
            "a slow plan",
            "note",
            "The engine uses plain loops for this layer, or far more multiplications than it needs.",
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding about one layer."""

    code: str
    layer: str
    text: str  #: the evidence in a sentence
    fix: str  #: what to do about it
    evidence: Mapping[str, Any] = field(default_factory=dict)  #: the numbers, ready for JSON

    @property
    def title(self) -> str:
        """The name of its code."""
        return CODES[self.code].title

    @property
    def severity(self) -> str:
        """error, warning or note."""
        return CODES[self.code].severity

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return {
            "code": self.code,
            "severity": self.severity,
            "layer": self.layer,
            "title": self.title,
            "text": self.text,
            "evidence": dict(self.evidence),
            "fix": self.fix,
        }


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The most severe first, then by code."""
    return tuple(sorted(findings, key=lambda found: (SEVERITIES.index(found.severity), found.code)))
