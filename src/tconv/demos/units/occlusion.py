"""A classifier under a gray square that covers a part of the picture (Zeiler & Fergus 2014, figure 7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tconv.demos.units.networks import Network
from tconv.demos.units.patches import as_tensor

__all__ = ["CLASSES", "Occlusion", "class_name", "occlude"]

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

SIDE = 224  #: of the picture
SQUARE = 80
GRAY = 127  #: 0 after normalisation
LAYER = "head"
#: Names of ImageNet's classes that occur in the demo's pictures.
CLASSES = {
    281: "tabby",
    282: "tiger cat",
    285: "Egyptian cat",
    287: "lynx",
    447: "binoculars",
    504: "coffee mug",
    550: "espresso maker",
    567: "frying pan",
    618: "ladle",
    647: "measuring cup",
    650: "microphone",
    659: "mixing bowl",
    732: "Polaroid camera",
    759: "reflex camera",
    809: "soup bowl",
    872: "tripod",
    925: "consomme",
    960: "chocolate sauce",
    967: "espresso",
    968: "cup",
    969: "eggnog",
}


@dataclass(frozen=True)
class Occlusion:
    """One value per position of the square's centre: `step` pixels apart, the first at `SQUARE` / 2."""

    picture: str
    pixels: Bytes  #: (224, 224, 3)
    step: int
    target: int  #: the class of the whole picture
    whole: float  #: its probability
    probability: Floats  #: of that class
    best: npt.NDArray[np.int64]  #: the most probable class
    unit: int  #: of `LAYER`: the one with the largest sum over the whole picture's map
    activity: Floats  #: that sum, as a share of the whole picture's


def class_name(index: int) -> str:
    """The name of a class, or its number."""
    return CLASSES.get(index, f"class {index}")


def square(picture: Bytes) -> Bytes:
    """The middle square of a picture, 224x224 RGB."""
    from PIL import Image

    image = Image.fromarray(picture).convert("RGB")
    side = min(image.size)
    left, top = ((size - side) // 2 for size in image.size)
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box), np.uint8)


def occlude(network: Network, name: str, picture: Bytes, step: int) -> Occlusion:
    """Classify the picture with a square at every position of a grid, a row of them per batch."""
    pixels = square(picture)
    whole = as_tensor(pixels)
    maps: list[Tensor] = []
    hook = network.model.get_submodule(LAYER).register_forward_hook(
        lambda module, inputs, output: maps.append(output.sum((2, 3)))
    )

    def run(batch: Tensor) -> tuple[Tensor, Tensor]:
        maps.clear()
        x = network.scale(batch).contiguous(memory_format=torch.channels_last)
        return network.model(x).softmax(1), maps[0]

    places = range(0, SIDE - SQUARE + 1, step)
    probability, best, activity = [], [], []
    try:
        with torch.no_grad():
            shares, sums = run(whole[None])
            target, unit = int(shares[0].argmax()), int(sums[0].argmax())
            for top in places:
                batch = whole.repeat(len(places), 1, 1, 1)
                for covered, left in zip(batch, places, strict=True):
                    covered[:, top : top + SQUARE, left : left + SQUARE] = GRAY
                row, parts = run(batch)
                probability.append(row[:, target].double().numpy())
                best.append(row.argmax(1).numpy())
                activity.append((parts[:, unit] / sums[0, unit]).double().numpy())
    finally:
        hook.remove()
    return Occlusion(
        name,
        pixels,
        step,
        target,
        float(shares[0, target]),
        np.stack(probability),
        np.stack(best),
        unit,
        np.stack(activity),
    )
