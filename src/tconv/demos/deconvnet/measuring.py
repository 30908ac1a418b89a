"""What the learned network does: pictures rebuilt, sparsity against error, and noise removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import product
from typing import Any

import numpy as np

from tconv.demos.deconvnet.crops import TEST, VALIDATION, part, signal_to_noise
from tconv.nets.deconvolutional import DeconvNet, infer
from tconv.nets.sparse_layer import Array

__all__ = ["Denoised", "Point", "Rebuilt", "curve", "denoised", "rebuilt"]

NOISY = 13.84
"""The signal-to-noise ratio, in dB, of the noisy picture of the paper's denoising experiment."""

WAYS = ("Gaussian blur", "total variation", "layer 1", "layer 2")

#: What each way to denoise is tried with, on the validation crop.
BLURS = tuple(float(width) for width in np.arange(0.3, 1.25, 0.1))
VARIATIONS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
STRENGTHS = (2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)
ABOVE = (8.0, 32.0, 128.0, 512.0)

CURVE = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Strengths of the curves of sparsity against error; for layer 2, factors of half its own strength."""


@dataclass(frozen=True, slots=True, eq=False)
class Rebuilt:
    """A test picture, what each layer rebuilds of it, and the maps that it is rebuilt from."""

    name: str
    picture: Array  #: (side, side)
    pictures: tuple[Array, ...]  #: of each layer
    maps: tuple[Array, ...]  #: of each layer, (maps, h+, w+)
    ratios: tuple[float, ...]  #: signal to noise of each, in dB
    densities: tuple[float, ...]  #: numbers of the maps that are not 0, per pixel


@dataclass(frozen=True, slots=True)
class Point:
    """Numbers that are not 0, per pixel, and |rebuilt - picture|^2 / |picture|^2."""

    density: float
    error: float


@dataclass(frozen=True, slots=True, eq=False)
class Denoised:
    """A test picture with noise, and without it by each of `WAYS`."""

    name: str
    picture: Array
    noisy: Array
    pictures: tuple[Array, ...]
    ratio: float  #: of the noisy picture, in dB
    ratios: tuple[float, ...]


def rebuilt(net: DeconvNet, side: int) -> Iterator[Rebuilt]:
    """Every test picture, through each layer."""
    for name, row, column in TEST:
        picture = part(name, row, column, side)
        maps = net.infer(picture)
        pictures = [net.rebuild(each, number) for number, each in enumerate(maps, 1)]
        yield Rebuilt(
            name,
            picture[0, 0],
            tuple(each[0, 0] for each in pictures),
            tuple(each[0] for each in maps),
            tuple(signal_to_noise(picture, each) for each in pictures),
            tuple(float(np.count_nonzero(each) / picture.size) for each in maps),
        )


def curve(net: DeconvNet, side: int, layer: int, p: float) -> list[Point]:
    """Sparsity against error over the test pictures together, for several strengths of a layer.

    For layer 2, layer 1 keeps its strength and exponent.
    """
    pictures = np.concatenate([part(*corner, side) for corner in TEST])
    below = pictures
    for each in net.layers[: layer - 1]:
        below = infer(each, below, net.continuation)
    found = []
    for factor in CURVE:
        top = net.layers[layer - 1]
        tried = replace(top, strength=factor * (top.strength / 2 if layer > 1 else 1.0), p=p)
        maps = infer(tried, below, net.continuation)
        error = net.rebuild(maps, layer) - pictures
        share = np.sum(error**2, dtype=np.float64) / np.sum(pictures**2, dtype=np.float64)
        found.append(Point(float(np.count_nonzero(maps) / pictures.size), float(share)))
    return found


def denoised(net: DeconvNet, side: int, seed: int) -> tuple[dict[str, tuple[float, ...]], list[Denoised]]:
    """The settings that are best on the validation crop for each of `WAYS`, and the test pictures by them."""
    clean = part(*VALIDATION, side)
    noisy = with_noise(clean, np.random.default_rng((seed, 0)))
    chosen = {
        way: max(tries, key=lambda values: signal_to_noise(clean, ways(net)[way](noisy, *values)))
        for way, tries in choices().items()
    }
    results = []
    for number, (name, row, column) in enumerate(TEST, 1):
        clean = part(name, row, column, side)
        noisy = with_noise(clean, np.random.default_rng((seed, number)))
        found = [ways(net)[way](noisy, *values) for way, values in chosen.items()]
        results.append(
            Denoised(
                name,
                clean[0, 0],
                noisy[0, 0],
                tuple(each[0, 0] for each in found),
                signal_to_noise(clean, noisy),
                tuple(signal_to_noise(clean, each) for each in found),
            )
        )
    return chosen, results


def choices() -> dict[str, list[tuple[float, ...]]]:
    """What each of `WAYS` is tried with."""
    pairs = product(STRENGTHS[:6:2], ABOVE)
    tries: list[Iterable[tuple[float, ...]]] = [
        *(zip(each) for each in (BLURS, VARIATIONS, STRENGTHS)),
        pairs,
    ]
    return {way: list(each) for way, each in zip(WAYS, tries, strict=True)}


def ways(net: DeconvNet) -> dict[str, Callable[..., Array]]:
    """The functions behind `WAYS`: a noisy picture (1, 1, side, side) and strengths -> a picture."""
    filters: Any = import_module("skimage.filters")  # as Any, since it has no types
    restoration: Any = import_module("skimage.restoration")

    def by_layers(noisy: Array, *strengths: float) -> Array:
        layers = [replace(layer, strength=s) for layer, s in zip(net.layers, strengths, strict=False)]
        part = DeconvNet(tuple(layers), net.continuation)
        return part.rebuild(part.infer(noisy)[-1], len(layers))

    return {
        "Gaussian blur": lambda noisy, width: filters.gaussian(noisy[0, 0], width)[None, None],
        "total variation": lambda noisy, weight: restoration.denoise_tv_chambolle(noisy[0, 0], weight)[
            None, None
        ],
        "layer 1": by_layers,
        "layer 2": by_layers,
    }


def with_noise(picture: Array, draw: np.random.Generator) -> Array:
    """The picture with Gaussian noise, so that its signal-to-noise ratio is `NOISY` on average."""
    power = float(np.mean(picture.astype(np.float64) ** 2)) / 10 ** (NOISY / 10)
    return np.asarray(picture + draw.normal(scale=power**0.5, size=picture.shape), np.float32)
