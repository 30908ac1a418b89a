"""The generator and the discriminator of DCGAN, at any power of two of pixels.

Source: Radford, Metz, Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks", 2015: no pooling and no hidden fully connected layer, BatchNorm everywhere but at the
generator's output and the discriminator's input, ReLU and a last tanh in the generator, LeakyReLU of slope
0.2 in the discriminator, weights drawn from N(0, 0.02). As in the authors' code, the convolutions have no
bias, and the scales of BatchNorm are drawn from N(1, 0.02).

The paper's generator of 64x64 pixels doubles its map four times with transposed convolutions of kernel 5 and
stride 2. `WAYS` has three more ways to double a map.

State dict of the generator: project, norm0, up1, norm1, ..., upN; of the discriminator: down1, down2, norm2,
..., score. `up` is a layer, or a Sequential whose convolution has the weights.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from tconv.errors import TconvError, unknown
from tconv.runs.settings import check_whole
from tconv.torch import ConvTranspose2d

__all__ = ["LATENT", "WAYS", "Discriminator", "Generator", "Way", "equal_width", "stages"]

#: Numbers in z, as published.
LATENT = 100

_START = 4  #: pixels of the first map along each axis
_SIZES = (8, 16, 32, 64, 128, 256)
_WIDEST = 4096


@dataclass(frozen=True, slots=True)
class Way:
    """A way to double a map: what it is called, its weights per pair of channels, and the module."""

    title: str
    weights: int
    make: Callable[[int, int], nn.Module]


def _transposed4(inside: int, out: int) -> nn.Module:
    return ConvTranspose2d(inside, out, 4, stride=2, padding=1, bias=False)


def _transposed5(inside: int, out: int) -> nn.Module:
    return ConvTranspose2d(inside, out, 5, stride=2, padding=2, output_padding=1, bias=False)


def _nearest(inside: int, out: int) -> nn.Module:
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(inside, out, 3, padding=1, bias=False))


def _subpixel(inside: int, out: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inside, 4 * out, 3, padding=1, bias=False), nn.PixelShuffle(2))


WAYS = {
    "transposed4": Way("transposed convolution, kernel 4", 16, _transposed4),
    "transposed5": Way("transposed convolution, kernel 5", 25, _transposed5),
    "nearest": Way("nearest neighbour, then convolution, kernel 3", 9, _nearest),
    "subpixel": Way("sub-pixel convolution, kernel 3", 36, _subpixel),
}
"""Name -> way to double a map; transposed5 is the published one."""


def stages(size: int, width: float) -> tuple[int, ...]:
    """Channels of the generator's maps from 4x4 on; the last doubling, to the picture, has none of them.

    >>> stages(64, 128)
    (1024, 512, 256, 128)
    >>> stages(32, 20.25)
    (81, 40, 20)
    """
    if type(size) is not int or size not in _SIZES:
        raise TconvError(f"size={size!r:.40}: a picture of {', '.join(map(str, _SIZES))} pixels would fit")
    if type(width) not in (int, float) or not 1 <= width <= _WIDEST:
        raise TconvError(f"width={width!r:.40}: 1 to {_WIDEST} channels would fit")
    doublings = (size // _START).bit_length() - 1
    return tuple(round(width * 2**number) for number in reversed(range(doublings)))


def _parameters(way: str, size: int, channels: int, width: float, latent: int) -> int:
    maps = (*stages(size, width), channels)
    doubled = sum(a * b for a, b in pairwise(maps))
    return latent * maps[0] * _START**2 + WAYS[way].weights * doubled + 2 * sum(maps[:-1])


def equal_width(
    way: str, *, like: str, size: int, channels: int, width: float, latent: int = LATENT
) -> float:
    """The width at which a generator with `way` has nearly as many parameters as one with `like` and `width`.

    The widest map may have any number of channels, the others are rounded.

    >>> equal_width("nearest", like="transposed5", size=64, channels=3, width=128)
    207.0
    """
    step = 1 << (len(stages(size, width)) - 1)

    def count(widest: int) -> int:
        return _parameters(way, size, channels, widest / step, latent)

    wanted = _parameters(like, size, channels, width, latent)
    widest = range(step, 8 * int(width * step) + step)
    after = bisect_left(widest, wanted, key=count)
    return min(widest[max(0, after - 1) : after + 1], key=lambda each: abs(count(each) - wanted)) / step


class Generator(nn.Module):
    """z (n, latent), drawn from -1 to 1, to pictures (n, channels, size, size) from -1 to 1.

    `width` is the number of channels of the last map before the picture; each map before it has twice as
    many. `way` is a name of `WAYS`. An unknown name or a size that does not fit raises `TconvError`.

    >>> import torch
    >>> Generator(64, 3)(torch.zeros(1, 100)).shape
    torch.Size([1, 3, 64, 64])
    """

    def __init__(
        self,
        size: int = 64,
        channels: int = 3,
        *,
        width: float = 128,
        way: str = "transposed5",
        latent: int = LATENT,
    ) -> None:
        super().__init__()
        if not isinstance(way, str) or way not in WAYS:
            raise unknown("way", way, WAYS)
        check_whole("channels", channels, 1, _WIDEST)
        check_whole("latent", latent, 1, _WIDEST)
        self.size, self.latent, self.way = size, latent, way
        maps = stages(size, width)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        # The paper's "project and reshape": on one position, a transposed convolution is that matrix.
        layers["project"] = ConvTranspose2d(latent, maps[0], _START, bias=False)
        for number, (inside, out) in enumerate(zip(maps, (*maps[1:], channels), strict=True)):
            layers[f"norm{number}"] = nn.BatchNorm2d(inside)
            layers[f"relu{number}"] = nn.ReLU(inplace=True)
            layers[f"up{number + 1}"] = WAYS[way].make(inside, out)
        layers["tanh"] = nn.Tanh()
        self.layers = nn.Sequential(layers)
        _draw(self)

    @property
    def doublings(self) -> tuple[nn.Module, ...]:
        """The layers that double a map, from 4x4 on."""
        return tuple(module for name, module in self.layers.named_children() if name.startswith("up"))

    def forward(self, z: Tensor) -> Tensor:
        pictures: Tensor = self.layers(z[:, :, None, None])
        return pictures


class Discriminator(nn.Module):
    """Pictures (n, channels, size, size) to scores (n,): above 0 where a picture looks real.

    `width` is the number of channels of the first map; each map has twice as many as the one before.

    >>> import torch
    >>> Discriminator(64, 3, width=8)(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2])
    """

    def __init__(self, size: int = 64, channels: int = 3, *, width: float = 128) -> None:
        super().__init__()
        check_whole("channels", channels, 1, _WIDEST)
        maps = (channels, *reversed(stages(size, width)))
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for number, (inside, out) in enumerate(pairwise(maps), 1):
            layers[f"down{number}"] = nn.Conv2d(inside, out, 5, stride=2, padding=2, bias=False)
            if number > 1:
                layers[f"norm{number}"] = nn.BatchNorm2d(out)
            layers[f"relu{number}"] = nn.LeakyReLU(0.2, inplace=True)
        layers["score"] = nn.Conv2d(maps[-1], 1, _START, bias=False)
        self.layers = nn.Sequential(layers)
        _draw(self)

    def forward(self, pictures: Tensor) -> Tensor:
        scores: Tensor = self.layers(pictures)
        return scores.flatten()


@torch.no_grad()
def _draw(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
