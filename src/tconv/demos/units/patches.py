"""The strongest patches of units in real pictures, and their projections."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tconv.demos.units.networks import Layer, Network
from tconv.nets.projection import project

__all__ = [
    "LARGEST",
    "PATCHES",
    "Maps",
    "Patch",
    "Shown",
    "alike",
    "as_tensor",
    "candidates",
    "prepared",
    "projected",
    "strongest",
]

Bytes = npt.NDArray[np.uint8]
#: (layer, picture) -> (units, h, w)
Maps: TypeAlias = dict[tuple[str, str], Tensor]

PATCHES = 9
PER_PICTURE = 2
LARGEST = 128  #: pixels of the side of a patch that is shown
GRID = 32  #: sides of pictures and crops are multiples, so that every stride divides them


@dataclass(frozen=True)
class Patch:
    """Where a unit is strong: position `at` of its map of picture `picture`."""

    strength: float
    picture: str
    at: tuple[int, int]


@dataclass(frozen=True)
class Shown:
    """A patch (side, side, 3) and its projections (3, side, side), by Zeiler & Fergus and guided."""

    patch: Patch
    pixels: Bytes
    projection: Tensor
    guided: Tensor


def side(layer: Layer) -> int:
    """The side of the patches that are shown, an even number: the receptive field, or its middle."""
    return min(math.ceil(layer.field / 2) * 2, LARGEST)


def candidates(network: Network, units: Mapping[str, Sequence[int]], pictures: Mapping[str, Bytes]) -> Maps:
    """The maps of some units of every layer in every picture."""
    maps: Maps = {}
    current = ""

    def keep(layer: str, output: Tensor) -> None:
        maps[layer, current] = output[0, list(units[layer])].clone()

    hooks = [
        network.model.get_submodule(layer.name).register_forward_hook(
            lambda module, inputs, output, name=layer.name: keep(name, output)
        )
        for layer in network.layers
    ]
    try:
        with torch.no_grad():
            for current, picture in pictures.items():  # noqa: B007
                network.model(network.scale(as_tensor(picture))[None])
    finally:
        for hook in hooks:
            hook.remove()
    return maps


def strongest(maps: Mapping[str, Tensor], layer: Layer) -> list[Patch]:
    """The strongest positions of a unit in its maps by picture, up to `PATCHES`, the strongest first.

    At most `PER_PICTURE` of a picture, so that not all show the same thing, half a patch apart and at least
    half a patch from the border. Only where the unit is active.
    """
    found = []
    half = math.ceil(side(layer) / 2 / layer.stride)
    for name, whole in maps.items():
        inside = whole.clone()
        inside[:half] = inside[-half:] = -math.inf
        inside[:, :half] = inside[:, -half:] = -math.inf
        for _ in range(PER_PICTURE):
            row, column = divmod(int(inside.argmax()), inside.shape[1])
            if inside[row, column] <= 0:
                break
            found.append(Patch(float(inside[row, column]), name, (row, column)))
            inside[row - half : row + half + 1, column - half : column + half + 1] = -math.inf
    return sorted(found, key=lambda patch: -patch.strength)[:PATCHES]


def projected(network: Network, layer: Layer, unit: int, patch: Patch, picture: Bytes) -> Shown:
    """A patch and its projections. Only the crop that the unit depends on is run, with the same result."""
    centre = [index * layer.stride + layer.stride // 2 for index in patch.at]
    reach = max(layer.field // 2 + GRID // 2, side(layer) // 2)
    crop = [
        slice(max((c - reach) // GRID, 0) * GRID, min(-(-(c + reach) // GRID) * GRID, size))
        for c, size in zip(centre, picture.shape, strict=False)
    ]
    x = network.scale(as_tensor(picture[crop[0], crop[1]]))
    at = tuple(index - part.start // layer.stride for index, part in zip(patch.at, crop, strict=True))
    half = side(layer) // 2
    rows, columns = (slice(c - p.start - half, c - p.start + half) for c, p in zip(centre, crop, strict=True))
    plain, guided = (
        project(network.model, x, layer.name, unit, at, guided=both).picture[:, rows, columns]
        for both in (False, True)
    )
    top, left = (c - half for c in centre)
    pixels = picture[top : top + 2 * half, left : left + 2 * half]
    return Shown(patch, pixels, plain, guided)


def alike(projections: Sequence[Tensor]) -> float:
    """The mean cosine of the angles between projections: 1 if they differ by a factor alone."""
    flat = [projection.flatten().double() for projection in projections]
    norms = [float(f.norm()) for f in flat]
    cosines = [
        float(flat[i] @ flat[j]) / (norms[i] * norms[j])
        for i, j in combinations(range(len(flat)), 2)
        if norms[i] and norms[j]
    ]
    return sum(cosines) / len(cosines) if cosines else math.nan


def as_tensor(picture: Bytes) -> Tensor:
    """(h, w, 3) to (3, h, w)."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def prepared(picture: Bytes, longest: int = 384) -> Bytes:
    """Gray or RGB bytes as RGB, scaled so that the longer side is `longest`, cut to multiples of `GRID`."""
    from PIL import Image

    image = Image.fromarray(picture).convert("RGB")
    scale = longest / max(image.size)
    wide, high = (max(round(size * scale) // GRID, 1) * GRID for size in image.size)
    # The middle part of the right shape.
    share = min(image.width / wide, image.height / high)
    left, top = (image.width - share * wide) / 2, (image.height - share * high) / 2
    box = (left, top, left + share * wide, top + share * high)
    return np.asarray(image.resize((wide, high), Image.Resampling.LANCZOS, box), np.uint8)
