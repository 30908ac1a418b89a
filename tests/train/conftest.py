"""What tests of training share: the labelled pictures, and a run that has learned them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.train.helpers import folder

if TYPE_CHECKING:
    from tconv.train.run import Run

__all__ = ["folder"]


@pytest.fixture(scope="session")
def learned(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run on whole pictures; nobody changes it."""
    from tconv.train.run import fit

    return fit(folder, tmp_path_factory.mktemp("runs") / "learned", epochs=12, batch=2, lr=1e-2)


@pytest.fixture(scope="session")
def trained(learned: Run) -> Path:
    """Its last checkpoint."""
    return learned.last
