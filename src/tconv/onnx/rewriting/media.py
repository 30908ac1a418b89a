"""A picture or a sound as a model's input, by the shape and the type that the model declares.

What a model does not declare is assumed, and said in the name of the inputs: numbers from 0 to 1 for pixels,
from -1 to 1 for samples, of integers the bytes or samples themselves. Fixed sizes are met by resizing a
picture, by cutting a sound or adding silence. Where sizes are open, there is one candidate for each of a few
multiples to which sizes are rounded: many models take multiples of 32 only.
"""

from __future__ import annotations

import re
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tconv.errors import TconvError, clean
from tconv.files import check_file
from tconv.pictures import read_picture, read_pixels, to_channels

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["SUFFIXES", "Pixels", "candidates"]

Array = np.ndarray[Any, Any]

SUFFIXES = (".png", ".jpg", ".jpeg", ".wav")
_MOST = 1 << 28  # numbers of one input
_PIXEL_MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128)
_SAMPLE_MULTIPLES = (1, 64, 256, 320, 1024, 4096)
_MEANT = "0..1, 0..255, -1..1, imagenet, or means and deviations as 0.5,0.5,0.5/0.2,0.2,0.2 would fit"


@dataclass(frozen=True)
class Pixels:
    """How a pixel from 0 to 1 becomes a number: times `scale`, plus `shift`, for all channels or each."""

    spelt: str
    scale: tuple[float, ...]
    shift: tuple[float, ...]

    @classmethod
    def parse(cls, text: str) -> Pixels:
        """The spelling of ``--pixels``: a range LOW..HIGH, "imagenet", or MEANS/DEVIATIONS.

        Raises:
            TconvError: none of these.

        >>> Pixels.parse("-1..1").of(np.float32([0, 0.5, 1]))
        array([-1.,  0.,  1.], dtype=float32)
        """
        number = r"[+-]?(?:\d+\.?\d*|\.\d+)"
        if found := re.fullmatch(rf"({number})\.\.({number})", text):
            low, high = map(float, found.groups())
            if low < high <= 1e6 and low >= -1e6:
                return cls(text, (high - low,), (low,))
        names = "0.485,0.456,0.406/0.229,0.224,0.225" if text == "imagenet" else text
        if re.fullmatch(rf"{number}(,{number})*/{number}(,{number})*", names):
            means, deviations = (tuple(float(part) for part in half.split(",")) for half in names.split("/"))
            if len(means) == len(deviations) and min(deviations) > 0 and max(map(abs, means)) < 1e6:
                return cls(
                    text,
                    tuple(1 / d for d in deviations),
                    tuple(-m / d for m, d in zip(means, deviations, strict=True)),
                )
        raise TconvError(f"--pixels {clean(text)}: {_MEANT}")

    def of(self, picture: Array) -> Array:
        """The numbers of a picture, channels last."""
        if len(self.scale) not in (1, picture.shape[-1]):
            raise TconvError(
                f"--pixels {self.spelt}: {len(self.scale)} means, and the model takes {picture.shape[-1]} "
                "channels"
            )
        scale, shift = (np.asarray(part, np.float32) for part in (self.scale, self.shift))
        made: Array = picture * scale + shift
        return made


def candidates(path: Path, value: ir.Value, pixels: str) -> Iterator[tuple[str, Array]]:
    """Arrays for a model's input with what they hold, the first choice first; `pixels` may be "".

    Raises:
        TconvError: no such file, or a broken one; an input that takes no picture, or no sound.
    """
    import onnx_ir as ir

    dtype = None if value.dtype in (None, ir.DataType.STRING) else np.dtype(value.dtype.numpy())
    if dtype is None or value.shape is None or not 1 <= len(value.shape) <= 4:
        raise TconvError(
            f"{path.name}: the model's input {clean(value.name)} has no type, or no shape that takes it"
        )
    sizes = tuple(size if isinstance(size, int) else None for size in value.shape)
    take = _sounds if path.suffix.lower() == ".wav" else _pictures
    made = 0
    for said, array in take(path, value, sizes, dtype, pixels):
        made += 1
        yield f"{path.name}: {clean(value.name)} {'x'.join(map(str, array.shape))} ({said})", array
    assert made


