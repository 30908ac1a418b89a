"""Findings in trained weights: gains of the phases, and spectral images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tconv import algebra
from tconv.algebra.arrays import Array
from tconv.diagnosis.findings import Finding
from tconv.diagnosis.measures import PICTURE, Measures, WeightMeasures, nearest_images, stepped
from tconv.models.layer import ModelLayer

__all__ = ["of_weights", "one_tap"]


def one_tap(layer: ModelLayer) -> bool:
    """Whether each phase has one tap, so that equal gains leave nearest upsampling."""
    g = layer.known
    return int(algebra.phase_taps(g.kernel, stepped(layer), g.dilation).max()) == 1


def of_weights(layer: ModelLayer, measures: Measures, tolerance: float) -> Iterator[Finding]:
    """T201 to T203."""
    found, weight = measures.weights, layer.weight
    if found is None or weight is None or measures.taps.size == 1:
        return
    # Phases without taps are reported by T102 or T104; weights cannot correct them.
    if max(found.ripple, found.ripple_ones) > tolerance and measures.taps.all():
        yield (_gradient_gains if layer.conv else _gains)(layer, found, weight)
    mark = nearest_images(stepped(layer))
    if not layer.conv and found.images > mark:
        yield Finding(
            code="T202",
            layer=layer.name,
            text=f"{found.images:.1%} of the output's power are spectral images; nearest upsampling has "
            f"{mark:.1%}; for white noise {found.images_noise:.1%}",
            evidence={
                "images": found.images, "images_nearest": mark, "correlation": PICTURE,
                "images_noise": found.images_noise, "gradient_folded_noise": found.images_noise,
            },
            fix="equal phase gains remove the part at frequency 0; train from bilinear or ICNR weights",
        )  # fmt: skip


def _evidence(layer: ModelLayer, found: WeightMeasures, weight: Array) -> tuple[dict[str, object], float]:
    g = layer.known
    # In half precision the corrected weights may be out of range, which only --fix has to refuse.
    wide = weight.astype(np.result_type(weight.dtype, np.float32))
    flat = algebra.equal_phase_gains(wide, stepped(layer), g.dilation)
    size = float(np.linalg.norm(weight.ravel().astype(complex)))
    moved = float(np.linalg.norm((np.asarray(flat) - wide).ravel().astype(complex))) / size if size else 0.0
    gains = np.abs(found.channels[found.worst])
    evidence: dict[str, object] = {
        "ripple": found.ripple,
        "ripple_ones": found.ripple_ones,
        "worst_channel": found.worst,
        "worst_channel_least": float(gains.min()),
        "worst_channel_most": float(gains.max()),
        "change_of_fix": moved,
    }
    return evidence, moved


def _gains(layer: ModelLayer, found: WeightMeasures, weight: Array) -> Finding:
    evidence, moved = _evidence(layer, found, weight)
    worst = found.channels[found.worst]
    span = (
        f"{np.abs(worst).min():.3g} to {np.abs(worst).max():.3g} in size"
        if worst.dtype.kind == "c"
        else f"{worst.min():.3g} to {worst.max():.3g}"
    )
    if one_tap(layer):
        fix = (
            f"equal gains (--fix; they move the weights by {moved:.0%} of their norm) would leave nearest "
            "upsampling here, since each phase has one tap: a smoothing convolution after the layer is better"
        )
    else:
        fix = f"equal phase gains (--fix): the nearest flat weights are {moved:.1%} of the norm away"
    return Finding(
        code="T201",
        layer=layer.name,
        text=f"{found.ripple:.1%} of the response to constants is a pattern ({found.ripple_ones:.1%} for "
        f"ones in every channel); the least flat output channel, {found.worst}, responds to ones with "
        f"{span}, phase by phase",
        evidence=evidence,
        fix=fix,
    )


def _gradient_gains(layer: ModelLayer, found: WeightMeasures, weight: Array) -> Finding:
    evidence, _ = _evidence(layer, found, weight)
    return Finding(
        code="T203",
        layer=layer.name,
        text=f"{found.ripple:.1%} of the gradient of a constant is a pattern in the backward pass",
        evidence=evidence,
        fix="its output is not affected; where its input is optimised (saliency, style, adversarial "
        "pictures), smooth that gradient",
    )
