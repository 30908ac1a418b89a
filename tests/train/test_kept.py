"""Pictures that are kept in memory: the same numbers, and no more bytes than allowed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tconv.train.data import FolderSplit, Kept, open_data


def test_kept_pictures_are_read_once_and_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = open_data(folder).split("train")
    kept = Kept(split, most=20_000)
    before = [split[index] for index in range(len(split))]
    first = [kept[index] for index in range(len(split))]
    reads = []
    monkeypatch.setattr(FolderSplit, "__getitem__", lambda self, index: reads.append(index) or before[index])
    for index, (picture, label) in enumerate(before):
        for found in (first[index], kept[index]):
            assert found[0].dtype == picture.dtype
            np.testing.assert_array_equal(found[0], picture)
            np.testing.assert_array_equal(found[1], label)
    bytes_of = [4 * label.size for _, label in before]
    assert 0 < len(reads) < len(split)  # the last ones did not fit
    assert sum(bytes_of) - sum(bytes_of[index] for index in reads) <= 20_000
    assert list(kept.names) == list(split.names)


def test_pictures_of_16_bits_are_read_again() -> None:
    class Fine:
        names = ("a",)
        reads = 0

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            self.reads += 1
            return np.full((2, 2, 1), 1 / 65535, np.float32), np.zeros((2, 2), np.uint8)

    fine = Fine()
    kept = Kept(fine)
    assert kept[0][0].max() == kept[0][0].max() == np.float32(1 / 65535)
    assert fine.reads == 2
