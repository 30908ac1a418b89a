"""What tests of training share: the labelled pictures, and a run that has learned them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.helpers import folder

__all__ = ["folder"]


@pytest.fixture(scope="session")
def learned(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run on whole pictures; nobody changes it."""
    from tconv.train.run import fit

    return fit(folder, tmp_path_factory.mktemp("runs") / "learned", epochs=12, batch=2, lr=1e-2).folder


@pytest.fixture(scope="session")
def trained(learned: Path) -> Path:
    """Its last checkpoint."""
    return learned / "last.ckpt"
