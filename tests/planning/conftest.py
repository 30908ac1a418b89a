"""A folder for what `tconv tune` keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tconv import planning
from tconv.ops.call_cache import planned_call


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where results are kept, which are read again after each `planning.refresh()`."""
    monkeypatch.setenv("TCONV_CACHE", str(tmp_path / "kept"))
    planning.refresh()
    yield tmp_path / "kept"
    monkeypatch.setenv("TCONV_CACHE", "off")
    planning.refresh()
    planned_call.cache_clear()
