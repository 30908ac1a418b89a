"""benchmarks/volumes.py on a small head: what it writes is checked by blocks and drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.bench.test_scripts import script

for _name in ("dask", "zarr", "matplotlib"):
    pytest.importorskip(_name, reason="finer volumes are written by Dask and drawn; install tconv[dask,plot]")


def test_a_finer_head_is_equal_by_blocks_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import zarr
    from PIL import Image

    volumes = script("volumes")
    voxels = np.random.default_rng(0).integers(0, 256, (12, 60, 53)).astype(np.uint8)
    monkeypatch.setattr(volumes, "_voxels", lambda path, part: voxels)
    out = tmp_path / "fine.zarr"
    _, shape = volumes.upsample(tmp_path, out)
    assert shape == (48, 240, 212)
    assert volumes.check(tmp_path, out) == 1
    volumes.picture(tmp_path, out, tmp_path / "slices.png")
    assert capsys.readouterr().out == f"{tmp_path / 'slices.png'}\n"
    with Image.open(tmp_path / "slices.png") as drawn:
        assert drawn.size == (1210, 1276)
    zarr.open_array(str(out), mode="r+")[5, 7, 9] += 1
    with pytest.raises(SystemExit, match="the block from voxel"):
        volumes.check(tmp_path, out)
