"""The report of a comparison of generators, as a document."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version

import torch

from tconv.demos.dcgan import pictures
from tconv.demos.dcgan.comparison import EPOCHS, PERIODS, Comparison, Variant
from tconv.demos.dcgan.data import SIZE
from tconv.demos.dcgan.module import BETAS, RATE
from tconv.documents import Document, Entries, Item, Legend, Line, Mark, Section, Table, Tally
from tconv.nets.dcgan import WAYS, stages
from tconv.runs.figures import series

__all__ = ["TERMS", "colour", "document", "table"]


#: The columns of the terminal's table, and what they mean.
TERMS = (
    ("Frechet", "distance of samples from test pictures, on the features of a small classifier"),
    ("nearest", "median distance of a sample from the nearest training picture"),
    ("weights", "share of the last doubling's response to constants that is a checkerboard"),
    ("pictures", "power of that checkerboard in the samples; 1 is none"),
    ("ms/step", "a step of the generator, 64 pictures"),
    ("PyTorch's op", "the same with torch.nn.ConvTranspose2d"),
)


def colour(way: str) -> str:
    """The CSS colour of a way, the same in every report."""
    return series(list(WAYS).index(way))


def table(found: Comparison) -> Table:
    """One row per way: distances, pattern, and milliseconds per step of the generator; see `TERMS`."""
    columns = tuple(name for name, _ in TERMS)
    best = min(v.frechet for v in found.variants)
    rows = [
        (
            Mark(f"{v.frechet:.2f}", "best" if v.frechet == best else ""),
            f"{v.usual:.3f}",
            f"{100 * v.doublings[-1].ripple:.1f} %",
            f"{v.excess[PERIODS[0]]:.2f}",
            f"{1000 * v.cost.step:.1f}",
            f"{1000 * v.cost.pytorch_step:.1f}",
        )
        for v in found.variants
    ]
    return _table("ways", columns, found.variants, rows)


def document(found: Comparison) -> Document:
    """The content of the page."""
    tally = tuple((f"{v.frechet:.2f}", f"Frechet distance, {v.way}", colour(v.way)) for v in found.variants)
    floor = (f"{found.floor:.2f}", "training pictures: the floor", "var(--rule)")
    return Document(
        "DCGAN: pictures from noise",
        (
            Section("tally", "", (Tally((*tally, floor)), *_ways(found))),
            Section("samples", "Samples", tuple(pictures.samples(found))),
            Section("epochs", "How they came about", tuple(_learning(found))),
            Section("walk", "A walk from one z to another", tuple(pictures.walks(found))),
            Section("sum", "Arithmetic on z", tuple(pictures.sums(found))),
            Section("nearest", "Talent or memory", tuple(_memory(found))),
            Section("distance", "How far from real pictures", tuple(_distance(found))),
            Section("pattern", "Is the checkerboard of the weights in the pictures?", tuple(_pattern(found))),
            Section("cost", "What a generator costs", tuple(_cost(found))),
            Section("caveats", "What these numbers cannot say", (Entries(tuple(_caveats(found))),)),
            Section("settings", "Settings", tuple(_settings(found))),
        ),
        f"Four generators learn to draw {found.data.name}, each against its own discriminator. They differ "
        "only in how a map is doubled, and have nearly the same number of parameters.",
        "tconv demo dcgan",
    )


def _table(
    name: str, columns: Sequence[str], variants: Sequence[Variant], rows: Sequence[Sequence[str | Mark]]
) -> Table:
    named = tuple((Mark(v.way, colour=colour(v.way)), *row) for v, row in zip(variants, rows, strict=True))
    return Table(name, ("way", *columns), named, kinds=("name", *["number"] * len(columns)))


def _ways(found: Comparison) -> Iterator[Item]:
    rows = []
    for v in found.variants:
        maps = " > ".join(map(str, (*stages(SIZE, v.width), 1)))
        rows.append((Mark(v.way, colour=colour(v.way)), WAYS[v.way].title, maps, f"{v.parameters:,}"))
    columns = ("way", "how a map is doubled", "channels from 4x4 on", "parameters")
    yield Table("generators", columns, tuple(rows), kinds=("name", "words", "code", "number"))


def _learning(found: Comparison) -> Iterator[Item]:
    yield from pictures.by_epoch(found)
    yield Legend(tuple((v.way, colour(v.way)) for v in found.variants))
    yield pictures.curves_of(found, {v.way: colour(v.way) for v in found.variants})


def _memory(found: Comparison) -> Iterator[Item]:
    yield Line(
        "Odd rows: samples, not chosen. Below each: the nearest of all "
        f"{len(found.data.train):,} training pictures, by the root mean square difference of pixels. "
        "A generator that had learned pictures by heart would show equal pairs."
    )
    yield pictures.nearest(found)
    told = ", ".join(f"{v.usual:.3f} for {v.way}" for v in found.variants)
    yield Line(
        f"The median distance of a sample to its nearest training picture is {told}. Real pictures that no "
        f"generator has seen, those of the test part, are {found.usual:.3f} away. A much smaller number "
        "would be a sign of memory."
    )


def _distance(found: Comparison) -> Iterator[Item]:
    count = min(found.plan.samples, len(found.data.test))
    yield Line(
        f"The Frechet distance compares {count:,} samples with {count:,} pictures of the test part: the 64 "
        "features of each set have a mean and a covariance, and the distance is that of the two normal "
        "distributions. The features are those of a small classifier of three convolutions, trained beside "
        f"the generators on the labels of the training part ({found.plan.classifier_steps} steps of 128 "
        f"pictures, Adam); it is right for {100 * found.accuracy:.1f} % of the test pictures. It is not "
        "Inception: these numbers cannot be compared with FIDs of papers, only with each other and with the "
        f"floor, the distance of as many training pictures, which is {found.floor:.2f}."
    )
    columns = ("Frechet distance", "mean confidence", "rarest class", "most frequent class")
    rows = []
    for v in found.variants:
        least, most = (
            f"{found.data.classes[index]} {100 * v.shares[index]:.1f} %"
            for index in (int(v.shares.argmin()), int(v.shares.argmax()))
        )
        rows.append((f"{v.frechet:.2f}", f"{v.confidence:.3f}", least, most))
    yield _table("distances", columns, found.variants, rows)
    yield Line(
        "Confidence is the mean of the classifier's largest probability; of real test pictures it is "
        f"{found.confidence:.3f}. The classes of samples are by its judgement."
    )


def _pattern(found: Comparison) -> Iterator[Item]:
    last = max(found.variants, key=lambda v: v.doublings[-1].ripple)
    seen = max(found.variants, key=lambda v: v.excess[PERIODS[0]])
    yield Line(
        "A doubling adds a checkerboard if its four phases answer a constant map with different values. "
        "tconv diagnose measures this on the weights: the share of the response to constants that is a "
        "pattern. In the pictures, a pattern of the last doubling repeats every 2 pixels, one of the "
        "doubling before every 4, one of the first every 8. The number is the power of the samples at "
        "exactly these frequencies, relative to real pictures and to the frequencies around: 1 means no "
        "pattern."
    )
    columns = []
    for period in PERIODS:
        columns += [f"weights, every {period}", f"pictures, every {period}"]
    rows: list[Sequence[str | Mark]] = []
    for v in found.variants:
        by_period = {each.period: each for each in v.doublings}
        row: list[str | Mark] = []
        for period in PERIODS:
            row += [f"{100 * by_period[period].ripple:.1f} %", f"{v.excess[period]:.2f}"]
        rows.append(row)
    yield _table("patterns", columns, found.variants, rows)
    real = ", ".join(f"{value:.2f} every {period}" for period, value in found.real_excess.items())
    agree = (
        f"Both are largest for {last.way}."
        if last is seen
        else f"The weights predict the strongest one of the last doubling for {last.way} "
        f"({100 * last.doublings[-1].ripple:.1f} %), the pictures show it for {seen.way} "
        f"({seen.excess[PERIODS[0]]:.2f})."
    )
    yield Line(
        f"{agree} Training pictures against test pictures, which have no pattern, give {real}. Weights and "
        "pictures need not agree: the maps that a doubling gets are not constant, tanh removes what is below "
        "black, and the layers after it can remove a pattern or were trained with it."
    )
    yield pictures.spectra(found)
    yield from _findings(found)


def _findings(found: Comparison) -> Iterator[Item]:
    rows = []
    for v in found.variants:
        for number, each in enumerate(v.doublings, 1):
            codes = ", ".join(each.codes) or "none"
            rows.append((Mark(v.way, colour=colour(v.way)), f"up{number}", each.problem, codes))
    columns = ("way", "layer", "as one transposed convolution", "findings of tconv diagnose")
    yield Table("diagnosis", columns, tuple(rows), kinds=("name", "words", "code", "words"))


def _cost(found: Comparison) -> Iterator[Item]:
    yield Line(
        "Median times of a batch of 64 in this run, all in turns: a step of the generator (forward, backward "
        "and Adam, without the discriminator), and sampling. PyTorch's op: the same generator with "
        "torch.nn.ConvTranspose2d in place of this project's layers. In nearest and subpixel only the "
        "projection of z is a transposed convolution; their convolutions are PyTorch's in both."
    )
    columns = ("step", "step, PyTorch's op", "ratio", "sampling", "sampling, PyTorch's op", "ratio ")
    rows = []
    for v in found.variants:
        c = v.cost
        rows.append(
            (
                f"{1000 * c.step:.1f} ms",
                f"{1000 * c.pytorch_step:.1f} ms",
                f"{c.pytorch_step / c.step:.2f}",
                f"{1000 * c.sampling:.1f} ms",
                f"{1000 * c.pytorch_sampling:.1f} ms",
                f"{c.pytorch_sampling / c.sampling:.2f}",
            )
        )
    yield _table("costs", columns, found.variants, rows)


def _caveats(found: Comparison) -> Iterator[tuple[str, str]]:
    texts = (
        "One run for each way. Distances of two runs that differ only in their seed differ, too: which way "
        "is the better one cannot be read from one run.",
        "Equal parameters are not equal work: a convolution after nearest neighbour multiplies at every "
        "pixel of the finer map. Equal steps are not equal time, see the costs.",
        "The networks are small and the training is short, so that it fits into minutes on two cores. The "
        "paper's networks are eight times as wide.",
        "The Frechet distance sees what a small classifier sees: shape and kind of clothes, hardly texture.",
    )
    yield from (("", text) for text in texts)


def _settings(found: Comparison) -> Iterator[Item]:
    plan = found.plan
    steps = plan.steps_per_epoch * EPOCHS
    passes = steps * plan.batch / len(found.data.train)
    shown: dict[str, object] = {
        "data": f"{found.data.name}: {len(found.data.train):,} pictures to train on, "
        f"{len(found.data.test):,} to compare with, padded to {SIZE}x{SIZE}",
        "steps": f"{steps:,} of {plan.batch} pictures, {passes:.1f} passes; an epoch of the report is "
        f"{plan.steps_per_epoch} steps",
        "z": "100 numbers, uniform from -1 to 1",
        "discriminator": f"as published, {' > '.join(map(str, reversed(stages(SIZE, plan.judge))))} channels",
        "optimiser": f"Adam, rate {RATE:g}, betas {BETAS[0]:g} and {BETAS[1]:g}",
        "first weights": "N(0, 0.02); scales of BatchNorm N(1, 0.02)",
        "seed": plan.seed,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "versions": ", ".join(
            f"{name} {version(name)}" for name in ("tconv", "torch", "pytorch-lightning", "torchmetrics")
        ),
        "time": f"{sum(row['seconds'] for v in found.variants for row in v.rows):.0f} s of training, "
        f"{found.seconds:.0f} s in this call",
    }
    rows = tuple((name, str(value)) for name, value in shown.items())
    yield Table("settings", ("setting", "value"), rows, kinds=("name", "words"))
