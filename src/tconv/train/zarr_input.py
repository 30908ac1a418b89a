"""Arrays of a Zarr 3 store, as far as they can be trusted: nothing outside of its folder, nothing absurd."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np

from tconv.errors import TconvError, clean, said
from tconv.geometry.normalize import shown

__all__ = ["open_zarr"]

#: Codecs that only move bytes; others, as Python's pickles, are not asked.
CODECS = ("blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "zstd")
DTYPES = ("bool", "int8", "int16", "int32", "uint8", "uint16", "uint32", "float16", "float32", "float64")
MOST_CHUNK = 1 << 30  # bytes of a chunk, which is in memory as a whole
MOST_TEXT = 1 << 22  # bytes of a zarr.json


def open_zarr(path: Path) -> tuple[Any, tuple[float, ...]]:
    """An array of a Zarr store and the size of its voxels: an image's first level, or the array itself.

    Raises:
        TconvError: no Zarr 3 store, or one that asks for too much or for what lies outside of its folder.
    """
    try:
        import zarr
    except ImportError:
        raise TconvError(f"{clean(path, 300)}: Zarr is missing: pip install 'tconv[dask]'") from None
    told = _read(path, Path())
    scale: tuple[float, ...] = ()
    inside = Path()
    if told.get("node_type") == "group":
        inside, scale = _first_level(path, told)
        told = _read(path, inside)
    _check(path, told)

    try:
        array = zarr.open_array(
            _inside(path), path="" if inside == Path() else inside.as_posix(), mode="r", zarr_format=3
        )
        if array.dtype.kind not in "biuf":
            raise TconvError(f"{clean(path, 300)}: dtype {array.dtype}; numbers would fit")
    except Exception as fault:  # what zarr raises for damaged metadata cannot be listed
        raise TconvError(f"{clean(path, 300)}: not a Zarr 3 array: {said(fault)}") from None
    return array, scale if len(scale) == array.ndim else ()


def _read(store: Path, inside: Path) -> dict[str, Any]:
    """The zarr.json of a node."""
    name = store / inside / "zarr.json"
    try:
        _check_place(store, name)
        if name.stat().st_size > MOST_TEXT:
            raise TconvError(f"{clean(name, 300)}: larger than {MOST_TEXT:,} bytes; no Zarr 3 metadata")
        told = json.loads(name.read_bytes())
    except FileNotFoundError:
        raise TconvError(f"{clean(store, 300)}: no Zarr 3 store (it has no {inside / 'zarr.json'})") from None
    except (OSError, ValueError, RecursionError) as fault:
        if isinstance(fault, TconvError):
            raise
        raise TconvError(f"{clean(name, 300)}: not Zarr 3 metadata: {said(fault)}") from None
    if not isinstance(told, dict) or told.get("zarr_format") != 3:
        raise TconvError(f"{clean(store, 300)}: not Zarr 3 metadata; zarr_format 3 would fit")
    return told


def _first_level(path: Path, told: dict[str, Any]) -> tuple[Path, tuple[float, ...]]:
    """The full resolution of an OME-Zarr image, and its scale."""
    try:
        dataset = told["attributes"]["ome"]["multiscales"][0]["datasets"][0]
        name = dataset["path"]
        if not isinstance(name, str) or not name:
            raise ValueError
        found = dataset.get("coordinateTransformations", [])
        scales = [each["scale"] for each in found if each.get("type") == "scale"]
        scale = tuple(float(size) for size in scales[0]) if scales else ()
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise TconvError(
            f"{clean(path, 300)}: a Zarr group without an image; OME-Zarr 0.5, or an array, would fit"
        ) from None
    inside = Path(name)
    if inside.is_absolute() or ".." in inside.parts:
        raise TconvError(f"{clean(path, 300)}: its image is {clean(name)}, outside of the store")
    if not all(isfinite(size) and size > 0 for size in scale):
        raise TconvError(f"{clean(path, 300)}: scale {shown(scale)}; numbers above 0 would fit")
    return inside, scale


def _check(path: Path, told: dict[str, Any]) -> None:
    what = clean(path, 300)
    shape, dtype = told.get("shape"), told.get("data_type")
    if told.get("node_type") != "array" or not _sizes(shape, 0):
        raise TconvError(f"{what}: no array; an OME-Zarr image or a Zarr 3 array would fit")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise TconvError(f"{what}: data type {shown(dtype)}; {', '.join(DTYPES)} would fit")
    grid = told.get("chunk_grid")
    chunk = grid.get("configuration", {}) if isinstance(grid, dict) else None
    chunk = chunk.get("chunk_shape") if isinstance(chunk, dict) else None
    if not isinstance(grid, dict) or grid.get("name") != "regular" or not _sizes(chunk, 1):
        raise TconvError(f"{what}: its chunks are not a regular grid")
    nbytes = prod(chunk) * np.dtype(dtype).itemsize  # type: ignore[arg-type]
    if nbytes > MOST_CHUNK:
        raise TconvError(f"{what}: chunks of {nbytes:,} bytes; at most {MOST_CHUNK:,} would fit")
    _check_codecs(what, told.get("codecs"), 0)
    if told.get("storage_transformers"):
        raise TconvError(f"{what}: storage transformers are not supported")


def _check_codecs(what: str, codecs: Any, depth: int) -> None:
    if not isinstance(codecs, list) or depth > 1:
        raise TconvError(f"{what}: codecs {shown(codecs)}; a list of {', '.join(CODECS)} would fit")
    for codec in codecs:
        name = codec if isinstance(codec, str) else codec.get("name") if isinstance(codec, dict) else None
        if name not in CODECS:
            raise TconvError(f"{what}: codec {shown(name)} is unknown; {', '.join(CODECS)} would fit")
        if name == "sharding_indexed":
            inner = codec.get("configuration") if isinstance(codec, dict) else None
            for part in ("codecs", "index_codecs"):
                _check_codecs(what, inner.get(part) if isinstance(inner, dict) else None, depth + 1)


def _sizes(value: Any, least: int) -> bool:
    return isinstance(value, list) and all(type(n) is int and least <= n < 2**31 for n in value)


def _check_place(store: Path, name: Path) -> None:
    """Refuse what a link leads to outside of the store, and what is no file."""
    real, root = os.path.realpath(name), os.path.realpath(store)
    if os.path.commonpath([real, root]) != root:
        raise TconvError(f"{clean(name, 300)}: a link out of the store; it is not followed")
    mode = os.stat(real).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise TconvError(f"{clean(name, 300)} is no regular file; pipes and devices are not read")


def _inside(path: Path) -> Any:
    """A store that reads nothing outside of its folder."""
    from zarr.storage import LocalStore

    class Inside(LocalStore):
        def __init__(self, root: Any, *, read_only: bool = True) -> None:
            super().__init__(root, read_only=True)

        async def get(self, key: str, *args: Any, **options: Any) -> Any:
            self.look(key)
            return await super().get(key, *args, **options)

        async def get_partial_values(self, prototype: Any, key_ranges: Any) -> Any:
            asked = list(key_ranges)
            for key, _ in asked:
                self.look(key)
            return await super().get_partial_values(prototype, asked)

        def get_sync(self, key: str, *args: Any, **options: Any) -> Any:
            self.look(key)
            return super().get_sync(key, *args, **options)

        def look(self, key: str) -> None:
            with contextlib.suppress(FileNotFoundError):
                _check_place(Path(self.root), Path(self.root) / key)

    return Inside(path)
