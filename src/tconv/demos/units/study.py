"""The whole of ``tconv demo units`` in a given time: maps, occlusion, then units of every layer in turns."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from tconv.demos.pictures import PICTURES, picture
from tconv.demos.units.networks import EFFICIENTNET, VGG, Layer, Network, networks, wanted
from tconv.demos.units.occlusion import SIDE, SQUARE, Occlusion, occlude
from tconv.demos.units.patches import (
    PATCHES,
    Maps,
    Patch,
    Shown,
    alike,
    candidates,
    prepared,
    projected,
    strongest,
)
from tconv.documents import terminal

__all__ = ["LayerStudy", "Study", "UnitStudy", "study"]

UNITS = 3  #: per layer, at most
DRAWN = 128  #: candidates per layer, of which some are nowhere active
OCCLUDED = ("coffee", "chelsea", "camera")
STEPS = (8, 16)  #: of the square, in pixels: the first that the time allows


@dataclass(frozen=True)
class UnitStudy:
    """A unit and its strongest patches."""

    unit: int
    shown: tuple[Shown, ...]


@dataclass
class LayerStudy:
    """The units of a layer."""

    network: Network
    layer: Layer
    channels: int
    units: list[UnitStudy] = field(default_factory=list)

    def alike(self, *, guided: bool) -> float:
        """How alike the projections of one unit are, the mean over units."""
        cosines = [alike([s.guided if guided else s.projection for s in each.shown]) for each in self.units]
        return float(np.nanmean(cosines)) if cosines else float("nan")


@dataclass
class Study:
    """All that the report shows; `missing` are sentences about networks that are not installed."""

    layers: list[LayerStudy]
    occlusions: list[Occlusion]
    missing: tuple[str, ...]
    pictures: tuple[str, ...]
    seed: int
    seconds: float = 0.0


def study(weights: Path | None, seed: int, end: float) -> Study:
    """Do as much as fits until `end`, a time of `time.monotonic`; at least one unit per layer.

    Raises:
        TconvError: no weights, weights that do not fit, or no pictures.
    """
    begin = time.monotonic()
    found = networks(weights)
    pictures = {name: prepared(picture(name)) for name in PICTURES}
    names = {network.name for network in found}
    missing = tuple(wanted(name) for name in (VGG, EFFICIENTNET) if name not in names)
    made = Study([], [], missing, tuple(pictures), seed)
    drawn: dict[str, list[int]] = {}
    maps: dict[str, Maps] = {}
    with terminal.status("maps of all pictures") as tell:
        for network in found:
            channels = {layer.name: _channels(network, layer) for layer in network.layers}
            random = np.random.default_rng(seed)
            picks = {name: random.permutation(count)[:DRAWN].tolist() for name, count in channels.items()}
            maps[network.name] = candidates(network, picks, pictures)
            for layer in network.layers:
                drawn[f"{network.name} {layer.name}"] = picks[layer.name]
                made.layers.append(LayerStudy(network, layer, channels[layer.name]))
        for network in found:
            if network.name == EFFICIENTNET:
                tell("the gray square")
                made.occlusions = _occlusions(network, end)
        ready = {id(each): _active(each, maps[each.network.name], drawn) for each in made.layers}
        seconds: dict[int, float] = {}
        for number in range(UNITS):
            tell(f"unit {number + 1} of {UNITS} in every layer")
            for each in made.layers:
                started = time.monotonic()
                late = number > 0 and started + seconds.get(id(each), 0.0) > end
                if late or number >= len(ready[id(each)]):
                    continue
                unit, found_patches = ready[id(each)][number]
                shown = (
                    projected(each.network, each.layer, unit, patch, pictures[patch.picture])
                    for patch in found_patches
                )
                each.units.append(UnitStudy(unit, tuple(shown)))
                seconds[id(each)] = time.monotonic() - started
    made.seconds = time.monotonic() - begin
    return made


def _channels(network: Network, layer: Layer) -> int:
    module = network.model.get_submodule(layer.name)
    return int(next(iter(module.parameters())).shape[0])


def _active(each: LayerStudy, maps: Maps, drawn: dict[str, list[int]]) -> list[tuple[int, list[Patch]]]:
    """The first units in the order of drawing that have all their patches."""
    found = []
    for index, unit in enumerate(drawn[f"{each.network.name} {each.layer.name}"]):
        of_unit = {name: whole[index] for (layer, name), whole in maps.items() if layer == each.layer.name}
        patches = strongest(of_unit, each.layer)
        if len(patches) == PATCHES:
            found.append((unit, patches))
        if len(found) == UNITS:
            break
    return found


def _occlusions(network: Network, end: float) -> list[Occlusion]:
    """All pictures with the finest step that takes at most a third of the time, reckoned from one row."""
    started = time.monotonic()
    with torch.no_grad():
        network.model(torch.zeros(8, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last))
    each = (time.monotonic() - started) / 8
    step = next((s for s in STEPS if _positions(s) * each * len(OCCLUDED) < (end - started) / 3), STEPS[-1])
    return [occlude(network, name, picture(name), step) for name in OCCLUDED]


def _positions(step: int) -> int:
    return len(range(0, SIDE - SQUARE + 1, step)) ** 2
