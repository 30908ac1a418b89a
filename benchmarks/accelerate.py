"""Whole models before and after tconv.torch.accelerate: see --help."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from tconv.bench.report import machine
from tconv.torch import accelerate


def dcgan() -> nn.Module:
    """The generator of DCGAN (Radford, Metz, Chintala 2015): 100 numbers to 3x64x64."""
    widths = (100, 512, 256, 128, 64)
    parts: list[nn.Module] = []
    for number, (a, b) in enumerate(pairwise(widths)):
        options = (4, 2, 1) if number else (4, 1, 0)
        parts += [nn.ConvTranspose2d(a, b, *options, bias=False), nn.BatchNorm2d(b), nn.ReLU(True)]
    return nn.Sequential(*parts, nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh())


def double(a: int, b: int) -> nn.Module:
    result = nn.Module()
    parts = [(nn.Conv2d(c, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU()) for c in (a, b)]
    result.double_conv = nn.Sequential(*(part for group in parts for part in group))
    result.forward = result.double_conv.forward  # type: ignore[method-assign]
    return result


class Attention(nn.Module):
    """One number per position, from the mean and the maximum of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        seen = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.conv(seen))


class PupilUNet(nn.Module):
    """The U-Net whose weights mouse-pupil-analysis 0.3.0 holds (MIT): two 2x2 layers of stride 2."""

    def __init__(self) -> None:
        super().__init__()
        self.inc = double(1, 32)
        self.down1 = nn.Sequential(nn.MaxPool2d(2), double(32, 64))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), double(64, 128))
        self.att = Attention()
        self.up1, self.conv1 = nn.ConvTranspose2d(128, 64, 2, 2), double(128, 64)
        self.up2, self.conv2 = nn.ConvTranspose2d(64, 32, 2, 2), double(64, 32)
        self.outc = nn.Conv2d(32, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, h, w) to the same, sizes multiples of 4."""
        first = self.inc(x)
        second = self.down1(first)
        x = self.up1(self.att(self.down2(second)))
        x = self.up2(self.conv1(torch.cat([x, second], 1)))
        answer: Tensor = self.outc(self.conv2(torch.cat([x, first], 1)))
        return answer


class Residual(nn.Module):
    """HiFi-GAN's residual block of dilated convolutions."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.first = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, channels, kernel, padding="same", dilation=d)) for d in (1, 3, 5)
        )
        self.second = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, channels, kernel, padding="same")) for _ in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, t) to the same."""
        for a, b in zip(self.first, self.second, strict=True):
            x = x + b(F.leaky_relu(a(F.leaky_relu(x, 0.1)), 0.1))
        return x


class Vocoder(nn.Module):
    """A generator like HiFi-GAN's second (Kong, Kim, Bae 2020): 80 bands to 256 samples per frame."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.before = weight_norm(nn.Conv1d(80, width, 7, padding=3))
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        for kernel, stride in ((16, 8), (16, 8), (4, 2), (4, 2)):
            layer = nn.ConvTranspose1d(width, width // 2, kernel, stride, (kernel - stride) // 2)
            self.ups.append(weight_norm(layer))
            width //= 2
            self.blocks.append(nn.ModuleList(Residual(width, k) for k in (3, 7, 11)))
        self.after = weight_norm(nn.Conv1d(width, 1, 7, padding=3))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 80, frames) to (n, 1, 256 frames)."""
        x = self.before(x)
        for up, blocks in zip(self.ups, self.blocks, strict=True):
            x = up(F.leaky_relu(x, 0.1))
            x = torch.stack([block(x) for block in blocks]).mean(0)
        return torch.tanh(self.after(F.leaky_relu(x)))


def resizing() -> nn.Module:
    """A decoder of nearest upsampling and convolutions: 128x32x32 to 3x256x256."""
    parts: list[nn.Module] = []
    for a, b in ((128, 64), (64, 32), (32, 16)):
        parts += [nn.Upsample(scale_factor=2), nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b)]
        parts += [nn.LeakyReLU(0.2)]
    return nn.Sequential(*parts, nn.Conv2d(16, 3, 3, padding=1), nn.Tanh())


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "dcgan": (dcgan, (1, 100, 1, 1)),
    "dcgan-64": (dcgan, (64, 100, 1, 1)),
    "unet": (PupilUNet, (1, 1, 256, 256)),
    "vocoder": (Vocoder, (1, 80, 100)),
    "resizing": (resizing, (1, 128, 32, 32)),
}


def main() -> None:
    """Accelerate each model, and print the tables and the speedups."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help=f"of {', '.join(MODELS)}; all by default")
    parser.add_argument("--checkpoint", type=Path, help="weights of the unet; random ones by default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found: list[dict[str, Any]] = []
    for name in args.models or MODELS:
        make, shape = MODELS[name]
        torch.manual_seed(0)
        model = make().eval()
        if name == "unet" and args.checkpoint:
            model.load_state_dict(torch.load(args.checkpoint, map_location="cpu"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            done = accelerate(model, torch.randn(shape), report=False)
        rows = [(row.name, row.what, row.done, row.why, row.before, row.after) for row in done.rows]
        found.append({"model": name, "before": done.before, "after": done.after, "rows": rows})
        if not args.json:
            print(f"{name}, input {'x'.join(map(str, shape))}\n{done}\n")
    seen = machine()
    if args.json:
        print(json.dumps({"machine": seen, "threads": args.threads, "models": found}))
    else:
        versions = ", ".join(f"{name} {version}" for name, version in seen["versions"].items())
        print(f"{seen['cpu']}, {seen['instruction_set']}, {args.threads} threads; {versions}")


if __name__ == "__main__":
    main()
