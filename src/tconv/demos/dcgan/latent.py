"""Walks and arithmetic in the space of z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tconv.demos.dcgan.batches import Bytes
from tconv.demos.dcgan.classifier import Classifier
from tconv.demos.dcgan.module import draw_z, generated
from tconv.nets.dcgan import Generator

__all__ = ["STEPS", "TERMS", "Sum", "add_up", "walk"]

#: Pictures of a walk, both ends included.
STEPS = 9

#: plus, minus, plus: a pullover without what a T-shirt has, on a dress, should be a dress with sleeves.
TERMS = ("pullover", "T-shirt/top", "dress")

_AVERAGED = 3  # z for each term, as in the paper
_DRAWN = 1500
_AROUND = 0.25  # half-width of the uniform noise that is added to a sum's z, as in the paper


@dataclass(frozen=True)
class Sum:
    """TERMS[0] - TERMS[1] + TERMS[2], each the mean of three z: pictures of the three means and of the sum.

    `around` are pictures of the sum's z with noise, `says` what the classifier takes them for, most frequent
    first.
    """

    terms: Bytes
    result: Bytes
    around: Bytes
    says: tuple[tuple[str, int], ...]


def walk(generator: Generator, seed: int) -> Bytes:
    """Pictures (STEPS, size, size) on a straight line from one z to another."""
    first, last = draw_z(2, seed, 4)
    shares = torch.linspace(0, 1, STEPS)[:, None]
    return generated(generator, (1 - shares) * first + shares * last)


def add_up(generator: Generator, judge: Classifier, classes: Sequence[str], seed: int) -> Sum | None:
    """The sum of `TERMS`; None if the data have no such classes, or the generator makes too few of one.

    The z of a term are the three of many whose pictures the classifier is surest of.
    """
    if not set(TERMS) <= set(classes):
        return None
    z = draw_z(_DRAWN, seed, 5)
    _, probabilities = judge.look(generated(generator, z))
    means = []
    for term in TERMS:
        sure = probabilities[:, classes.index(term)]
        best = np.argsort(-sure, kind="stable")[:_AVERAGED]
        if sure[best[-1]] < 0.5:
            return None
        means.append(z[torch.from_numpy(best)].mean(0))
    total = means[0] - means[1] + means[2]
    noise = draw_z(8, seed, 6) * _AROUND
    around = generated(generator, total + noise)
    named = judge.look(around)[1].argmax(1).tolist()
    counts = sorted(((classes[c], named.count(c)) for c in set(named)), key=lambda pair: -pair[1])
    return Sum(
        generated(generator, torch.stack(means)), generated(generator, total[None]), around, tuple(counts)
    )
