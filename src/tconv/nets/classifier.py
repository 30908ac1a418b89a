"""VGG16's weights from a local file, by the names of `Backbone`, with fc6 and fc7 as convolutions.

Two kinds of file are recognised by their content, whatever their name: PyTorch's state dict of VGG16 (13
convolutions and a head), and Keras's HDF5 in which the groups block1 .. block5 hold the 13 convolutions (no
head).  Each was trained on pictures with its own normalisation; the first convolution is adapted to the one
used here.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tconv.errors import TconvError
from tconv.files import check_file
from tconv.models.state import load_plain
from tconv.nets.backbones import PLANS

__all__ = ["read_vgg16"]

CONVOLUTIONS = tuple(
    (stage, number)
    for stage, (_, count) in enumerate(PLANS["vgg16"].stages, 1)
    for number in range(1, count + 1)
)
#: The indices of the 13 convolutions in PyTorch's `features`, where ReLUs and poolings are counted, too.
FEATURES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
#: PyTorch's `classifier`, as convolutions: fc6 sees the 7x7 cells of a 224x224 picture.
HEAD = {"fc6": ("classifier.0", (-1, 512, 7, 7)), "fc7": ("classifier.3", (-1, 4096, 1, 1))}


_MOST = 3 * 3 * 512 * 512  #: numbers of VGG16's largest convolution


@dataclass(frozen=True)
class _Scale:
    """A classifier's normalisation of RGB values v of 0..1: gain * v - offset, per channel."""

    gain: tuple[float, float, float]
    offset: tuple[float, float, float]


_PYTORCH = _Scale((1 / 0.229, 1 / 0.224, 1 / 0.225), (0.485 / 0.229, 0.456 / 0.224, 0.406 / 0.225))
_CAFFE = _Scale((255.0, 255.0, 255.0), (122.679, 116.669, 104.007))


def read_vgg16(path: str | Path, mean: Sequence[float], deviation: Sequence[float]) -> dict[str, Tensor]:
    """The weights of a VGG16 file, named as in `Backbone`, for pictures normalised as (v - mean) / deviation.

    `mean` and `deviation` have 3 entries for RGB in 0..1, or 1 for gray pictures, which are taken as RGB of
    three equal values.  With the classifier's own gain * v - offset on each channel, the first convolution
    becomes weight * gain * deviation and bias + sum(weight * (gain * mean - offset)): the same numbers,
    except within one pixel of the border, where the zeros around the picture now stand for `mean`.

    Raises:
        TconvError: no such file, or it is neither of the two kinds.
    """
    path = Path(path)
    check_file(path)
    try:
        with path.open("rb") as file:
            magic = file.read(8)
    except OSError as fault:
        raise TconvError(f"weights {path}: cannot be read ({fault.strerror})") from fault
    read = _from_keras if magic == b"\x89HDF\r\n\x1a\n" else _from_pytorch
    weights, scale = read(path)
    first, bias = weights["stage1.conv1.weight"], weights["stage1.conv1.bias"]
    if first.dim() != 4 or first.shape[1] != 3 or bias.shape != first.shape[:1]:
        shapes = f"{tuple(first.shape)} and {tuple(bias.shape)}"
        raise TconvError(
            f"weights {path}: the first convolution has {shapes}; (n, 3, k, k) and (n,) would fit"
        )
    gain, offset = (torch.tensor(values).view(1, 3, 1, 1) for values in (scale.gain, scale.offset))
    mu, sigma = (torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1) for values in (mean, deviation))
    if mu.shape[1] not in (1, 3):
        raise TconvError(
            f"weights {path}: VGG16 sees RGB pictures; {mu.shape[1]} channels do not fit, 1 or 3 do"
        )
    weights["stage1.conv1.bias"] = bias + (first * (gain * mu - offset)).sum((1, 2, 3))
    scaled = first * gain * sigma
    weights["stage1.conv1.weight"] = scaled.sum(1, keepdim=True) if mu.shape[1] == 1 else scaled
    return weights


