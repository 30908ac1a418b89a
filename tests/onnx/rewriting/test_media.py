"""Pictures as a model's inputs: which numbers it gets, and what is refused in one line."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from PIL import Image

import tconv.onnx
from tconv import TconvError
from tconv.cli import main
from tconv.onnx.rewriting.media import Pixels, candidates
from tests.onnx.helpers import info, model_proto, saved
from tests.onnx.rewriting.helpers import first, one_line, value
from tests.real_models.as_onnx import onnx_model

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (13, 18, 4), dtype=np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A picture in colours, one in gray, and one with alpha."""
    pictures = {"rgb.png": COLOURS[..., :3], "gray.png": COLOURS[..., 0], "rgba.png": COLOURS}
    for name, array in pictures.items():
        Image.fromarray(array).save(tmp_path / name)
    return {path.name: path for path in tmp_path.iterdir()}


ONE = COLOURS[..., :3].astype(np.float32) / np.float32(255)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([1, 3, "h", "w"], ONE.transpose(2, 0, 1)[None]),
        (["n", "c", "h", "w"], ONE.transpose(2, 0, 1)[None]),
        ([2, 3, 13, 18], np.stack([ONE.transpose(2, 0, 1)] * 2)),
        ([None, "h", "w", 3], ONE[None]),
        ([3, None, None], ONE.transpose(2, 0, 1)),
        ([13, 18, 3], ONE),
        ([1, 1, "h", "w"], (ONE @ np.float32([0.299, 0.587, 0.114]))[None, None]),
        (["h", "w"], ONE @ np.float32([0.299, 0.587, 0.114])),
        ([1, 4, "h", "w"], np.concatenate([ONE, np.ones((13, 18, 1))], axis=2).transpose(2, 0, 1)[None]),
    ],
)
def test_layouts_and_channels(shape: list[Any], expected: np.ndarray, files: dict[str, Path]) -> None:
    _, array = first(files["rgb.png"], shape)
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, expected, rtol=0, atol=1e-6)


def test_alpha_and_gray(files: dict[str, Path]) -> None:
    _, array = first(files["rgba.png"], [1, "h", "w", 4])
    np.testing.assert_array_equal(array[0], COLOURS.astype(np.float32) / np.float32(255))
    said, array = first(files["gray.png"], [1, 3, "h", "w"])
    np.testing.assert_array_equal(array, np.repeat(ONE[None, None, :, :, 0], 3, axis=1))
    assert said == "gray.png: x 1x3x13x18 (RGB, 0..1)"


