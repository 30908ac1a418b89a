"""Published weights: found where a package is installed, without running it, and checked."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from tconv.nets.published import PACKAGES, Package
from tests.helpers import refused_in_one_line

CONTENT = b"weights"
PACKAGE = Package("lite==1", "1 MB", "lite_weights", "models/w.pth", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "lite_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder / "models/w.pth"


def test_a_file_is_found_and_nothing_is_imported(place: Path) -> None:
    assert PACKAGE.found() is None
    place.write_bytes(CONTENT)
    assert PACKAGE.found() == place
    assert "lite_weights" not in sys.modules


def test_another_file_is_refused(place: Path) -> None:
    place.write_bytes(CONTENT + b"!")
    refused_in_one_line(PACKAGE.found, ["not the file of lite==1"])


def test_commands_install_nothing_else() -> None:
    for package in PACKAGES.values():
        assert package.command.startswith("pip install --no-deps ")
        assert "==" in package.command
