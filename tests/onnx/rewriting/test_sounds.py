"""Sounds as a model's inputs: which numbers it gets, and what is refused in one line."""

from __future__ import annotations

import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from tconv import TconvError
from tests.onnx.helpers import model_proto, saved
from tests.onnx.rewriting.helpers import first, one_line

RNG = np.random.default_rng(0)
SAMPLES = RNG.integers(-32768, 32768, (100, 2)).astype(np.int16)


def sound(path: Path, samples: np.ndarray, width: int = 2) -> Path:
    """A WAV file of int16 samples (time, channels), written with so many bytes each."""
    whole = samples.astype(np.int64) << 16 >> (32 - 8 * width)
    data = b"".join(
        int(v + 128 * (width == 1)).to_bytes(width, "little", signed=width > 1) for v in whole.reshape(-1)
    )
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(16000)
        file.writeframes(data)
    return path


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    return sound(tmp_path / "two.wav", SAMPLES)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_samples(width: int, tmp_path: Path) -> None:
    said, array = first(sound(tmp_path / "s.wav", SAMPLES, width), [1, 2, "t"])
    exact = (SAMPLES.astype(np.int64) << 16 >> (32 - 8 * width)) / 2.0 ** (8 * width - 1)
    np.testing.assert_allclose(array[0], exact.T, rtol=0, atol=1e-7)
    assert said == "s.wav: x 1x2x100 (16000 Hz, 2 channels, -1..1)"


@pytest.mark.parametrize(
    ("shape", "kind", "expected"),
    [
        (["t"], "FLOAT", (SAMPLES / 32768).mean(1)),
        ([1, "t"], "FLOAT", (SAMPLES / 32768).mean(1)[None]),
        ([2, "t"], "FLOAT", (SAMPLES / 32768).T),
        (["t", 2], "FLOAT", SAMPLES / 32768),
        ([1, 1, "t"], "FLOAT", (SAMPLES / 32768).mean(1)[None, None]),
        (["n", "c", "t"], "FLOAT", (SAMPLES / 32768).T[None]),
        (["n", "t", 2], "FLOAT", (SAMPLES / 32768)[None]),
        ([1, 2, "t"], "INT16", SAMPLES.T[None]),
        ([1, 2, 64], "INT16", SAMPLES[:64].T[None]),
        ([1, 2, 110], "INT16", np.pad(SAMPLES, ((0, 10), (0, 0))).T[None]),
    ],
)
def test_layouts_of_sounds(shape: list[Any], kind: str, expected: np.ndarray, stereo: Path) -> None:
    _, array = first(stereo, shape, kind)
    assert array.dtype == ir.DataType[kind].numpy()
    assert array.shape == expected.shape
    np.testing.assert_allclose(array, expected, rtol=0, atol=1e-6)


def broken(name: str, stereo: Path) -> Path:
    path = stereo.with_name(name)
    if name == "float.wav":
        header = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 8000, 32000, 4, 32)
        path.write_bytes(b"RIFF" + struct.pack("<I", 52) + b"WAVE" + header + b"data\x10\0\0\0" + bytes(16))
    elif name == "short.wav":
        path.write_bytes(stereo.read_bytes()[:-50])
    elif name == "empty.wav":
        sound(path, np.zeros((0, 1), np.int16))
    elif name == "text.wav":
        path.write_text("no sound")
    return path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("float.wav", "no WAV file of PCM samples"),
        ("short.wav", "empty or truncated"),
        ("empty.wav", "empty or truncated"),
        ("text.wav", "no WAV file of PCM samples"),
        ("missing.wav", "cannot read"),
    ],
)
def test_files_that_are_no_sounds(
    name: str, said: str, stereo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [helper.make_node("ConvTranspose", ["x", "w"], ["y"])]
    proto = model_proto(nodes, {"x": [1, 1, "t"]}, weights={"w": np.ones((1, 1, 3), np.float32)})
    given = broken(name, stereo)
    assert said in one_line(saved(proto, tmp_path), capsys, f"--feeds={given}")


@pytest.mark.parametrize(
    ("shape", "kind"), [([1, 80, "t"], "FLOAT"), ([1, "t"], "INT64"), ([1, 3, 8, 8], "FLOAT")]
)
def test_inputs_that_take_no_sound(shape: list[Any], kind: str, stereo: Path) -> None:
    with pytest.raises(TconvError, match="which takes no sound"):
        first(stereo, shape, kind)
