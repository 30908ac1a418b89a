"""Order, crops and augmentation: drawn from (seed, epoch, picture); label and picture stay together."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tconv.train.batches import (
    Augmentation,
    EpochOrder,
    Normalisation,
    TrainingPictures,
    WholeOrder,
    WholePictures,
    collate,
)
from tconv.train.pictures import IGNORED


class Stripes:
    """Pictures whose value is their label, so that what happens to one can be checked against the other."""

    names = ("a", "b", "c")

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        label = np.zeros((20 + index, 30), np.uint8)
        label[:, 12:] = 1
        return label[:, :, None].astype(np.float32), label


AS_IS = Normalisation((0.0,), (1.0,))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(count=st.integers(1, 30), ranks=st.integers(1, 4), each=st.integers(1, 3), epoch=st.integers(0, 5))
def test_an_epoch_shows_every_picture_in_full_batches(count: int, ranks: int, each: int, epoch: int) -> None:
    shares = []
    for rank in range(ranks):
        order = EpochOrder(count, batch=each * ranks, seed=1, rank=rank, ranks=ranks)
        order.set_epoch(epoch)
        keys = list(order)
        assert len(keys) == len(order)
        assert len(keys) % each == 0
        assert {key[0] for key in keys} == {epoch}
        shares.append([index for _, index in keys])
    seen = Counter(index for share in shares for index in share)
    assert set(seen) == set(range(count))
    assert max(seen.values()) - min(seen.values()) <= 1
    assert sum(seen.values()) - count < each * ranks


def test_epochs_and_seeds_differ_and_repeat() -> None:
    def order(seed: int, epoch: int) -> list[tuple[int, int]]:
        found = EpochOrder(20, batch=1, seed=seed, rank=0, ranks=1)
        found.set_epoch(epoch)
        return [index for _, index in found]

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_validation_counts_each_picture_once_over_all_ranks(ranks: int) -> None:
    shares = [list(WholeOrder(7, rank=rank, ranks=ranks)) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    assert sorted(i for share in shares for i in share if i is not None) == list(range(7))


def test_a_filler_picture_counts_nothing() -> None:
    x, y = WholePictures(Stripes(), AS_IS)[None]
    assert x.shape[1:] == y.shape
    assert (y == IGNORED).all()


def test_normalisation() -> None:
    picture = np.array([[[0.5, 1.0]]], np.float32)
    assert Normalisation((0.5, 0.0), (1.0, 0.25))(picture).tolist() == [[[0.0]], [[4.0]]]


def test_a_crop_is_a_window_of_the_picture() -> None:
    pictures = TrainingPictures(Stripes(), AS_IS, crop=16, augment=None, seed=0)
    places = set()
    for epoch in range(12):
        x, y = pictures[epoch, 0]
        assert x.shape == (1, 16, 16)
        assert torch.equal(x[0], y.float())
        places.add(int(y[0].sum()))
    assert len(places) > 3


def test_a_crop_larger_than_the_picture_is_filled_with_what_does_not_count() -> None:
    x, y = TrainingPictures(Stripes(), AS_IS, crop=32, augment=None, seed=0)[0, 0]
    assert x.shape == (1, 32, 32)
    assert (y[20:] == IGNORED).all()
    assert (y[:, 30:] == IGNORED).all()
    assert int((y != IGNORED).sum()) == 20 * 30


def test_augmentation_keeps_picture_and_label_together() -> None:
    pictures = TrainingPictures(Stripes(), AS_IS, crop=None, augment=Augmentation(), seed=0)
    shapes, left = set(), set()
    for epoch in range(16):
        x, y = pictures[epoch, 1]
        assert x.shape[1:] == y.shape
        assert set(np.unique(y)) == {0, 1}
        dark, bright = x[0][y == 0], x[0][y == 1]
        # Light and contrast move by a tenth at most, the border between the stripes blurs.
        assert float(bright.median() - dark.median()) > 0.85
        shapes.add(tuple(y.shape))
        left.add(int(y[0, 0]))
    assert len(shapes) > 8
    assert left == {0, 1}
    low, high = min(s[0] for s in shapes), max(s[0] for s in shapes)
    assert round(21 * 0.75) <= low < 21 < high <= round(21 * 1.5)


def test_a_crop_may_be_higher_than_wide() -> None:
    x, y = TrainingPictures(Stripes(), AS_IS, crop=[18, 7], augment=None, seed=0)[3, 1]
    assert x.shape == (1, 18, 7)
    assert torch.equal(x[0], y.float())


def test_settings_of_a_run_reach_the_augmentation() -> None:
    settings = {"crop": 9, "augment": True, "scales": [0.5, 0.5], "light": 0.0, "saturation": 0.3, "seed": 4}
    pictures = TrainingPictures.of(Stripes(), AS_IS, settings)
    assert (pictures.crop, pictures.seed) == (9, 4)
    assert pictures.augment == Augmentation((0.5, 0.5), 0.0, 0.3)
    assert TrainingPictures.of(Stripes(), AS_IS, {**settings, "augment": False}).augment is None
    _, y = TrainingPictures.of(Stripes(), AS_IS, {**settings, "crop": None})[0, 0]
    assert y.shape == (10, 15)


def test_saturation_moves_colours_and_keeps_gray() -> None:
    change = Augmentation((1.0, 1.0), 0.0, 0.5)
    gray, red = torch.full((3, 4, 4), 0.5), torch.zeros(3, 4, 4)
    red[0] = 1.0
    label = torch.zeros(4, 4, dtype=torch.uint8)
    reds = set()
    for seed in range(5):
        assert torch.allclose(change(gray, label, np.random.default_rng(seed))[0], gray)
        x, _ = change(red, label, np.random.default_rng(seed))
        torch.testing.assert_close(x.mean(0), red.mean(0))
        reds.add(round(float(x[0, 0, 0] - x[1, 0, 0]), 4))
    assert len(reds) == 5
    assert all(0.5 <= value <= 1.5 for value in reds)


def test_a_picture_of_an_epoch_is_the_same_whatever_was_read_before() -> None:
    one, two = (TrainingPictures(Stripes(), AS_IS, crop=16, augment=Augmentation(), seed=5) for _ in range(2))
    for epoch in range(3):
        one[epoch, 2]
    for drawn, again in zip(one[7, 1], two[7, 1], strict=True):
        assert torch.equal(drawn, again)
    assert not torch.equal(one[7, 1][0], one[8, 1][0])


def test_a_batch_of_different_sizes_is_filled_up() -> None:
    whole = WholePictures(Stripes(), AS_IS)
    x, y = collate([whole[0], whole[2]])
    assert x.shape == (2, 1, 22, 30)
    assert torch.equal(x[0, :, :20], whole[0][0])
    assert (y[0, 20:] == IGNORED).all()
    assert (x[0, :, 20:] == 0).all()
