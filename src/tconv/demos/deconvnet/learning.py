"""Learning the layers one after the other, with a state on disk after every epoch.

A killed run loses the epoch it was in: an epoch depends only on the filters before it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tconv.errors import TconvError, said
from tconv.files import write_aside
from tconv.models.state import load_plain
from tconv.nets.deconvolutional import (
    Continuation,
    DeconvNet,
    SparseLayer,
    all_connected,
    infer,
    learn_epoch,
    singles_and_pairs,
)
from tconv.nets.sparse_layer import Array
from tconv.runs.log import note

__all__ = ["Learned", "Settings", "learn"]

Row = tuple[float, float, float, float]
"""Of an epoch: mean cost of a picture, error as a share, numbers that are not 0 per pixel, maps in use."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What determines the filters: everything but the pictures, which `seed` draws.

    The values that are set here were chosen by looking at the filters and at how fast the cost falls.
    """

    seed: int = 0
    side: int = 100
    crops: int = 3  #: of each training picture
    kernel: int = 7
    maps: int = 9  #: of layer 1; layer 2 has one for each and one for each pair of them
    strengths: tuple[float, float] = (2.0, 8.0)
    p: float = 1.0
    epochs: tuple[int, int] = (50, 25)
    steps: int = 5  #: of gradient descent on the filters, per epoch
    continuation: Continuation = field(
        default_factory=lambda: Continuation(first=2, growth=4, last=64, iterations=2, refinement=40)
    )

    def layers(self) -> tuple[SparseLayer, SparseLayer]:
        """Both layers before learning."""
        connections = all_connected(self.maps, 1), singles_and_pairs(self.maps)
        first, second = (
            SparseLayer.random(
                table, kernel=self.kernel, strength=strength, p=self.p, seed=self.seed + number
            )
            for number, (table, strength) in enumerate(zip(connections, self.strengths, strict=True))
        )
        return first, second

    def plain(self) -> dict[str, Any]:
        """The settings as plain values, by which a state on disk is recognised."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }


@dataclass(slots=True)
class Learned:
    """The layers so far, and a row for each epoch of each layer."""

    layers: list[SparseLayer]
    rows: list[list[Row]]

    def net(self, continuation: Continuation) -> DeconvNet:
        """The network."""
        return DeconvNet(tuple(self.layers), continuation)


def learn(pictures: Array, settings: Settings, path: Path) -> Learned:
    """Learn both layers, going on from the state in the file `path` if there is one of these settings.

    Raises:
        TconvError: the file holds something else, or cannot be written.
    """
    state = _read(path, settings) or Learned(list(settings.layers()), [[], []])
    for number, epochs in enumerate(settings.epochs):
        if len(state.rows[number]) >= epochs:
            continue
        below = pictures
        with _bar() as advance:
            for layer in state.layers[:number]:
                below = _inferred(layer, below, settings.continuation, advance(f"maps of layer {number}"))
            while len(state.rows[number]) < epochs:
                count = len(state.rows[number]) + 1
                told = f"layer {number + 1}, epoch {count}/{epochs}"
                found = learn_epoch(
                    state.layers[number],
                    below,
                    settings.continuation,
                    settings.steps,
                    after_picture=advance(told),
                )
                state.layers[number] = found.layer
                state.rows[number].append((found.cost, found.error, found.density, float(found.used)))
                _write(path, settings, state)
                note(
                    f"{told}  cost {found.cost:.1f}  error {found.error:.4f}  "
                    f"not zero per pixel {found.density:.3f}"
                )
    return state


def _inferred(
    layer: SparseLayer, pictures: Array, continuation: Continuation, after: Callable[[], None]
) -> Array:
    maps = []
    for picture in pictures:
        maps.append(infer(layer, picture[None], continuation))
        after()
    return np.concatenate(maps)


def _write(path: Path, settings: Settings, state: Learned) -> None:
    content = {
        "settings": settings.plain(),
        "rows": [[list(row) for row in rows] for rows in state.rows],
        "filters": [torch.from_numpy(layer.filters) for layer in state.layers],
    }
    with write_aside(path) as file:
        torch.save(content, file)


def _read(path: Path, settings: Settings) -> Learned | None:
    if not path.exists():
        return None
    try:
        content = load_plain(path)
        fits = content["settings"] == settings.plain()
        if not fits:
            note(f"{path} is of other settings: learning begins anew")
            return None
        layers = [
            _with(layer, filters)
            for layer, filters in zip(settings.layers(), content["filters"], strict=True)
        ]
        rows = [[_row(row) for row in rows] for rows in content["rows"]]
        if any(len(each) > most for each, most in zip(rows, settings.epochs, strict=True)):
            raise ValueError("more epochs than asked for")
    except Exception as fault:  # PyTorch's loader may raise anything on a broken file
        raise TconvError(f"{path} is not a complete state of this demo: {said(fault)}; remove it") from None
    note(f"{path}: {', '.join(str(len(each)) for each in rows)} epochs are done")
    return Learned(layers, rows)


def _row(row: Any) -> Row:
    cost, error, density, used = (float(value) for value in row)
    return cost, error, density, used


def _with(layer: SparseLayer, filters: Any) -> SparseLayer:
    if filters.shape != layer.filters.shape or filters.dtype is not torch.float32:
        raise ValueError(f"filters of shape {tuple(filters.shape)}, {filters.dtype}")
    if not bool(torch.isfinite(filters).all()):
        raise ValueError("filters that are not finite")
    return SparseLayer(filters.numpy(), layer.connected, layer.strength, layer.p)


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[str], Callable[[], None]]]:
    """For each epoch a function that counts its pictures, on a bar if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda text: lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}, {task.completed} pictures"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def epoch(text: str) -> Callable[[], None]:
            progress.reset(task, description=text)
            return lambda: progress.advance(task)

        yield epoch
