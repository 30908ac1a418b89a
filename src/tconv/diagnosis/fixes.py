"""The fixes that tconv can apply: new weights for a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from tconv import algebra
from tconv.algebra.arrays import Array
from tconv.diagnosis.measures import stepped
from tconv.diagnosis.weights import one_tap
from tconv.errors import TconvError, unknown
from tconv.models.layer import ModelLayer

__all__ = ["FIXES", "Fix", "before_reading", "fixed"]


class Fix(NamedTuple):
    """A way to compute new weights from a layer's."""

    what: str
    make: Callable[[ModelLayer, np.random.Generator], Array]
    found: bool  #: whether it is for layers with T201 only; else for every layer


def _held(layer: ModelLayer) -> Array:
    if layer.weight is None:
        raise TconvError(f"{layer.name}: no weights to correct; give them with the problem")
    return layer.weight


def _gains(layer: ModelLayer, _: np.random.Generator) -> Array:
    return algebra.equal_phase_gains(_held(layer), stepped(layer), layer.known.dilation)


def _bilinear(layer: ModelLayer, _: np.random.Generator) -> Array:
    return algebra.bilinear(layer.known.weight_shape).astype(_held(layer).dtype)


def _icnr(layer: ModelLayer, random: np.random.Generator) -> Array:
    g = layer.known
    if any(k % s for k, s in zip(g.kernel, g.stride, strict=True)) or set(g.dilation) != {1}:
        raise TconvError(
            f"{layer.name}: ICNR repeats one filter for all phases; in {g} the kernel is no multiple of the "
            "stride, or dilated"
        )
    taps = [k // s for k, s in zip(g.kernel, g.stride, strict=True)]
    shape = (*g.weight_shape[:2], *taps)
    # The scale of He et al. (2015): an output sums over the group's inputs and the taps of its phase.
    scale = np.sqrt(2 / (g.in_channels // g.groups * np.prod(taps)))
    return algebra.icnr(random.normal(0, scale, shape), g.stride).astype(_held(layer).dtype)


def _split(layer: ModelLayer, _: np.random.Generator) -> Array:
    g = layer.known
    return algebra.split_nearest(_held(layer), g.stride, g.padding, g.groups).weight


FIXES: Mapping[str, Fix] = MappingProxyType(
    {
        "gains": Fix("the nearest weights with equal phase gains", _gains, True),
        "bilinear": Fix("bilinear interpolation, as initial weights", _bilinear, False),
        "icnr": Fix("random weights, equal in every phase (ICNR), as initial weights", _icnr, False),
        "merge": Fix(
            "a convolution after nearest upsampling (.npy) as one layer", lambda layer, _: _held(layer), False
        ),
        "split": Fix("the convolution that gives the same output after nearest upsampling", _split, False),
    }
)


def before_reading(layer: ModelLayer, how: str) -> ModelLayer:
    """For "merge": the layer into which a convolution's weights are merged; else the layer itself.

    The problem is that of the merged layer, and its stride the factor of upsampling.
    """
    if how != "merge":
        return layer
    g = layer.known
    weight = _held(layer)
    layer.check_numbers(weight)
    merged = algebra.merge_nearest(weight, g.stride, 0, 1, g.groups)
    return replace(layer, weight=merged.weight)


def _wants(fix: Fix, layer: ModelLayer, found: bool) -> bool:
    """Whether a layer that is not named is corrected: one with weights."""
    return layer.weight is not None and (not fix.found or (found and not one_tap(layer)))


def fixed(
    examined: Sequence[tuple[ModelLayer, bool]],
    how: str,
    *,
    seed: int = 0,
    names: tuple[str, ...] = (),
) -> dict[str, Array]:
    """New weights for the layers that need it: `(layer, whether it has T201)` each."""
    if how not in FIXES:
        raise unknown("fix", how, FIXES)
    if all(layer.weight is None for layer, _ in examined):
        for layer, _ in examined:
            _held(layer)
    if seed < 0:
        raise TconvError(f"seed={seed}; 0 or more would fit")
    fix, random = FIXES[how], np.random.default_rng(seed)
    made = {
        layer.name: fix.make(layer, random)
        for layer, found in examined
        if (layer.name in names if names else _wants(fix, layer, found))
    }
    if not made:
        raise TconvError(
            "no layer to correct: all gains are equal, or each phase has one tap (name a layer to force it)"
        )
    return made
