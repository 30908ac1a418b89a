"""Checkpoints of a run: written atomically, read without pickled objects, in a folder that may be moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from tconv.files import make_folder, write_aside
from tconv.models.state import load_plain

__all__ = ["Movable", "WholeFiles"]


class WholeFiles(TorchCheckpointIO):
    """Lightning's checkpoints, written to a temporary file and renamed, read without pickled objects."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        make_folder(Path(path).parent)
        with write_aside(Path(path)) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> Any:
        return load_plain(Path(path))


class Movable(ModelCheckpoint):
    """Remembers the best epoch even if the run's folder was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        old, new = str(state_dict["dirpath"]), str(self.dirpath)

        def moved(value: Any) -> Any:
            if isinstance(value, dict):
                return {moved(key): score for key, score in value.items()}
            return (
                new + value.removeprefix(old) if isinstance(value, str) and value.startswith(old) else value
            )

        super().load_state_dict({name: moved(value) for name, value in state_dict.items()})
