"""Networks of sound as their papers and configurations describe them, with random weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class HiFiGAN(nn.Module):
    """The generator of HiFi-GAN V1 (Kong, Kim, Bae 2020): (n, 80, frames) to (n, 1, 256 frames)."""

    def __init__(self, width: int = 512, rates: Sequence[int] = (8, 8, 2, 2)) -> None:
        super().__init__()
        self.first = nn.Conv1d(80, width, 7, padding=3)
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        for rate in rates:
            width //= 2
            self.ups.append(nn.ConvTranspose1d(2 * width, width, 2 * rate, rate, rate // 2))
            self.blocks.append(nn.ModuleList(_Residual(width, k) for k in (3, 7, 11)))
        self.last = nn.Conv1d(width, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for up, blocks in zip(self.ups, self.blocks, strict=True):
            x = up(functional.leaky_relu(x, 0.1))
            x = torch.stack([block(x) for block in blocks]).mean(0)
        return torch.tanh(self.last(functional.leaky_relu(x)))


class _Residual(nn.Module):
    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.pairs = nn.ModuleList(
            nn.ModuleList(
                nn.Conv1d(width, width, kernel, dilation=d, padding=d * (kernel - 1) // 2)
                for d in (dilation, 1)
            )
            for dilation in (1, 3, 5)
        )

    def forward(self, x: Tensor) -> Tensor:
        for one, two in self.pairs:
            x = x + two(functional.leaky_relu(one(functional.leaky_relu(x, 0.1)), 0.1))
        return x


class Encodec(nn.Module):
    """The decoder of EnCodec 24 kHz (Defossez and others 2022): (n, 128, frames) to (n, 1, 320 frames)."""

    def __init__(self, width: int = 512, rates: Sequence[int] = (8, 5, 4, 2)) -> None:
        super().__init__()
        self.first = nn.Conv1d(128, width, 7)
        self.lstm = nn.LSTM(width, width, 2)
        self.rates, self.ups, self.blocks = tuple(rates), nn.ModuleList(), nn.ModuleList()
        for rate in rates:
            width //= 2
            self.ups.append(nn.ConvTranspose1d(2 * width, width, 2 * rate, rate))
            convolutions = nn.Conv1d(width, width // 2, 3), nn.Conv1d(width // 2, width, 1)
            self.blocks.append(nn.ModuleList((*convolutions, nn.Conv1d(width, width, 1))))
        self.last = nn.Conv1d(width, 1, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(functional.pad(x, (6, 0)))
        turned = x.permute(2, 0, 1)
        x = (self.lstm(turned)[0] + turned).permute(1, 2, 0)
        for rate, up, (wide, narrow, shortcut) in zip(self.rates, self.ups, self.blocks, strict=True):
            x = up(functional.elu(x))[..., :-rate]  # the causal layer trims what it has no past for
            y = wide(functional.pad(functional.elu(x), (2, 0)))
            x = shortcut(x) + narrow(functional.elu(y))
        return self.last(functional.pad(functional.elu(x), (6, 0)))