@pytest.mark.parametrize(
    ("kind", "pixels", "of"),
    [
        ("FLOAT", "0..255", lambda x: x * 255),
        ("FLOAT", "-1..1", lambda x: x * 2 - 1),
        ("FLOAT16", "", lambda x: x),
        ("DOUBLE", "-.5..+0.5", lambda x: x - 0.5),
        ("UINT8", "", lambda x: x * 255),
        ("INT32", "", lambda x: x * 255),
        ("INT8", "-128..127", lambda x: x * 255 - 128),
        ("FLOAT", "imagenet", lambda x: (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
        ("FLOAT", "0.5/0.25", lambda x: (x - 0.5) / 0.25),
        ("FLOAT", "0.1,0.2,0.3/1,2,3", lambda x: (x - [0.1, 0.2, 0.3]) / [1, 2, 3]),
    ],
)
def test_numbers(kind: str, pixels: str, of: Callable[[Any], Any], files: dict[str, Path]) -> None:
    said, array = first(files["rgb.png"], ["n", "h", "w", 3], kind, pixels)
    assert array.dtype == ir.DataType[kind].numpy()
    exact = of(COLOURS[..., :3].astype(np.float64) / 255)
    if array.dtype.kind in "iu":
        exact = np.round(exact)
    np.testing.assert_allclose(array[0], exact, rtol=1e-3 if kind == "FLOAT16" else 0, atol=3e-5)
    assert (pixels or ("0..1" if kind == "FLOAT16" else "0..255")) in said


def test_sizes_are_the_models_or_rounded_to_ever_larger_multiples(files: dict[str, Path]) -> None:
    said, array = first(files["rgb.png"], [1, 3, 26, 36])
    assert array.shape == (1, 3, 26, 36)
    assert said.endswith("(RGB, 0..1, resized from 13x18)")
    assert np.abs(array[0, :, 1::2, 1::2].mean() - ONE.mean()) < 0.02
    every = [array.shape for _, array in candidates(files["rgb.png"], value([1, 3, "h", "w"]), "")]
    sizes = [(13, 18), (14, 18), (12, 20), (16, 16), (32, 32), (64, 64), (128, 128)]
    assert every == [(1, 3, *size) for size in sizes]
    every = [array.shape for _, array in candidates(files["rgb.png"], value([1, 3, 20, "w"]), "")]
    assert every == [(1, 3, 20, w) for w in (18, 20, 16, 32, 64, 128)]


def halving() -> onnx.ModelProto:
    """A model that takes multiples of 4 only: two poolings, and a doubling added to what was before."""
    nodes = [
        helper.make_node("MaxPool", ["x"], ["a"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("ConvTranspose", ["b", "w"], ["c"], name="up", strides=[2, 2]),
        helper.make_node("Add", ["c", "a"], ["y"]),
    ]
    weight = np.random.default_rng(0).normal(size=(3, 3, 2, 2)).astype(np.float32)
    return model_proto(nodes, {"x": [1, 3, "h", "w"]}, weights={"w": weight})


def test_a_check_on_files(files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each file is a check of its own, at the nearest size that the model takes."""
    path, out = saved(halving(), tmp_path), tmp_path / "out.onnx"
    given = [f"--feeds={files['rgb.png']}", f"--feeds=x={files['gray.png']}"]
    assert main(["rewrite", str(path), str(out), "--for", "no-transposed", "--pixels=-1..1", *given]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "Inputs: rgb.png: x 1x3x12x20 (RGB, -1..1, resized from 13x18)." in said
    assert "Inputs: gray.png: x 1x3x12x20 (RGB, -1..1, resized from 13x18)." in said
    assert "on 5 sets of inputs" in said
    given_too = [files["rgb.png"], {"x": str(files["gray.png"])}]
    report = tconv.onnx.rewrite(path, goal="no-transposed", inputs=given_too)
    names = {entry.feeds for entry in report.compared}
    assert {"rgb.png: x 1x3x12x20 (RGB, 0..1, resized from 13x18)"} < names


def test_the_values_of_the_file_reach_the_model(files: dict[str, Path], tmp_path: Path) -> None:
    """A rule that is wrong only for what the file holds is found out, and the file is named."""
    from tconv.onnx.rewriting.feeds import feeds_of

    model = ir.from_proto(halving())
    choices = [feeds.arrays["x"] for feeds in feeds_of(files["rgb.png"], 0, model, "")]
    np.testing.assert_array_equal(choices[0], ONE.transpose(2, 0, 1)[None])


def test_a_photograph_through_a_detector_of_text(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    assert request.config.cache is not None
    model = onnx_model("ppocr_det", Path(request.config.cache.mkdir("real-models")))
    photo = tmp_path / "photo.jpg"
    Image.fromarray(RNG.integers(0, 256, (70, 100, 3), dtype=np.uint8)).resize((200, 140)).save(photo)
    report = tconv.onnx.rewrite(model, goal="no-transposed", inputs=[photo], pixels="imagenet")
    assert all(entry.fine for entry in report.compared)
    assert report.notes[0] == "Inputs: photo.jpg: x 1x3x128x192 (RGB, imagenet, resized from 140x200)."


def bomb(path: Path) -> Path:
    """A PNG of 60,000 x 60,000 pixels in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    )
    return path


def broken(name: str, files: dict[str, Path]) -> Path:
    path = files["rgb.png"].with_name(name)
    if name in ("bomb.png",):
        return bomb(path)
    if name == "short.png":
        path.write_bytes(files["rgb.png"].read_bytes()[:-200])
    elif name == "folder.png":
        path.mkdir()
    elif name in ("text.png", "text.txt"):
        path.write_text("no picture")
    return path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bomb.png", "bomb.png"),
        ("short.png", "short.png"),
        ("text.png", "text.png"),
        ("folder.png", "folder.png is a folder"),
        ("missing.png", "missing.png"),
        ("text.txt", "text.txt: .npz, .png, .jpg, .jpeg, .wav would fit"),
    ],
)
def test_files_that_are_no_pictures(
    name: str, said: str, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(halving(), tmp_path)
    given = broken(name, files)
    assert said in one_line(path, capsys, f"--feeds={given}")


@pytest.mark.parametrize(
    ("shape", "kind", "pixels", "said"),
    [
        ([1, 8, "h", "w"], "FLOAT", "", "is 1x8x?x?, which takes no picture"),
        ([1, 80, 5, 200], "FLOAT", "", "which takes no picture"),
        (["t"], "FLOAT", "", "which takes no picture"),
        ([1, 3, "h", "w"], "INT64", "0..1e9", "--pixels 0..1e9"),
        ([1, 3, "h", "w"], "INT8", "", "is int8, which does not hold pixels of 0..255"),
        ([1, 3, "h", "w"], "BOOL", "", "is bool, which does not hold"),
        ([1, 1, "h", "w"], "FLOAT", "imagenet", "3 means, and the model takes 1 channels"),
        ([1, 3, 20000, 20000], "FLOAT", "", "would be 1x20000x20000x3 numbers; up to 268,435,456 would fit"),
        ([1, 3, "h", "w"], "FLOAT", "1..0", "--pixels 1..0: 0..1, 0..255, -1..1, imagenet"),
        ([1, 3, "h", "w"], "FLOAT", "0.5,0.5/1", "--pixels"),
        ([1, 3, "h", "w"], "FLOAT", "0.5/0", "--pixels"),
        ([1, 3, "h", "w"], "STRING", "", "has no type"),
    ],
)
def test_inputs_that_take_no_picture(
    shape: list[Any], kind: str, pixels: str, said: str, files: dict[str, Path]
) -> None:
    with pytest.raises(TconvError) as caught:
        first(files["rgb.png"], shape, kind, pixels)
    assert said in str(caught.value)


def test_models_that_take_more_and_names_that_are_not_there(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = halving()
    assert "has no input 'z'" in one_line(saved(proto, tmp_path), capsys, f"--feeds=z={files['rgb.png']}")
    proto.graph.input.append(info("second", [1], TensorProto.FLOAT))
    path = saved(proto, tmp_path, "two.onnx")
    assert "inputs are x, second; a .npz" in one_line(path, capsys, f"--feeds={files['rgb.png']}")
    assert "a .npz with all would fit" in one_line(path, capsys, f"--feeds=x={files['rgb.png']}")


def test_a_picture_that_the_model_does_not_take(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All sizes are tried; the fault that is told is that of the picture's own."""
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["u"]),
        helper.make_node("Reshape", ["u", "s"], ["y"]),
    ]
    weights = {"w": np.ones((3, 3, 1, 1), np.float32), "s": np.int64([1, 3, 1000])}
    path = saved(model_proto(nodes, {"x": [1, 3, "h", "w"]}, weights=weights), tmp_path)
    said = one_line(path, capsys, f"--feeds={files['rgb.png']}")
    assert "the model does not accept rgb.png: x 1x3x13x18 (RGB, 0..1)" in said


def test_spellings_of_pixels() -> None:
    assert Pixels.parse("imagenet").scale == tuple(1 / d for d in (0.229, 0.224, 0.225))
    for text in ("", "a", "0..", "..1", "0..1..2", "1/2/3", "nan..1", "0..inf", "1,2/3", "0..1 ", "1e3..2"):
        with pytest.raises(TconvError, match=r"^--pixels .* would fit$"):
            Pixels.parse(text)
