"""One weight in NumPy's .npy format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from tconv.algebra.arrays import Array
from tconv.errors import TconvError
from tconv.files import read_npy
from tconv.geometry import Geometry
from tconv.models.layer import ModelLayer
from tconv.models.model import Model

__all__ = ["read"]


def read(path: Path, *, problem: Geometry | None) -> Model:
    """The weight as a layer that has the file's name."""
    if problem is None:
        raise TconvError(f"{path}: which layer is it of? give --problem, such as 'n1 c64>3 i64x64 k4 s2 p1'")
    weight = read_npy(path)
    name = path.stem

    def save(file: IO[bytes], weights: Mapping[str, Array]) -> None:
        np.save(file, weights[name], allow_pickle=False)

    return Model(
        source=str(path),
        layers=(ModelLayer(name=name, geometry=problem, weight=weight),),
        save=save,
        alone=True,
    )