def _from_pytorch(path: Path) -> tuple[dict[str, Tensor], _Scale]:
    try:
        content = load_plain(path)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as fault:
        raise TconvError(
            f"weights {path}: neither a PyTorch file of plain tensors nor HDF5; "
            "a state dict of VGG16 or Keras's .weights.h5 would fit"
        ) from fault
    names = {
        f"stage{s}.conv{n}": (f"features.{i}", None) for (s, n), i in zip(CONVOLUTIONS, FEATURES, strict=True)
    }
    weights: dict[str, Tensor] = {}
    for name, (theirs, shape) in {**names, **HEAD}.items():
        weight, bias = (_tensor(path, content, f"{theirs}.{part}") for part in ("weight", "bias"))
        if shape is not None and (not weight.dim() or weight.numel() % prod(shape[1:]) or not weight.numel()):
            raise TconvError(f"weights {path}: {theirs} has shape {tuple(weight.shape)}, not that of VGG16")
        weights[f"{name}.weight"] = weight if shape is None else weight.reshape(shape)
        weights[f"{name}.bias"] = bias
    return weights, _PYTORCH


def _tensor(path: Path, content: Any, name: str) -> Tensor:
    value = content.get(name) if isinstance(content, dict) else None
    if not isinstance(value, Tensor):
        raise TconvError(f"weights {path}: not a state dict of PyTorch's VGG16 (it lacks {name!r})")
    return value.float()


class _Unfit(Exception):
    """Why a name of an HDF5 file is no plain array in it, to end a message with."""


def _dataset(file: Any, name: str, axes: int) -> Tensor:
    """The numbers of a dataset, if the file itself holds them: HDF5 can point into any other file."""
    import h5py

    at = file
    for part in name.split("/"):
        link = at.get(part, getlink=True) if isinstance(at, h5py.Group) else None
        if link is None:
            raise _Unfit
        if not isinstance(link, h5py.HardLink):
            raise _Unfit(", which points elsewhere")
        at = at[part]
    if not isinstance(at, h5py.Dataset) or at.dtype.kind != "f" or at.ndim != axes:
        raise _Unfit(f" as numbers along {axes} axes")
    if at.external or at.is_virtual:
        raise _Unfit(", which lies in another file")
    if at.size > _MOST:
        raise _Unfit(f" of up to {_MOST:,} numbers")
    return torch.from_numpy(at[()]).float()


def _from_keras(path: Path) -> tuple[dict[str, Tensor], _Scale]:
    try:
        import h5py
    except ImportError as fault:
        raise TconvError(
            f"weights {path}: HDF5 is read with h5py, which is missing: pip install tconv[train]"
        ) from fault
    weights: dict[str, Tensor] = {}
    try:
        file = h5py.File(path, "r")
    except OSError as fault:
        raise TconvError(f"weights {path}: a damaged HDF5 file; fetch it again") from fault
    with file:
        for stage, number in CONVOLUTIONS:
            group = f"block{stage}/layers/conv2d{f'_{number - 1}' if number > 1 else ''}/vars"
            try:
                kernel, bias = (_dataset(file, f"{group}/{part}", axes) for part, axes in ((0, 4), (1, 1)))
            except _Unfit as fault:
                raise TconvError(
                    f"weights {path}: not Keras's VGG16 convolutions (it lacks {group!r}{fault})"
                ) from None
            except (OSError, RuntimeError, ValueError, TypeError) as fault:  # h5py has no class of its own
                raise TconvError(f"weights {path}: a damaged HDF5 file; fetch it again") from fault
            weights[f"stage{stage}.conv{number}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
            weights[f"stage{stage}.conv{number}.bias"] = bias
    # The file's first convolution has its channels in the order BGR.
    weights["stage1.conv1.weight"] = weights["stage1.conv1.weight"].flip(1)
    return weights, _CAFFE
