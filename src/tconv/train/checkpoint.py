"""Checkpoints: written atomically, read as weights only, and checked before use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from tconv.errors import TconvError
from tconv.files import make_folder, write_aside
from tconv.train.module import Segmenter

__all__ = ["WholeFiles", "load_segmenter", "read_checkpoint"]

DESCRIPTION = ("net", "backbone", "upsampling", "classes", "in_channels", "mean", "deviation")
"""The hyperparameters that a checkpoint must contain."""


class WholeFiles(TorchCheckpointIO):
    """Lightning's checkpoints, written to a temporary file and renamed, read without pickled objects."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        make_folder(Path(path).parent)
        with write_aside(Path(path)) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> Any:
        return torch.load(path, map_location="cpu", weights_only=True)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint of ``tconv train``.

    Only tensors and plain values are read: a file with pickled objects is refused, never run.

    Raises:
        TconvError: no such file, not a checkpoint, or one that another program wrote.
    """
    path = Path(path)
    if not path.is_file():
        raise TconvError(f"checkpoint {path}: no such file")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as fault:  # the exceptions for files of other kinds cannot be listed
        raise TconvError(
            f"checkpoint {path}: not a checkpoint of plain tensors, nothing was loaded"
        ) from fault
    whole: dict[str, Any] = content if isinstance(content, dict) else {}
    settings = whole.get("hyper_parameters")
    missing = [key for key in DESCRIPTION if not isinstance(settings, dict) or key not in settings]
    if missing or "state_dict" not in whole:
        raise TconvError(f"checkpoint {path}: not written by 'tconv train' (it lacks {', '.join(missing)})")
    return whole


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
    except (TypeError, RuntimeError) as fault:
        dials = " ".join(str(settings[key]) for key in DESCRIPTION[:3])
        reason = " ".join(str(fault).split())[:120]
        raise TconvError(f"checkpoint {path}: its weights are not those of a {dials}: {reason}") from fault
    return segmenter.eval()