def _numbers(count: Sequence[int], path: Path) -> None:
    if prod(count) > _MOST:
        raise TconvError(
            f"{path.name} would be {'x'.join(map(str, count))} numbers; up to {_MOST:,} would fit"
        )


def _shown(sizes: Sequence[int | None]) -> str:
    return "x".join("?" if size is None else str(size) for size in sizes) or "one number"


def _pictures(
    path: Path, value: ir.Value, sizes: tuple[int | None, ...], dtype: np.dtype[Any], pixels: str
) -> Iterator[tuple[str, Array]]:
    name = clean(value.name)
    layout = _layout(sizes)
    if layout is None:
        raise TconvError(
            f"{path.name}: the model's input {name} is {_shown(sizes)}, which takes no picture; batch, 1, 3 "
            "or 4 channels, height and width, or channels last, would fit"
        )
    plain = Pixels.parse(pixels or ("0..255" if dtype.kind in "iu" else "0..1"))
    _check_type(path, name, dtype, plain)
    axes = {letter: sizes[at] for at, letter in enumerate(layout)}
    channels = axes.get("C", 1) or 3
    picture = _colours(path, channels)
    height, width = picture.shape[:2]
    colours = {1: "gray", 3: "RGB", 4: "RGBA"}[channels]
    seen = set()
    for multiple in _PIXEL_MULTIPLES:
        target = (
            axes["H"] or max(multiple, (height + multiple // 2) // multiple * multiple),
            axes["W"] or max(multiple, (width + multiple // 2) // multiple * multiple),
        )
        if target in seen:
            continue
        seen.add(target)
        _numbers((axes.get("N") or 1, *target, channels), path)
        made = plain.of(_resized(picture, target))
        if dtype.kind in "iu":
            made = np.rint(made)
        said = f"{colours}, {plain.spelt}"
        if target != (height, width):
            said += f", resized from {height}x{width}"
        yield said, _laid_out(made.astype(dtype), layout, axes.get("N") or 1)


def _layout(sizes: tuple[int | None, ...]) -> str | None:
    """The axes of a picture's input, as NCHW; None if it takes none."""
    some = (1, 3, 4)
    choices = {4: ("NCHW", "NHWC"), 3: ("CHW", "HWC"), 2: ("HW",)}.get(len(sizes), ())
    for layout in choices:
        if "C" not in layout or sizes[layout.index("C")] in some:
            return layout
    # No axis says how many channels: RGB, channels first, as most exporters write it.
    return choices[0] if len(sizes) > 2 and choices and sizes[choices[0].index("C")] is None else None


def _check_type(path: Path, name: str, dtype: np.dtype[Any], plain: Pixels) -> None:
    if dtype.kind in "fV":
        return
    bounds = np.iinfo(dtype) if dtype.kind in "iu" else None
    low, high = min(plain.shift), max(a + b for a, b in zip(plain.scale, plain.shift, strict=True))
    if bounds is None or not bounds.min <= low <= high <= bounds.max:
        raise TconvError(
            f"{path.name}: the model's input {name} is {dtype}, which does not hold pixels of {plain.spelt}"
        )


def _colours(path: Path, channels: int) -> Array:
    """The picture with 1, 3 or 4 channels last, black 0 and white 1; opaque where a file says nothing."""
    if path.suffix.lower() not in SUFFIXES:
        raise TconvError(f"{path.name}: PNG, JPEG or WAV would fit")
    if channels != 4:
        return to_channels(read_picture(path), channels)
    _, found = read_pixels(path, lambda image: image.convert("RGBA"))
    return found.astype(np.float32) / np.float32(255)


def _resized(picture: Array, target: tuple[int, int]) -> Array:
    from PIL import Image

    if picture.shape[:2] == target:
        return picture
    way, size = Image.Resampling.BILINEAR, (target[1], target[0])
    planes = (np.ascontiguousarray(plane) for plane in np.moveaxis(picture, 2, 0))
    return np.stack([np.asarray(Image.fromarray(plane).resize(size, way)) for plane in planes], axis=-1)


def _laid_out(picture: Array, layout: str, batch: int) -> Array:
    """A picture of (height, width, channels) in another layout."""
    if "C" not in layout:
        return np.ascontiguousarray(picture[..., 0])
    axes = "".join(letter for letter in layout if letter != "N")
    made = np.transpose(picture, ["HWC".index(letter) for letter in axes])
    if "N" in layout:
        made = np.repeat(made[None], batch, axis=0)
    return np.ascontiguousarray(made)


def _sounds(
    path: Path, value: ir.Value, sizes: tuple[int | None, ...], dtype: np.dtype[Any], pixels: str
) -> Iterator[tuple[str, Array]]:
    name = clean(value.name)
    rate, samples = read_wave(path)
    layout = _sound_layout(sizes)
    if layout is None or (dtype.kind not in "fV" and dtype != np.int16):
        raise TconvError(
            f"{path.name}: the model's input {name} is {_shown(sizes)} of {dtype}, which takes no sound; "
            "float or int16 and batch, 1 or 2 channels and samples would fit"
        )
    axes = {letter: sizes[at] for at, letter in enumerate(layout)}
    wanted = axes.get("C", 1) or samples.shape[0]
    if wanted == 1:
        samples = samples.mean(axis=0, keepdims=True)
    elif len(samples) != wanted:
        samples = np.repeat(samples.mean(axis=0, keepdims=True), wanted, axis=0)
    length, batch = samples.shape[1], axes.get("N") or 1
    seen = set()
    for multiple in _SAMPLE_MULTIPLES:
        target = axes["T"] or max(multiple, length // multiple * multiple)
        if target in seen:
            continue
        seen.add(target)
        _numbers((batch, wanted, target), path)
        made = np.pad(samples[:, :target], ((0, 0), (0, max(0, target - length))))
        said = f"{rate} Hz, {'mono' if wanted == 1 else f'{wanted} channels'}"
        said += ", -1..1" if dtype.kind in "fV" else ", 16 bits"
        if target < length:
            said += f", the first {target:,} of {length:,} samples"
        elif target > length:
            said += f", {target - length:,} zeros after {length:,} samples"
        if dtype == np.int16:
            made = np.clip(np.rint(made * 32768), -32768, 32767)
        shape = [{"N": batch, "C": wanted, "T": target}[letter] for letter in layout]
        order = [letter for letter in layout if letter != "N"]
        held = made if "C" in order else made[0]
        held = held.T if order == ["T", "C"] else held
        yield said, np.ascontiguousarray(np.broadcast_to(held, shape)).astype(dtype)


def _sound_layout(sizes: tuple[int | None, ...]) -> str | None:
    """The axes of a sound's input, as NCT; None if it takes none."""
    few = (1, 2)
    if len(sizes) == 1:
        return "T"
    if len(sizes) == 2:
        if sizes[0] == 2:
            return "CT"
        return "TC" if sizes[1] in few and sizes[0] not in few else "NT"
    if len(sizes) != 3:
        return None
    for layout in ("NCT", "NTC"):
        if sizes[layout.index("C")] in few:
            return layout
    return "NCT" if sizes[1] is None else None


def read_wave(path: Path) -> tuple[int, Array]:
    """The rate of a WAV file of PCM, and its samples from -1 to 1: float32 (channels, samples).

    Raises:
        TconvError: no such file, not PCM of 8 to 32 bits, truncated, empty or too long.
    """
    check_file(path)
    try:
        with path.open("rb") as file, wave.open(file) as held:
            channels, width, rate, count = held.getparams()[:4]
            if channels * count > _MOST:
                raise TconvError(f"{path} has {channels * count:,} samples; up to {_MOST:,} would fit")
            data = held.readframes(count)
    except OSError as fault:
        raise TconvError(f"cannot read {path}: {fault.strerror or fault}") from None
    except TconvError:
        raise
    except (wave.Error, EOFError, ValueError, ArithmeticError, RuntimeError) as fault:
        raise TconvError(f"{path} is no WAV file of PCM samples of 8 to 32 bits: {clean(fault)}") from None
    if not count or len(data) != channels * width * count:
        raise TconvError(f"{path} is empty or truncated: {len(data):,} bytes of {channels * width * count:,}")
    bytes_ = np.frombuffer(data, np.uint8).reshape(-1, width)
    if width == 1:
        samples = bytes_[:, 0].astype(np.float32) / 128 - 1
    else:
        whole = np.zeros((len(bytes_), 4), np.uint8)
        whole[:, 4 - width :] = bytes_  # little-endian: the sign is in the last byte
        samples = (whole.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    return rate, np.ascontiguousarray(samples.reshape(-1, channels).T)
