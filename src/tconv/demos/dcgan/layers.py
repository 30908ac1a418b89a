"""Each doubling of a generator as the one transposed convolution that it equals, and its diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from tconv import algebra
from tconv.algebra.arrays import Array
from tconv.diagnosis import diagnose
from tconv.geometry import Geometry
from tconv.nets.dcgan import Generator

__all__ = ["Doubling", "as_transposed", "doublings"]


@dataclass(frozen=True)
class Doubling:
    """One doubling of a trained generator.

    `ripple` is `tconv diagnose`'s measure: the share of the response to constant maps, one drawn for each
    channel, that is a pattern. `period` is that pattern's period in pixels of the picture.
    """

    problem: str
    period: int
    ripple: float
    codes: tuple[str, ...]


def as_transposed(doubling: nn.Module, pixels: int) -> tuple[Geometry, Array]:
    """The transposed convolution that equals a doubling of maps of `pixels` pixels, with its weights.

    Nearest neighbour and a convolution of kernel 3 is one of kernel 4; a sub-pixel convolution of kernel 3
    is one of kernel 6. Both are exact, borders included.
    """
    if isinstance(doubling, nn.ConvTranspose2d):
        weight = doubling.weight.detach().numpy()
        options: dict[str, Any] = {
            "kernel": doubling.kernel_size,
            "padding": doubling.padding,
            "output_padding": doubling.output_padding,
        }
    else:
        assert isinstance(doubling, nn.Sequential)
        (conv,) = (module for module in doubling if isinstance(module, nn.Conv2d))
        given = conv.weight.detach().numpy()
        nearest = isinstance(doubling[0], nn.Upsample)
        merged = (algebra.merge_nearest if nearest else algebra.from_subpixel)(given, (2, 2), 1)
        weight = merged.weight
        options = {"kernel": weight.shape[2:], "padding": merged.padding, "output_padding": 0}
    inside, out = weight.shape[:2]
    problem = Geometry.make(in_channels=inside, out_channels=out, input=(pixels, pixels), stride=2, **options)
    return problem, weight


def doublings(generator: Generator) -> tuple[Doubling, ...]:
    """The doublings of a generator, from the 4x4 map on."""
    found = []
    pixels = generator.size >> len(generator.doublings)
    for module in generator.doublings:
        problem, weight = as_transposed(module, pixels)
        diagnosis = diagnose(problem, weight)
        measures = diagnosis.layers[0].measures.weights
        assert measures is not None
        codes = tuple(finding.code for finding in diagnosis.findings)
        found.append(Doubling(str(problem), generator.size // pixels, measures.ripple, codes))
        pixels *= 2
    return tuple(found)
