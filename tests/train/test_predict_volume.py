"""Labels of volumes: as those of whole slices, in any format, after a kill, and on a cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from PIL import Image

from tconv import TconvError
from tconv.cli import main
from tconv.train.checkpoint import load_segmenter
from tconv.train.predict import scores
from tconv.train.predict_volume import predict_volume
from tconv.train.volume import open_volume
from tests.train.helpers import folder  # noqa: F401

SHAPE = (5, 70, 45)


@pytest.fixture(scope="module")
def volume() -> np.ndarray:
    z, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    ball = (y - 30) ** 2 + (x - 20) ** 2 + 9 * z**2 < 250
    return (ball * 120 + np.random.default_rng(0).integers(0, 90, SHAPE)).astype(np.uint8)


def expected(trained: Path, volume: np.ndarray, white: float = 255) -> np.ndarray:
    """Each slice, as one picture."""
    segmenter = load_segmenter(trained)
    pictures = (np.float32(1) / np.float32(white) * each[:, :, None].astype(np.float32) for each in volume)
    return np.stack([scores(segmenter, p, tile=0).argmax(0).numpy() for p in pictures])


def write(kind: str, root: Path, volume: np.ndarray) -> Path:
    path = root / f"volume{kind}"
    if kind == ".npy":
        np.save(path, volume)
    elif kind == ".zarr":
        zarr.create_array(str(path), data=volume, chunks=(2, 32, 32))
    elif kind == ".tif":
        first, *others = map(Image.fromarray, volume)
        first.save(path, save_all=True, append_images=others)
    elif kind == "":
        path.mkdir()
        for index, each in enumerate(volume):
            Image.fromarray(each).save(path / f"slice{index + 8}.png")  # 8, 9, 10: by number
    else:
        import nibabel

        image = nibabel.Nifti1Image(volume.transpose(2, 1, 0), np.diag([0.5, -0.5, 2, 1]))
        image.header.set_xyzt_units("mm")
        image.to_filename(path)
    return path


def ome(root: Path, volume: np.ndarray, **changes: Any) -> Path:
    """An OME-Zarr image."""
    group = zarr.create_group(str(root / "image.zarr"))
    group.create_array("full", data=volume[None], chunks=(1, 2, 40, 40))
    level = {"path": "full", "coordinateTransformations": [{"type": "scale", "scale": [1, 3.0, 0.5, 0.25]}]}
    group.update_attributes({"ome": {"version": "0.5", "multiscales": [{"datasets": [level | changes]}]}})
    return root / "image.zarr"


def labels(path: Path) -> np.ndarray:
    return np.asarray(zarr.open_group(str(path), mode="r")["0"])


@pytest.mark.parametrize("kind", [".npy", ".zarr", ".tif", "", ".nii", ".nii.gz"])
def test_slices_of_any_format_are_labelled_as_pictures(
    trained: Path, volume: np.ndarray, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "labels.zarr"
    done = predict_volume(trained, write(kind, tmp_path, volume), out, tile=24, batch=2)
    assert (done.shape, done.chunks, done.made, done.found) == (SHAPE, 3 * 3 * 2, 18, 0)
    found, whole = labels(out), expected(trained, volume)
    assert len(np.unique(whole)) > 1
    np.testing.assert_array_equal(found, whole)
    array = zarr.open_group(str(out), mode="r")["0"]
    assert (array.chunks, array.dtype, array.metadata.zarr_format) == ((2, 24, 24), np.uint8, 3)


def test_a_head_that_looks_down_is_turned_and_its_labels_turned_back(
    trained: Path, volume: np.ndarray, tmp_path: Path
) -> None:
    import nibabel

    path = tmp_path / "ras.nii"
    nibabel.Nifti1Image(volume[:, ::-1].transpose(2, 1, 0), np.eye(4)).to_filename(path)
    predict_volume(trained, path, tmp_path / "labels.zarr", tile=24)
    np.testing.assert_array_equal(labels(tmp_path / "labels.zarr")[:, ::-1], expected(trained, volume))


def test_the_scale_of_an_image_is_kept(trained: Path, volume: np.ndarray, tmp_path: Path) -> None:
    predict_volume(trained, ome(tmp_path, volume), tmp_path / "labels.zarr", tile=0)
    about = json.loads((tmp_path / "labels.zarr" / "zarr.json").read_text())["attributes"]
    image = about["ome"]["multiscales"][0]
    assert image["datasets"][0]["coordinateTransformations"] == [{"type": "scale", "scale": [3.0, 0.5, 0.25]}]
    assert [axis["name"] for axis in image["axes"]] == ["z", "y", "x"]
    assert about["tconv"]["classes"] == ["ground", "disc", "bar"]
    np.testing.assert_array_equal(labels(tmp_path / "labels.zarr"), expected(trained, volume))


def test_finished_chunks_are_kept_and_damaged_ones_made_again(
    trained: Path, volume: np.ndarray, tmp_path: Path
) -> None:
    path, out = write(".npy", tmp_path, volume), tmp_path / "labels.zarr"

    def stop(done: int, count: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_volume(trained, path, out, tile=24, batch=2, progress=stop)
    listed = (out / "tconv.jsonl").read_bytes()
    (out / "tconv.jsonl").write_bytes(listed[:-4])  # as a kill may leave it
    zarr.open_group(str(out))["0"][0:2, 0:24, 0:24] = 7  # a chunk that is not what was noted
    done = predict_volume(trained, path, out, tile=24, batch=2)
    assert (done.made, done.found) == (15, 3)
    np.testing.assert_array_equal(labels(out), expected(trained, volume))
    assert predict_volume(trained, path, out, tile=24, batch=2).found == 18
    with pytest.raises(TconvError, match="holds labels of another chunks; a new folder"):
        predict_volume(trained, path, out, tile=16, batch=2)


def test_a_killed_call_is_continued(trained: Path, volume: np.ndarray, tmp_path: Path) -> None:
    path, out = write(".npy", tmp_path, volume), tmp_path / "labels.zarr"
    words = [sys.executable, "-m", "tconv", "predict", str(trained), str(path), "--out", str(out)]
    words += ["--tile", "24", "--batch", "1"]
    first = subprocess.Popen(words, start_new_session=True)
    while first.poll() is None:
        listed = out / "tconv.jsonl"
        if listed.exists() and listed.read_bytes().count(b"\n") > 5:
            os.killpg(first.pid, signal.SIGKILL)
            break
        time.sleep(0.01)
    assert first.wait() == -signal.SIGKILL
    told = subprocess.run([*words, "--json"], check=True, capture_output=True, text=True).stdout
    done = json.loads(told)
    assert done["found"] >= 4
    assert done["made"] == done["chunks"] - done["found"] > 0
    np.testing.assert_array_equal(labels(out), expected(trained, volume))


def test_a_cluster_gives_the_same(trained: Path, volume: np.ndarray, tmp_path: Path) -> None:
    from distributed import LocalCluster

    path, out = write(".zarr", tmp_path, volume), tmp_path / "labels.zarr"
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "processes": True}
    with LocalCluster(**options, host="127.0.0.1", local_directory=str(tmp_path)) as cluster:
        killed = []

        def kill(done: int, count: int) -> None:
            if done == 3:
                worker = next(iter(cluster.workers.values()))
                killed.append(worker.pid)
                os.kill(worker.pid, signal.SIGKILL)

        done = predict_volume(
            trained, path, out, tile=24, batch=1, scheduler=cluster.scheduler_address, progress=kill
        )
    assert killed
    assert (done.chunks, done.found) == (30, 0)
    np.testing.assert_array_equal(labels(out), expected(trained, volume))


def test_the_value_of_white(trained: Path, volume: np.ndarray, tmp_path: Path) -> None:
    path = write(".npy", tmp_path, volume.astype(np.int16) * 4)
    with pytest.raises(TconvError, match="values are int16; --white N"):
        predict_volume(trained, path, tmp_path / "labels.zarr")
    words = ["predict", str(trained), str(path), "--out", str(tmp_path / "labels.zarr")]
    assert main([*words, "--white", "1020"]) == 0
    np.testing.assert_array_equal(
        labels(tmp_path / "labels.zarr"), expected(trained, volume * np.int16(4), 1020)
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tile": -1}, "tile=-1"),
        ({"batch": 0}, "batch=0"),
        ({"white": 0.0}, "--white 0"),
        ({"white": float("nan")}, "--white nan"),
        ({"scheduler": "localhost"}, "--scheduler localhost: no address; tcp://HOST:PORT would fit"),
        ({"scheduler": "tcp://127.0.0.1:1"}, "--scheduler tcp://127.0.0.1:1: not reached"),
    ],
)
def test_options_that_do_not_fit(
    trained: Path, volume: np.ndarray, tmp_path: Path, options: dict[str, Any], says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("tconv.train.predict_volume.PATIENCE", "1s")
    with pytest.raises(TconvError) as caught:
        predict_volume(trained, write(".npy", tmp_path, volume), tmp_path / "labels.zarr", **options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def _metadata(**changes: Any) -> Any:
    def damage(root: Path) -> Path:
        path = write(".zarr", root, np.zeros((2, 8, 8), np.uint8))
        told = json.loads((path / "zarr.json").read_text())
        (path / "zarr.json").write_text(json.dumps({**told, **changes}))
        return path

    return damage


def _link_out(root: Path) -> Path:
    path = write(".zarr", root, np.ones((2, 8, 8), np.uint8))
    chunk = path / "c" / "0" / "0" / "0"
    chunk.rename(root / "secret")
    chunk.symlink_to(root / "secret")
    return path


def _image_elsewhere(root: Path) -> Path:
    return ome(root, np.zeros((2, 8, 8), np.uint8), path="../secret")


def _slices_of_two_sizes(root: Path) -> Path:
    path = write("", root, np.zeros((2, 8, 8), np.uint8))
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(path / "slice9.png")
    return path


def _cut(kind: str) -> Any:
    def damage(root: Path) -> Path:
        path = write(kind, root, np.random.default_rng(0).integers(0, 255, (4, 64, 64), np.uint8))
        path.write_bytes(path.read_bytes()[:3000])
        return path

    return damage


def _saved(array: np.ndarray) -> Any:
    return lambda root: write(".npy", root, array)


GRID = {"name": "regular", "configuration": {"chunk_shape": [2, 100_000, 100_000]}}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda root: root / "missing.zarr", "no such volume"),
        (lambda root: write("", root, np.zeros((0, 1, 1), np.uint8)), "no slices"),
        (_saved(np.zeros((2, 3), np.uint8)), r"shape (2, 3); (z, y, x)"),
        (_saved(np.zeros((2, 0, 3), np.uint8)), "2 x 0 x 3 voxels"),
        (_saved(np.zeros((2, 3, 4), complex)), "dtype complex128"),
        (_cut(".npy"), "not a complete .npy file"),
        (_cut(".nii"), "cannot be read"),
        (_cut(".nii.gz"), "cannot be read"),
        (_cut(".tif"), "volume.tif"),
        (_slices_of_two_sizes, "not all slices are 8x8"),
        (_metadata(zarr_format=2), "zarr_format 3 would fit"),
        (_metadata(node_type="group"), "a Zarr group without an image"),
        (_metadata(shape=[2, -8, 8]), "no array"),
        (_metadata(shape=[2**31 - 1] * 3), "chunks of (8, 1024, 1024)"),
        (_metadata(data_type="object"), "data type 'object'"),
        (_metadata(chunk_grid=GRID), "chunks of 20,000,000,000 bytes"),
        (_metadata(chunk_grid=3), "not a regular grid"),
        (_metadata(codecs=[{"name": "pickle"}]), "codec 'pickle' is unknown"),
        (_metadata(codecs=[{"name": "sharding_indexed"}]), "codecs None"),
        (_metadata(codecs=[]), "not a Zarr 3 array"),
        (_metadata(fill_value="x"), "not a Zarr 3 array"),
        (_link_out, "a link out of the store"),
        (_image_elsewhere, "outside of the store"),
    ],
)
def test_what_is_no_volume_is_one_line(trained: Path, tmp_path: Path, make: Any, says: str) -> None:
    path = make(tmp_path)
    with pytest.raises(TconvError) as caught:
        predict_volume(trained, path, tmp_path / "labels.zarr")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_folders_are_left_alone(trained: Path, volume: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "labels.zarr").mkdir()
    (tmp_path / "labels.zarr" / "thesis.tex").write_text("x")
    with pytest.raises(TconvError, match="holds something else"):
        predict_volume(trained, write(".npy", tmp_path, volume), tmp_path / "labels.zarr")


def test_a_volume_needs_a_store_and_pictures_a_folder(
    trained: Path, volume: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(".npy", tmp_path, volume)
    assert main(["predict", str(trained), str(path), "--out", str(tmp_path / "x")]) == 2
    assert "--out NAME.zarr would fit" in capsys.readouterr().err
    assert main(["predict", str(trained), "a.png", "--out", str(tmp_path / "x"), "--white", "1"]) == 2
    assert "--white: for volumes" in capsys.readouterr().err


def test_a_shard_is_read(tmp_path: Path) -> None:
    numbers = np.arange(8 * 8 * 8, dtype=np.uint16).reshape(8, 8, 8)
    zarr.create_array(str(tmp_path / "a.zarr"), data=numbers, chunks=(2, 2, 2), shards=(4, 8, 8))
    part = open_volume(tmp_path / "a.zarr").pictures(1.0, slice(1, 6), slice(0, 3), slice(2, 8))
    np.testing.assert_array_equal(part[..., 0], numbers[1:6, 0:3, 2:8])
