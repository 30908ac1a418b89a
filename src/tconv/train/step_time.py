"""The time of a training step with this project's transposed convolution and with PyTorch's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tconv.runs.timing import in_turns
from tconv.torch import ConvTranspose2d
from tconv.train.batches import TrainingPictures, collate
from tconv.train.pictures import IGNORED

__all__ = ["StepTime", "step_times", "with_pytorch_layers"]

BATCHES = 4
OPTIONS = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "output_padding",
    "groups",
    "dilation",
)


@dataclass(frozen=True)
class StepTime:
    """Median seconds of a training step and of its upsampling layers alone (forward and backward).

    The fields of PyTorch's own layers are None where the network has no transposed convolution.
    """

    step: float
    upsampling: float
    pytorch_step: float | None
    pytorch_upsampling: float | None


def step_times(
    networks: Mapping[str, nn.Module], training: TrainingPictures, batch: int, rounds: int
) -> dict[str, StepTime]:
    """Time training steps of every network and of its copy with PyTorch's layers.

    All take turns, step by step, on the same batches, so that other load on the machine affects them
    equally.  The networks themselves are not changed.
    """
    twins = {name: with_pytorch_layers(network) for name, network in networks.items()}
    rivals = {(name, False): copy.deepcopy(network) for name, network in networks.items()}
    rivals |= {(name, True): twin for name, twin in twins.items() if twin is not None}
    count = len(training.split)
    batches = [
        collate([training[0, (start * batch + offset) % count] for offset in range(batch)])
        for start in range(BATCHES)
    ]
    step = in_turns({key: _stepper(network, batches) for key, network in rivals.items()}, rounds)
    ups = {key: _upsampler(network, batches[0][0]) for key, network in rivals.items()}
    upsampling = in_turns(ups, rounds)
    return {
        name: StepTime(
            step=step[name, False],
            upsampling=upsampling[name, False],
            pytorch_step=step.get((name, True)),
            pytorch_upsampling=upsampling.get((name, True)),
        )
        for name in networks
    }


def with_pytorch_layers(network: nn.Module) -> nn.Module | None:
    """A copy with torch.nn's ConvTranspose2d in place of this project's; None if there is none."""
    twin = copy.deepcopy(network)
    ours = [name for name, module in twin.named_modules() if type(module) is ConvTranspose2d]
    for name in ours:
        layer = twin.get_submodule(name)
        assert isinstance(layer, ConvTranspose2d)
        options: dict[str, Any] = {name: getattr(layer, name) for name in OPTIONS}
        theirs = nn.ConvTranspose2d(**options, bias=layer.bias is not None)
        theirs.load_state_dict(layer.state_dict())
        parent, _, child = name.rpartition(".")
        setattr(twin.get_submodule(parent), child, theirs)
    return twin if ours else None


Pair = tuple[Tensor, Tensor]


def _stepper(network: nn.Module, batches: list[Pair]) -> Callable[[int], None]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    network.train()

    def act(number: int) -> None:
        batch = batches[number % len(batches)]
        optimizer.zero_grad()
        loss = cross_entropy(network(batch[0]), batch[1].long(), ignore_index=IGNORED)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return act


def _upsampler(network: nn.Module, pictures: Tensor) -> Callable[[int], None]:
    """The upsampling layers alone, on the maps that they get in `network`."""
    layers = network.get_submodule("upsample").children()
    given: list[tuple[nn.Module, Tensor]] = []
    hooks = [
        layer.register_forward_hook(lambda layer, inputs, _: given.append((layer, inputs[0].detach())))
        for layer in layers
    ]
    with torch.no_grad():
        network(pictures)
    for hook in hooks:
        hook.remove()

    def act(_: int) -> None:
        for layer, scores in given:
            enlarged = layer(scores.requires_grad_())
            enlarged.backward(torch.ones_like(enlarged))

    return act
