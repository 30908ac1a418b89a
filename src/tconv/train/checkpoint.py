"""Checkpoints of a segmentation run: read as weights only, and checked before use."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from tconv.errors import TconvError
from tconv.files import check_file
from tconv.geometry.normalize import shown
from tconv.models.state import load_plain
from tconv.train.module import Segmenter
from tconv.train.settings import DEFAULTS, Settings, checked

__all__ = ["load_segmenter", "read_checkpoint"]

DESCRIPTION = ("net", "backbone", "upsampling", "classes", "in_channels", "mean", "deviation")
"""The hyperparameters that describe the net of a checkpoint; the others describe its training."""

_ALWAYS = ("net", "backbone", "upsampling", "epochs", "batch", "lr", "crop", "augment", "seed")
"""The settings of every run, from the first version on."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint of ``tconv train``.

    Only tensors and plain values are read: a file with pickled objects is refused, never run.

    Raises:
        TconvError: no such file, not a checkpoint, or one that another program wrote.
    """
    path = Path(path)
    check_file(path)
    if not path.exists():
        raise TconvError(f"checkpoint {path}: no such file")
    try:
        content: Any = load_plain(path)
    except Exception as fault:  # the exceptions for files of other kinds cannot be listed
        raise TconvError(
            f"checkpoint {path}: not a checkpoint of plain tensors, nothing was loaded"
        ) from fault
    whole: dict[str, Any] = content if isinstance(content, dict) else {}
    settings, weights = whole.get("hyper_parameters"), whole.get("state_dict")
    wanted = (*DESCRIPTION, *(name for name in Settings.__annotations__ if name not in DESCRIPTION))
    if isinstance(settings, dict):
        for name, value in {**DEFAULTS, "colours": None}.items():
            if name not in _ALWAYS:  # runs of older versions had no choice
                settings.setdefault(name, value)
    missing = [key for key in wanted if not isinstance(settings, dict) or key not in settings]
    if "state_dict" not in whole:
        missing.append("state_dict")
    if missing or not isinstance(settings, dict):
        raise TconvError(f"checkpoint {path}: not written by 'tconv train' (it lacks {', '.join(missing)})")
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in weights.items()
    ):
        raise TconvError(f"checkpoint {path}: its state_dict holds other things than tensors by name")
    try:
        _check(settings)
    except TconvError as fault:
        raise TconvError(f"checkpoint {path}: not written by 'tconv train': {fault}") from None
    return whole


def _check(settings: dict[str, Any]) -> None:
    """Whether what a checkpoint says of its net and its training are values of their kinds."""
    for name in ("net", "backbone", "upsampling"):
        if not isinstance(settings[name], str):
            raise TconvError(f"{name}={shown(settings[name])}; a name would fit")
    classes, channels = settings["classes"], settings["in_channels"]
    names = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not names or not 2 <= len(classes) <= 255:
        raise TconvError(f"classes={shown(classes)}; a list of 2 to 255 names would fit")
    colours = settings["colours"]
    if colours is not None and not _are_colours(colours, len(classes)):
        raise TconvError(f"colours={shown(colours)}; a list of {len(classes)} colours [r, g, b] would fit")
    if type(channels) is not int or channels not in (1, 3):
        raise TconvError(f"in_channels={shown(channels)}; 1 or 3 would fit")
    for name in ("mean", "deviation"):
        values = settings[name]
        numbers = isinstance(values, list) and all(type(v) is float and math.isfinite(v) for v in values)
        if not numbers or len(values) != channels:
            raise TconvError(f"{name}={shown(values)}; a list of {channels} numbers would fit")
    checked({name: settings[name] for name in Settings.__annotations__}, ranks=1)  # type: ignore[arg-type]


def _are_colours(colours: Any, count: int) -> bool:
    return (
        isinstance(colours, list)
        and len(colours) == count
        and all(isinstance(each, list) and len(each) == 3 for each in colours)
        and all(type(part) is int and 0 <= part <= 255 for each in colours for part in each)
    )


def load_segmenter(path: str | Path) -> Segmenter:
    """The trained network of a checkpoint, ready to evaluate.

    Raises:
        TconvError: as in `read_checkpoint`, or the weights are not those of the net that the checkpoint
        names.
    """
    content = read_checkpoint(path)
    settings = content["hyper_parameters"]
    try:
        segmenter = Segmenter(**settings)
        segmenter.load_state_dict(content["state_dict"])
    except TconvError as fault:
        raise TconvError(f"checkpoint {path}: {fault}") from None
    except (TypeError, RuntimeError, AttributeError) as fault:
        dials = " ".join(str(settings[key]) for key in DESCRIPTION[:3])
        reason = " ".join(str(fault).split())[:120]
        raise TconvError(f"checkpoint {path}: its weights are not those of a {dials}: {reason}") from fault
    return segmenter.eval()
