"""A model that holds what layers of ours can do, for compilers and exporters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tconv.torch import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d

__all__ = ["LAYERS", "SIZES", "Everything"]

#: Transposed convolutions of the model.
LAYERS = 7
#: Shapes that it takes.
SIZES = [(2, 4, 5, 6), (3, 4, 7, 4), (5, 4, 4, 9)]


class Everything(nn.Module):
    """Groups, dilation, asked-for sizes, every padding, activations, one and three axes, no batch axis."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = ConvTranspose2d(4, 6, (3, 4), stride=(2, 3), padding=1, output_padding=(1, 0), groups=2)
        self.norm = nn.BatchNorm2d(6)
        self.second = ConvTranspose2d(
            6, 3, 3, stride=2, dilation=2, bias=False, activation=("leaky_relu", 0.1)
        )
        self.third = ConvTranspose2d(3, 2, 3, stride=2, padding=1, activation="tanh")
        self.uneven = ConvTranspose2d(2, 2, 4, stride=2, padding=((0, 3), (-1, 2)), activation="relu")
        self.ring = ConvTranspose2d(2, 2, 3, padding=1, padding_mode="circular")
        self.line = ConvTranspose1d(2, 1, 4, stride=2, padding="same", activation=("clamp", -1.0, 1.0))
        self.cube = ConvTranspose3d(1, 2, 2, stride=2, activation="sigmoid")

    def forward(self, x: Tensor) -> Tensor:
        made = self.second(self.norm(self.first(x)))
        made = self.third(made, output_size=[2 * size for size in made.shape[2:]])
        made = self.ring(self.uneven(made))
        line = self.line(made.mean((0, 2)))
        return self.cube(made.mean(1)[:, None, None]).mean((1, 2, 3)) + line.mean()
