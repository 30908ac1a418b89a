"""Everything that the demo finds: the learned layers and the measurements."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tconv.demos.deconvnet.crops import drawn
from tconv.demos.deconvnet.learning import Learned, Settings, learn
from tconv.demos.deconvnet.measuring import WAYS, Denoised, Point, Rebuilt, curve, denoised, rebuilt
from tconv.documents import Cell
from tconv.nets.deconvolutional import DeconvNet
from tconv.runs.log import note

__all__ = ["Found", "mean", "measure", "plain", "summary"]

CURVES = {"layer 1, p = 1": (1, 1.0), "layer 1, p = 0.8": (1, 0.8), "layer 2, p = 1": (2, 1.0)}
"""Name of a curve -> its layer, and the exponent that the maps are inferred with."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the demo finds."""

    settings: Settings
    learned: Learned
    net: DeconvNet
    rebuilt: tuple[Rebuilt, ...]
    curves: dict[str, list[Point]]
    strengths: dict[str, tuple[float, ...]]  #: chosen for each way to denoise
    denoised: tuple[Denoised, ...]
    seconds: float  #: of this run; less than the whole if it was resumed


def measure(state: Path, settings: Settings) -> Found:
    """Learn, or go on from the file `state`, and measure the result on test pictures."""
    start = time.perf_counter()
    pictures = drawn(settings.side, settings.crops, settings.seed)
    learned = learn(pictures, settings, state)
    net = learned.net(settings.continuation)
    note("rebuilding and denoising the test pictures")
    curves = {name: curve(net, settings.side, layer, p) for name, (layer, p) in CURVES.items()}
    strengths, cleaned = denoised(net, settings.side, settings.seed)
    return Found(
        settings,
        learned,
        net,
        tuple(rebuilt(net, settings.side)),
        curves,
        strengths,
        tuple(cleaned),
        time.perf_counter() - start,
    )


def mean(values: Any) -> float:
    """The mean of some numbers."""
    listed = list(values)
    return float(sum(listed) / len(listed))


def summary(found: Found) -> Iterator[tuple[Cell, ...]]:
    """Rows: a name, its maps, their density, the ratio of what is rebuilt, and of what is denoised."""
    yield ("noisy picture", None, None, None, f"{mean(each.ratio for each in found.denoised):.2f}")
    for number, way in enumerate(WAYS):
        ratio = f"{mean(each.ratios[number] for each in found.denoised):.2f}"
        if not way.startswith("layer"):
            yield (way, None, None, None, ratio)
            continue
        layer = int(way.removeprefix("layer ")) - 1
        yield (
            way,
            len(found.net.layers[layer].filters),
            f"{mean(each.densities[layer] for each in found.rebuilt):.3f}",
            f"{mean(each.ratios[layer] for each in found.rebuilt):.2f}",
            ratio,
        )


def plain(found: Found) -> dict[str, Any]:
    """All numbers as plain values."""
    columns = ("cost", "error", "density", "used")
    return {
        "settings": found.settings.plain(),
        "seconds": found.seconds,
        "epochs": [[dict(zip(columns, row, strict=True)) for row in rows] for rows in found.learned.rows],
        "rebuilt": {
            each.name: {"snr": list(each.ratios), "density": list(each.densities)} for each in found.rebuilt
        },
        "curves": {
            name: [{"density": point.density, "error": point.error} for point in points]
            for name, points in found.curves.items()
        },
        "denoised": {
            each.name: {"noisy": each.ratio, **dict(zip(WAYS, each.ratios, strict=True))}
            for each in found.denoised
        },
        "strengths": {way: list(values) for way, values in found.strengths.items()},
    }
