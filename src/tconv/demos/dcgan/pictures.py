"""The pictures of a report about generators: sheets of samples, curves, spectra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tconv.demos.dcgan.batches import Bytes
from tconv.demos.dcgan.comparison import Comparison
from tconv.demos.dcgan.latent import STEPS, TERMS
from tconv.documents import Figure, Figures, Item, Line
from tconv.nets.dcgan import WAYS
from tconv.runs.figures import curves, filter_tile, png_uri, sheet

__all__ = ["by_epoch", "curves_of", "nearest", "samples", "spectra", "sums", "walks"]

FOLLOWED = 8  #: z whose pictures are shown after every epoch

PAIRS = 6  #: samples in a row with their nearest pictures below

FULL = 10.0  #: decibels at which the colour of a spectrum is full


def _figure(pictures: Bytes, columns: int, caption: str, alt: str) -> Figure:
    return Figure(png_uri(sheet(pictures, columns)), caption, alt)


def samples(found: Comparison) -> Iterator[Item]:
    """64 samples of every way, not chosen, and as many real pictures."""
    count = len(found.variants[0].samples)
    real = found.data.test[:count]
    figures = [
        _figure(v.samples, 8, f"{v.way}: {WAYS[v.way].title}", f"{count} samples of {v.way}")
        for v in found.variants
    ]
    figures.append(_figure(real, 8, "real pictures, of the test part", f"{count} real pictures"))
    yield Line(f"{count} samples of each, of the same z, not chosen; last, real pictures.")
    yield Figures(tuple(figures), layout="pairs")


def by_epoch(found: Comparison) -> Iterator[Item]:
    """A row for each of a few z, a column for each epoch."""
    epochs = len(found.variants[0].by_epoch)
    yield Line(
        f"Each row is one z, each column an epoch, from noise before the first to epoch {epochs - 1}. "
        f"An epoch is {found.plan.steps_per_epoch} steps of {found.plan.batch} pictures."
    )
    figures = []
    for v in found.variants:
        rows = np.stack([pictures[:FOLLOWED] for pictures in v.by_epoch], axis=1)
        flat = rows.reshape(-1, *rows.shape[2:])
        figures.append(_figure(flat, epochs, v.way, f"Samples of {v.way} after each epoch"))
    yield Figures(tuple(figures), layout="pairs")


def curves_of(found: Comparison, colours: Mapping[str, str]) -> Figures:
    """The losses of both networks over the epochs."""
    told = {
        "discriminator": "The discriminator's loss: 1.39 is guessing.",
        "generator": "The generator's loss: 0.69 where the discriminator guesses. Neither says how good the "
        "pictures are; each is against an opponent that learns.",
    }
    figures = []
    for column, caption in told.items():
        lines = {
            v.way: ([row["epoch"] for row in v.rows], [row[column] for row in v.rows]) for v in found.variants
        }
        figures.append(Figure(curves(lines, colours, title=f"Loss of the {column} by epoch"), caption))
    return Figures(tuple(figures), layout="pairs")


def walks(found: Comparison) -> Iterator[Item]:
    """A straight line between two z, for every way."""
    yield Line(
        "Left and right are the pictures of two z, between them those on the straight line from one to the "
        "other. Where every step is a garment, the generator has not just learned a list of pictures."
    )
    figures = [_figure(v.walk, STEPS, v.way, f"A walk between two z, {v.way}") for v in found.variants]
    yield Figures(tuple(figures))


def sums(found: Comparison) -> Iterator[Item]:
    """Plus, minus, plus, the sum, and neighbours of the sum."""
    plus, minus, to = TERMS
    yield Line(
        f"{plus} - {minus} + {to}: each term is the mean of the three z whose pictures the classifier is "
        "surest of. The first row shows the pictures of the three means and of the sum; below are those of "
        "the sum with noise of up to 0.25 in every number of z. If directions in z have a meaning, long "
        "sleeves come to a dress, and the sum is a dress with sleeves, or a coat."
    )
    figures = []
    for v in found.variants:
        if v.sum is not None:
            row = np.concatenate([v.sum.terms, v.sum.result, v.sum.around])
            says = ", ".join(f"{name} {count}" for name, count in v.sum.says)
            caption = f"{v.way}; the classifier takes the lower {len(v.sum.around)} for: {says}"
            figures.append(_figure(row, len(TERMS) + 1, caption, f"Arithmetic on z, {v.way}"))
    if figures:
        yield Figures(tuple(figures), layout="wide")
    left_out = [v.way for v in found.variants if v.sum is None]
    if left_out:
        yield Line(f"Left out, since not every term is among the samples: {', '.join(left_out)}.")


def nearest(found: Comparison) -> Figures:
    """Rows of samples, and below each the nearest training pictures."""
    figures = []
    for v in found.variants:
        near = found.data.train[v.near.indices]
        rows = [v.nearest_to.reshape(-1, PAIRS, *near.shape[1:]), near.reshape(-1, PAIRS, *near.shape[1:])]
        pairs = np.stack(rows, axis=1).reshape(-1, *near.shape[1:])
        figures.append(_figure(pairs, PAIRS, v.way, f"Samples of {v.way} and their nearest pictures"))
    return Figures(tuple(figures), layout="pairs")


def spectra(found: Comparison) -> Figures:
    """The samples' power against real pictures, frequency by frequency."""
    figures = tuple(
        Figure(filter_tile(v.spectrum.astype(np.float32), FULL), v.way, f"Spectrum of samples of {v.way}")
        for v in found.variants
    )
    return Figures(
        figures,
        "Power against real pictures",
        "Frequency 0 is in the middle, the pattern of every second pixel at the edges. Red: more power than "
        f"real pictures, blue: less; full colour at {FULL:g} dB, a factor of {10 ** (FULL / 10):g}. The "
        "pattern of a doubling is a few single dots.",
        layout="wide",
    )
