"""One generator for each way to double a map, trained alike, and what is measured of their pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from tconv.demos.dcgan import classifier, spectrum
from tconv.demos.dcgan.batches import Bytes, batches
from tconv.demos.dcgan.classifier import Classifier
from tconv.demos.dcgan.data import SIZE, Clothes
from tconv.demos.dcgan.latent import Sum, add_up, walk
from tconv.demos.dcgan.layers import Doubling, doublings
from tconv.demos.dcgan.measures import Neighbours, frechet, neighbours
from tconv.demos.dcgan.module import COLUMNS, Gan, Samples, draw_z, generated
from tconv.demos.dcgan.timing import Cost, costs
from tconv.errors import TconvError
from tconv.files import read_npy
from tconv.nets.dcgan import WAYS, equal_width
from tconv.runs.fitting import fit
from tconv.runs.log import Row, note

__all__ = ["EPOCHS", "PUBLISHED", "Comparison", "Plan", "Variant", "compare", "fresh"]

PUBLISHED = "transposed5"

#: Rows of the log; an epoch is this share of all steps, not a pass over the pictures.
EPOCHS = 12

PERIODS = (2, 4, 8)

SHOWN = 64  #: samples of the report
NEAREST = 12  #: samples that are shown beside their nearest pictures of the training
COMPARED = 500  #: samples whose distances to the nearest are compared with those of real pictures


@dataclass(frozen=True)
class Plan:
    """What all ways share: steps, seed, batch, and the widths of the published way and of the judge."""

    steps: int
    seed: int = 0
    width: int = 16
    judge: int = 16
    batch: int = 32
    samples: int = 10_000

    @property
    def classifier_steps(self) -> int:
        """Of 128 pictures: enough for the features to be useful, but no more than the demo is worth."""
        return 2 * min(450, self.steps // 8 + 1)

    @property
    def steps_per_epoch(self) -> int:
        """At least one."""
        return -(-self.steps // EPOCHS)


@dataclass(frozen=True)
class Variant:
    """One way, trained: its rows, its pictures, and their measures."""

    way: str
    width: float
    parameters: int
    rows: tuple[Row, ...]
    by_epoch: tuple[Bytes, ...]
    walk: Bytes
    sum: Sum | None
    frechet: float
    shares: npt.NDArray[np.float64]
    confidence: float
    nearest_to: Bytes
    near: Neighbours
    usual: float
    """Median distance of a sample to the nearest picture of the training."""
    doublings: tuple[Doubling, ...]
    excess: dict[int, float]
    spectrum: npt.NDArray[np.float64]
    """Power against real pictures in decibels, frequency 0 in the middle."""
    cost: Cost

    @property
    def samples(self) -> Bytes:
        """The pictures that are shown, after the last epoch."""
        return self.by_epoch[-1]


@dataclass(frozen=True)
class Comparison:
    """All variants, what they share, and the same measures of real pictures."""

    data: Clothes
    plan: Plan
    variants: tuple[Variant, ...]
    accuracy: float
    """Of the classifier, on the test pictures."""
    confidence: float
    """Its mean largest probability there."""
    floor: float
    """The distance of as many training pictures from the test pictures."""
    usual: float
    """Median distance of a test picture to the nearest picture of the training."""
    real_excess: dict[int, float]
    """The excess of training pictures against test pictures."""
    seconds: float


def fresh(plan: Plan, way: str) -> Gan:
    """The networks of a way before training, with as many parameters as those of the published way."""
    width = equal_width(way, like=PUBLISHED, size=SIZE, channels=1, width=plan.width)
    return Gan(
        way=way,
        size=SIZE,
        width=width,
        judge=plan.judge,
        steps=plan.steps_per_epoch,
        batch=plan.batch,
        seed=plan.seed,
    )


def compare(
    data: Clothes, out: Path, plan: Plan, *, ways: Sequence[str] = tuple(WAYS), rounds: int = 12
) -> Comparison:
    """Train the classifier and every way in folders of `out`, from where they are, and measure.

    Raises:
        TconvError: a folder holds a run with other settings, or a file cannot be written.
    """
    start = time.perf_counter()
    note(f"training a classifier on {data.name}")
    judge = _classifier(data, out / "classifier", plan)
    gans: dict[str, tuple[Gan, tuple[Row, ...]]] = {}
    for way in ways:
        note(f"training with {WAYS[way].title}")
        gans[way] = _trained(data, out / way, plan, way)
    note("measuring")
    real = data.test[: plan.samples]
    of_real, probabilities = judge.look(real)
    accuracy = float((probabilities.argmax(1) == data.test_labels[: len(real)]).mean())
    chosen = np.random.default_rng([plan.seed, 2]).permutation(len(data.train))[: len(real)]
    known = data.train[chosen]
    power = spectrum.power(real)
    cost = costs({way: gan.generator for way, (gan, _) in gans.items()}, rounds)
    variants = tuple(
        _measured(data, out / way, plan, gan, rows, judge, of_real, power, cost[way])
        for way, (gan, rows) in gans.items()
    )
    return Comparison(
        data=data,
        plan=plan,
        variants=variants,
        accuracy=accuracy,
        confidence=float(probabilities.max(1).mean()),
        floor=frechet(of_real, judge.look(known)[0]),
        usual=float(np.median(neighbours(real[:COMPARED], data.train).distances)),
        real_excess=spectrum.excess(spectrum.power(known), power, PERIODS),
        seconds=time.perf_counter() - start,
    )


def _classifier(data: Clothes, out: Path, plan: Plan) -> Classifier:
    steps = plan.classifier_steps // 2
    found = Classifier(classes=len(data.classes), steps=steps, batch=128, seed=plan.seed)
    given = batches(data.train, data.train_labels, steps=steps, batch=128, seed=plan.seed)
    fit(found, given, out, epochs=2, columns=classifier.COLUMNS)
    return found


def _trained(data: Clothes, out: Path, plan: Plan, way: str) -> tuple[Gan, tuple[Row, ...]]:
    gan = fresh(plan, way)
    given = batches(
        data.train, data.train_labels, steps=plan.steps_per_epoch, batch=plan.batch, seed=plan.seed
    )
    samples = Samples(out, draw_z(SHOWN, plan.seed, 0))
    return gan, fit(gan, given, out, epochs=EPOCHS, columns=COLUMNS, callbacks=[samples])


@torch.no_grad()
def _measured(
    data: Clothes,
    out: Path,
    plan: Plan,
    gan: Gan,
    rows: tuple[Row, ...],
    judge: Classifier,
    of_real: npt.NDArray[np.float32],
    power: npt.NDArray[np.float64],
    cost: Cost,
) -> Variant:
    generator = gan.generator
    pictures = generated(generator, draw_z(len(of_real), plan.seed, 3))
    features, probabilities = judge.look(pictures)
    classes = probabilities.argmax(1)
    found = spectrum.power(pictures)
    near = neighbours(pictures[:COMPARED], data.train)
    return Variant(
        way=generator.way,
        width=gan.hparams["width"],
        parameters=sum(p.numel() for p in generator.parameters()),
        rows=rows,
        by_epoch=tuple(_sampled(out, epoch) for epoch in range(EPOCHS + 1)),
        walk=walk(generator, plan.seed),
        sum=add_up(generator, judge, data.classes, plan.seed),
        frechet=frechet(of_real, features),
        shares=np.bincount(classes, minlength=len(data.classes)) / len(classes),
        confidence=float(probabilities.max(1).mean()),
        nearest_to=pictures[:NEAREST],
        near=Neighbours(near.indices[:NEAREST], near.distances[:NEAREST]),
        usual=float(np.median(near.distances)),
        doublings=doublings(generator),
        excess=spectrum.excess(found, power, PERIODS),
        spectrum=spectrum.decibels(found, power),
        cost=cost,
    )


def _sampled(out: Path, epoch: int) -> Bytes:
    path = out / "samples" / f"{epoch:02}.npy"
    found = np.asarray(read_npy(path))
    if found.shape != (SHOWN, SIZE, SIZE) or found.dtype != np.uint8:
        raise TconvError(f"{path} holds no samples of this run; another --out would fit")
    return found
