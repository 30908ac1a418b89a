"""Random layers with what may follow them, for the tests of accelerate."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

FUSED: list[Callable[[], nn.Module]] = [
    nn.ReLU,
    lambda: nn.ReLU(inplace=True),
    nn.Tanh,
    nn.Sigmoid,
    lambda: nn.LeakyReLU(0.3),
    nn.ReLU6,
    lambda: nn.Hardtanh(-0.5, 0.7),
    nn.GELU,
    lambda: nn.GELU("tanh"),
    nn.SiLU,
    lambda: nn.SiLU(inplace=True),
    lambda: nn.ELU(0.7),
    lambda: nn.PReLU(init=-0.2),
    nn.Hardswish,
    nn.Softplus,
    lambda: nn.Softplus(2.0, 5.0),
    nn.Mish,
]


def norm(axes: int, channels: int) -> nn.Module:
    """A BatchNorm that has seen something."""
    made = NORMS[axes - 1](channels)
    for tensor in (made.running_mean, made.weight, made.bias):
        nn.init.normal_(tensor)
    nn.init.uniform_(made.running_var, 0.3, 2)
    return made


def transposed(rng: random.Random, axes: int, groups: int, channels: tuple[int, int]) -> nn.Module:
    def each(draw: Callable[[], int]) -> tuple[int, ...]:
        return tuple(draw() for _ in range(axes))

    stride, dilation = each(lambda: rng.randint(1, 3)), each(lambda: rng.choice([1, 1, 2]))
    extra = tuple(rng.randrange(max(s, d)) for s, d in zip(stride, dilation, strict=True))
    kernel, padding = each(lambda: rng.randint(2, 4)), each(lambda: rng.randint(0, 1))
    bias = rng.random() < 0.5
    return TRANSPOSED[axes - 1](*channels, kernel, stride, padding, extra, groups, bias, dilation)


def upsampled(rng: random.Random, axes: int, groups: int, channels: tuple[int, int]) -> list[nn.Module]:
    """Nearest upsampling and a convolution."""
    kernel = tuple(rng.randint(1, 4) for _ in range(axes))
    padding = rng.choice(["same", "valid", tuple(rng.randint(0, 3) for _ in range(axes))])
    dilation = tuple(rng.choice([1, 1, 2]) for _ in range(axes))
    if padding == "same" and any(k % 2 == 0 and d % 2 for k, d in zip(kernel, dilation, strict=True)):
        padding = "valid"  # PyTorch warns of the copy that it makes there
    factor: Any = rng.choice([2, tuple(rng.randint(1, 3) for _ in range(axes))])
    return [
        nn.Upsample(scale_factor=factor, mode=rng.choice(["nearest", "nearest-exact"])),
        CONVOLUTIONS[axes - 1](*channels, kernel, 1, padding, dilation, groups, rng.random() < 0.5),
    ]


def sequences(count: int, seed: int) -> Iterator[tuple[nn.Sequential, torch.Tensor]]:
    """[upsampling] layer [BatchNorm] activation, in evaluation, with an input."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    done = 0
    while done < count:
        axes = rng.choice([1, 2, 2, 3])
        channels = 4 * rng.randint(1, 2), 4 * rng.randint(1, 2)
        groups = rng.choice([1, 2, 4, channels[0] if channels[1] % channels[0] == 0 else 1])
        make = rng.choice([lambda *a: [transposed(*a)], upsampled])
        parts = make(rng, axes, groups, channels)
        parts += [norm(axes, channels[1])] if rng.random() < 0.6 else []
        parts += [rng.choice(FUSED)()]
        model = nn.Sequential(*parts).eval()
        x = torch.randn(rng.randint(1, 2), channels[0], *(rng.randint(3, 6) for _ in range(axes)))
        if axes > 1 and rng.random() < 0.3:
            x = x.to(memory_format=torch.channels_last if axes == 2 else torch.channels_last_3d)
        if rng.random() < 0.3:
            model, x = model.double(), x.double()
        try:
            model(x)
        except RuntimeError:  # nothing is left of the output
            continue
        done += 1
        yield model, x
