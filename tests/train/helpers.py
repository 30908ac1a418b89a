"""A tiny folder of labelled pictures, for the tests of training: bright discs and bars on a dark ground."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from tconv.train.run import Run

CLASSES = ("ground", "disc", "bar")
SIZES = ((48, 40), (40, 56), (33, 47))
COUNTS = {"train": 7, "val": 3, "test": 2}
SETTINGS = {"epochs": 4, "batch": 2, "crop": 40, "augment": True, "seed": 3}


def labelled(split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture (uint8, RGB) and label of one place in a split; a strip at the left is ignored."""
    draw = np.random.default_rng([len(split), index])
    height, width = SIZES[index % len(SIZES)]
    y, x = np.mgrid[:height, :width]
    top, left = draw.integers(10, 28, 2)
    label = ((y - top) ** 2 + (x - left) ** 2 < 80).astype(np.uint8)
    label[-9:] = 2
    picture = np.stack([label * 100, label * 60 + 30, 160 - label * 70], axis=-1) + draw.integers(
        0, 30, (height, width, 3)
    )
    label[:, :3] = 3 if index % 2 else 255
    return picture.astype(np.uint8), label


def write_folder(root: Path) -> Path:
    """Write all splits below ``root``; the first picture of each is a JPEG."""
    for split, count in COUNTS.items():
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for index in range(count):
            picture, label = labelled(split, index)
            ending = "png" if index else "jpg"
            Image.fromarray(picture).save(root / split / "images" / f"p{index}.{ending}")
            Image.fromarray(label).save(root / split / "labels" / f"p{index}.png")
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return root


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("labelled") / "data")


def after_shares(notes: str) -> str:
    """What training says on stderr after the table of the classes' shares."""
    lines = notes.splitlines(keepends=True)
    assert lines[0].startswith("share of pixels")
    assert lines[len(CLASSES) + 2].startswith("(ignored)")
    return "".join(lines[len(CLASSES) + 3 :])


def equal(one: Any, two: Any) -> bool:
    """Whether two nested values are the same to the last bit."""
    import torch

    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(equal, one, two))
    return bool(one == two)


def assert_same_end(run: Run, other: Run) -> None:
    """Whether two runs ended with the same weights, and had the same rows."""
    from tconv.train.checkpoint import read_checkpoint

    always = ("state_dict", "hyper_parameters", "epoch", "global_step")
    for name, parts in {
        "best.ckpt": always,
        "last.ckpt": (*always, "optimizer_states", "lr_schedulers"),
    }.items():
        one, two = (read_checkpoint(r.folder / name) for r in (run, other))
        for part in parts:
            assert equal(one[part], two[part]), (name, part)
    timeless = [[{k: v for k, v in row.items() if k != "seconds"} for row in r.rows] for r in (run, other)]
    assert timeless[0] == timeless[1]


def fill_disk(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Let the disk be full when file number `at`, counted from 1, is to be on it; folders do not count."""
    count = 0

    def fsync(descriptor: int) -> None:
        nonlocal count
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            count += 1
            if count == at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
