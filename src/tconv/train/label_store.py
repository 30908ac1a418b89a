"""Labels of a volume as an OME-Zarr image, chunk by chunk, and the list of the chunks that are finished."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError, clean, said
from tconv.files import check_file, write_aside

__all__ = ["LabelStore", "digest", "write_chunk"]

#: The number of a chunk along each axis.
Index: TypeAlias = tuple[int, int, int]
Labels: TypeAlias = npt.NDArray[np.uint8]

_LIST = "tconv.jsonl"


def digest(labels: Labels) -> str:
    """What is noted of a chunk: 64 bits of the SHA-256 of its labels."""
    return hashlib.sha256(np.ascontiguousarray(labels).tobytes()).hexdigest()[:16]


def write_chunk(folder: Path, where: tuple[slice, ...], labels: Labels) -> None:
    """Write a whole chunk; zarr writes it aside and renames it."""
    import zarr

    try:
        array: Any = zarr.open_array(str(folder), path="0", mode="r+", zarr_format=3)
        array[where] = labels
    except Exception as fault:  # a full disk, or a store that somebody removed
        raise TconvError(f"cannot write {clean(folder, 300)}: {said(fault)}") from None


class LabelStore:
    """A folder with the labels, as an OME-Zarr 0.5 image of one level, and a list of its finished chunks.

    The list's first line says what is being made; a folder of another making is refused. Each other line is a
    finished chunk and the digest of its labels, on the disk before the line is.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder, self.about = folder, about
        self._list = folder / _LIST

    def open(
        self, shape: Index, chunks: Index, scale: tuple[float, ...], unit: str, attributes: dict[str, Any]
    ) -> dict[Index, str]:
        """Make the store, or find the chunks that an earlier call has finished.

        Raises:
            TconvError: the folder holds something else, or cannot be written.
        """
        import zarr

        found: dict[Index, str] = {}
        if self._list.exists():
            found = self._finished()
            if (self.folder / "0" / "zarr.json").exists():
                return found
        elif any(not f.name.endswith(".part") for f in self.folder.iterdir()):
            raise TconvError(f"{clean(self.folder, 300)} holds something else; a new folder would fit")
        else:
            with write_aside(self._list) as file:
                file.write(json.dumps(self.about).encode() + b"\n")
        axes = [{"name": name, "type": "space", **({"unit": unit} if unit else {})} for name in "zyx"]
        level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": list(scale)}]}
        image = {"name": "labels", "axes": axes, "datasets": [level]}
        ome = {"version": "0.5", "multiscales": [image], "image-label": {"version": "0.5"}}
        try:
            group = zarr.open_group(str(self.folder), mode="a", zarr_format=3)
            group.update_attributes({"ome": ome, "tconv": attributes})
            group.create_array(
                "0",
                shape=shape,
                chunks=chunks,
                dtype="uint8",
                fill_value=0,
                dimension_names=("z", "y", "x"),
                overwrite=True,
            )
        except Exception as fault:  # what zarr raises cannot be listed
            raise TconvError(f"cannot write {clean(self.folder, 300)}: {said(fault)}") from None
        return {}

    def _finished(self) -> dict[Index, str]:
        check_file(self._list)
        try:
            lines = self._list.read_bytes().split(b"\n")
            about = json.loads(lines[0])
        except (OSError, ValueError, RecursionError) as fault:
            raise TconvError(f"{clean(self._list, 300)}: not a list of chunks: {said(fault)}") from None
        different = [
            name
            for name, value in self.about.items()
            if not isinstance(about, dict) or about.get(name) != value
        ]
        if different:
            raise TconvError(
                f"{clean(self.folder, 300)} holds labels of another {', '.join(different)}; "
                "a new folder would fit"
            )
        found: dict[Index, str] = {}
        for line in lines[1:]:
            try:  # a line that a kill has cut is a chunk that is made again
                chunk, value = json.loads(line)
                z, y, x = chunk
                if all(type(n) is int and n >= 0 for n in chunk) and isinstance(value, str):
                    found[z, y, x] = value
            except (ValueError, TypeError, RecursionError):
                continue
        return found

    def holds(self, where: tuple[slice, ...], value: str) -> bool:
        """Whether the labels of a chunk are those that were noted."""
        try:
            return digest(np.asarray(self._array[where])) == value
        except Exception:  # damaged in some way: it is made again
            return False

    @cached_property
    def _array(self) -> Any:
        import zarr

        return zarr.open_array(str(self.folder), path="0", mode="r", zarr_format=3)

    def note(self, chunk: Index, value: str) -> None:
        """Note that a chunk is finished."""
        try:
            with open(self._list, "ab") as file:
                # A line of its own, also behind one that a kill has cut.
                file.write(b"\n" + json.dumps([chunk, value]).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as fault:
            raise TconvError(f"cannot write {clean(self._list, 300)}: {said(fault)}") from None
