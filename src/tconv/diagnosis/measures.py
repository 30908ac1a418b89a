"""The measures of a layer, whether or not they become findings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from tconv import algebra, filters
from tconv.algebra.arrays import Array
from tconv.models.layer import ModelLayer

__all__ = ["PICTURE", "Measures", "WeightMeasures", "measure", "nearest_images", "stepped"]

#: Correlation of neighbouring inputs for which spectral images are measured: near that of photographs.
PICTURE = 0.95


@dataclass(frozen=True, kw_only=True)
class WeightMeasures:
    """What the weights do to smooth inputs."""

    ripple: float  #: share of the response to constants, one drawn per channel, that is a pattern
    ripple_ones: float  #: the same of the response to ones in every channel
    channels: Array  #: (out, *stride), the response to ones, phase by phase
    images: float  #: share of spectral images in the output's power, for picture-like inputs
    images_noise: float  #: the same for white noise; also the share of a white gradient that is aliased
    worst: int  #: the output channel whose response to ones is the least flat

    def as_dict(self) -> dict[str, Any]:
        """The numbers, for JSON."""
        of_worst = self.channels[self.worst]
        return {
            "ripple": self.ripple,
            "ripple_ones": self.ripple_ones,
            "images": self.images,
            "images_noise": self.images_noise,
            "worst_channel": self.worst,
            "worst_channel_gains": _plain(of_worst),
        }


@dataclass(frozen=True, kw_only=True)
class Measures:
    """The numbers of one layer."""

    taps: Array  #: (*stepped), taps that reach an output of each phase away from the borders
    multiplications: int  #: those that land inside the output
    nominal: int  #: every tap with every input
    zero_insertion: int  #: of a convolution over the input with zeros inserted
    weights: WeightMeasures | None

    def as_dict(self) -> dict[str, Any]:
        """The numbers, for JSON."""
        return {
            "taps": {"least": int(self.taps.min()), "most": int(self.taps.max())},
            "multiplications": {
                "exact": self.multiplications,
                "nominal": self.nominal,
                "zero_insertion": self.zero_insertion,
            },
            "weights": None if self.weights is None else self.weights.as_dict(),
        }


def stepped(layer: ModelLayer) -> tuple[int, ...]:
    """The strides that make phases: 1 on an axis with one input, which no other input overlaps."""
    g = layer.known
    return tuple(s if i > 1 else 1 for s, i in zip(g.stride, g.input, strict=True))


def measure(layer: ModelLayer) -> Measures:
    """Measure a layer whose weights have been checked."""
    g = layer.known
    pairs = g.batch * g.in_channels * g.weight_shape[1]
    inserted = pairs * int(np.prod([float(o) * k for o, k in zip(g.output, g.kernel, strict=True)]))
    overlapping = tuple(k if i > 1 else 1 for k, i in zip(g.kernel, g.input, strict=True))
    return Measures(
        taps=algebra.phase_taps(overlapping, stepped(layer), g.dilation),
        multiplications=g.macs_exact,
        nominal=g.macs,
        zero_insertion=inserted,
        weights=None if layer.weight is None else _weights(layer, layer.weight),
    )


def _weights(layer: ModelLayer, weight: Array) -> WeightMeasures:
    g, stride = layer.known, stepped(layer)
    answer = algebra.constant_response(weight, stride, g.dilation, g.groups)
    each = [algebra.ripple(channel[None, None]) for channel in answer]
    return WeightMeasures(
        ripple=algebra.ripple(algebra.phase_gains(weight, stride, g.dilation)),
        ripple_ones=algebra.ripple(answer[:, None]),
        channels=answer,
        images=algebra.image_share(weight, stride, g.dilation, PICTURE),
        images_noise=algebra.image_share(weight, stride, g.dilation),
        worst=int(np.argmax(each)),
    )


@lru_cache(maxsize=64)
def nearest_images(stride: tuple[int, ...]) -> float:
    """The spectral images of nearest upsampling by `stride` of a picture-like input: the limit for T202."""
    lines = [filters.nearest(s, 1) for s in stride]
    kernel = np.array(1.0)
    for line in lines:
        kernel = np.multiply.outer(kernel, line)
    return algebra.image_share(kernel[None, None], stride, 1, PICTURE)


def _plain(values: Array) -> Any:
    if values.dtype.kind == "c":
        return np.abs(values).tolist()
    return values.tolist()
