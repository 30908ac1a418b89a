"""What a generator costs with this engine and with PyTorch's operator; and how fast training goes here."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tconv.demos.dcgan.batches import Bytes, as_pictures
from tconv.demos.dcgan.module import BETAS, RATE, Gan, draw_z
from tconv.nets.dcgan import Generator
from tconv.runs.timing import in_turns
from tconv.train.step_time import with_pytorch_layers

__all__ = ["Cost", "costs", "seconds_per_step"]

BATCH = 64


@dataclass(frozen=True)
class Cost:
    """Median seconds for a batch: a generator's step (forward, backward, Adam), and sampling.

    `pytorch_step` and `pytorch_sampling` are those of the same generator with torch.nn.ConvTranspose2d.
    """

    step: float
    sampling: float
    pytorch_step: float
    pytorch_sampling: float


def costs(generators: Mapping[str, Generator], rounds: int) -> dict[str, Cost]:
    """The costs of every generator and of its copy with PyTorch's layers, all in turns; none is changed."""
    twins = {name: with_pytorch_layers(generator) for name, generator in generators.items()}
    rivals: dict[tuple[str, bool], nn.Module] = {}
    for name, generator in generators.items():
        twin = twins[name]
        assert twin is not None  # the projection is a transposed convolution in all of them
        rivals |= {(name, False): generator, (name, True): twin}
    steps = in_turns({key: _stepper(copy.deepcopy(network)) for key, network in rivals.items()}, rounds)
    samplings = in_turns({key: _sampler(copy.deepcopy(network)) for key, network in rivals.items()}, rounds)
    return {
        name: Cost(steps[name, False], samplings[name, False], steps[name, True], samplings[name, True])
        for name in generators
    }


def seconds_per_step(gans: Mapping[str, Gan], pictures: Bytes, rounds: int = 6) -> dict[str, float]:
    """Median seconds of a training step of both networks; the networks are not changed."""

    def stepper(gan: Gan) -> Callable[[int], object]:
        real = as_pictures(pictures[: gan.hparams["batch"]])
        trained = copy.deepcopy(gan).train()
        optimizers = trained.configure_optimizers()
        return lambda number: trained.step(real, draw_z(len(real), number), optimizers, Tensor.backward)

    return in_turns({name: stepper(gan) for name, gan in gans.items()}, rounds)


def _stepper(generator: nn.Module) -> Callable[[int], object]:
    generator.train()
    optimizer = torch.optim.Adam(generator.parameters(), lr=RATE, betas=BETAS)

    def act(number: int) -> None:
        optimizer.zero_grad()
        pictures: Tensor = generator(draw_z(BATCH, number))
        pictures.backward(torch.full_like(pictures, 1e-3))  # type: ignore[no-untyped-call]
        optimizer.step()

    return act


def _sampler(generator: nn.Module) -> Callable[[int], object]:
    generator.eval()

    @torch.no_grad()
    def act(number: int) -> None:
        generator(draw_z(BATCH, number))

    return act
