"""The built-in data set ``brain``: tissue of the MNI152 brain, axial slices from nilearn's package.

It is one averaged, left-right symmetric brain. Neighbouring slices are similar, so the splits are contiguous
blocks with a gap between them, and a measure on them says how well unseen slices of the same brain are
labelled, not how well another person's brain is segmented.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from tconv.errors import TconvError
from tconv.train.pictures import Label, Picture

__all__ = ["Brain", "BrainSplit"]

FILES = {
    "t1": "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6",
    "gm": "97a5ca69bd24db37a9cb7b32525e1733a209af904129bf1cd36da06d24243bed",
    "wm": "382d92812de4744f9c86c7a0e4f680dc317a0a50e4da1f0153618a6798c7b7db",
}
LEAST_BRAIN = 2000
"""A slice shows brain when at least this many of its 197 x 233 pixels are brain: 138 slices do."""

GAP = 4
BLOCKS = {"test": (0.40, 0.55), "val": (0.75, 0.83)}
"""Each block as a share of the slices from below; slices outside the blocks and their gaps are for
training."""


class Brain:
    """MNI152: t1 as gray pictures, and the class of each pixel: background, CSF, grey matter, white matter.

    Background is where t1 is 0; elsewhere the tissue is the largest of 255 - gm - wm, gm and wm.

    Raises:
        TconvError: nilearn or nibabel is not installed, or nilearn's files are not the expected ones.
    """

    name = "brain"
    classes = ("background", "CSF", "grey matter", "white matter")
    colours: tuple[tuple[int, int, int], ...] = ()
    channels = 1

    def __init__(self) -> None:
        volume = {kind: _read(kind) for kind in FILES}
        t1, grey, white = (volume[kind].astype(np.int16) for kind in ("t1", "gm", "wm"))
        tissue = 1 + np.stack([255 - grey - white, grey, white]).argmax(0)
        label = np.where(t1 == 0, 0, tissue).astype(np.uint8)
        shown = np.flatnonzero((t1 > 0).sum((0, 1)) >= LEAST_BRAIN)
        # (x, y, z) of the volume -> slices from below, the front of the head on top.
        self.slices = shown.tolist()
        self.pictures = volume["t1"].transpose(2, 1, 0)[shown, ::-1].copy()
        self.labels = label.transpose(2, 1, 0)[shown, ::-1].copy()

    def split(self, name: str) -> BrainSplit:
        """One of the blocks ``train``, ``val`` and ``test``.

        Raises:
            TconvError: another name.
        """
        blocks = self.blocks()
        if name not in blocks:
            raise TconvError(f"brain: no split {name!r}; there are: {', '.join(blocks)}")
        return BrainSplit(self, blocks[name])

    def blocks(self) -> dict[str, list[int]]:
        """The slices of each split, counted among those that show brain."""
        count = len(self.slices)
        edges = {name: (round(lo * count), round(hi * count)) for name, (lo, hi) in BLOCKS.items()}
        held = {i for lo, hi in edges.values() for i in range(lo - GAP, hi + GAP)}
        train = [i for i in range(count) if i not in held]
        return {"train": train} | {name: list(range(lo, hi)) for name, (lo, hi) in edges.items()}


class BrainSplit:
    """Some of the slices, from below."""

    def __init__(self, brain: Brain, indices: list[int]) -> None:
        self.names = [f"z{brain.slices[i]:03d}" for i in indices]
        self._pictures, self._labels = brain.pictures[indices], brain.labels[indices]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Picture, Label]:
        return self._pictures[index, :, :, None] / np.float32(255), self._labels[index]


def _read(kind: str) -> Any:
    # Importing nilearn would load much that is not needed: only its folder is looked up.
    spec = importlib.util.find_spec("nilearn")
    if spec is None or spec.origin is None:
        raise TconvError(
            "data 'brain' is read from nilearn's package, which is missing: pip install tconv[train]"
        )
    if importlib.util.find_spec("nibabel") is None:
        raise TconvError("data 'brain' is read with nibabel, which is missing: pip install tconv[train]")
    import nibabel

    path = (
        Path(spec.origin).parent / "datasets/data" / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    )
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise TconvError(f"{path}: cannot be read ({fault.strerror}); nilearn 0.14.1 has it") from fault
    found = hashlib.sha256(content).hexdigest()
    if found != FILES[kind]:
        raise TconvError(
            f"{path}: sha256 {found} is not the expected {FILES[kind]}; nilearn 0.14.1 has that file"
        )
    return np.asarray(nibabel.nifti1.Nifti1Image.from_filename(path).dataobj)
