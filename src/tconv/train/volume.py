"""Volumes that are read a part at a time: Zarr, NIfTI, TIFF stacks, folders of slices, .npy files."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError, clean, said
from tconv.files import check_file, read_npy
from tconv.pictures import read_pixels, size_of
from tconv.train.zarr_input import open_zarr

__all__ = ["ENDINGS", "Volume", "is_volume", "open_volume"]

#: The endings of a volume's name; a folder of slices has none.
ENDINGS = (".zarr", ".nii", ".nii.gz", ".tif", ".tiff", ".npy")
SLICES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
MOST = 2**31 - 1  # of an axis

#: The value of white where the dtype says it; others need to be told.
WHITES = {"bool": 1.0, "uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0, "float64": 1.0}

#: Reads [slices, rows, columns] as (slices, rows, columns, channels), unscaled.
Read = Callable[[slice, slice, slice], npt.NDArray[Any]]


@dataclass(frozen=True)
class Volume:
    """A volume of slices; `read` gives a part of it as numbers of the file."""

    path: Path
    shape: tuple[int, int, int]  #: slices, rows, columns
    channels: int  #: 1 or 3
    dtype: str
    scale: tuple[float, float, float]  #: the size of a voxel along each axis, 1 where the file does not say
    unit: str  #: of the scale; "" where the file does not say
    flipped: bool  #: whether a net should see the last row first
    read: Read

    def pictures(self, white: float, slices: slice, rows: slice, columns: slice) -> npt.NDArray[np.float32]:
        """A part as float32 (slices, rows, columns, channels), white 1; rows count as a net sees them."""
        height = self.shape[1]
        if self.flipped:
            rows = slice(height - rows.stop, height - rows.start)
        told = f"{clean(self.path, 300)}: slices {slices.start} to {slices.stop - 1}"
        try:
            part = self.read(slices, rows, columns)
        except TconvError:
            raise
        except Exception as fault:  # what damaged files raise cannot be listed
            raise TconvError(f"{told} cannot be read: {said(fault)}") from None
        wanted = (
            slices.stop - slices.start,
            rows.stop - rows.start,
            columns.stop - columns.start,
            self.channels,
        )
        if part.shape != wanted:
            raise TconvError(f"{told} have another size than the first")
        part = part[:, ::-1] if self.flipped else part
        return np.ascontiguousarray(part, np.float32) / np.float32(white)

    def white(self, given: float | None) -> float:
        """The value of white: as given, or the largest of the dtype; 1 for floats.

        Raises:
            TconvError: neither is there, or it is no number above 0.
        """
        found = WHITES.get(self.dtype) if given is None else given
        if found is None:
            raise TconvError(
                f"{clean(self.path, 300)}: values are {self.dtype}; "
                "--white N, what white was in the training pictures, would fit"
            )
        if not 0 < found < float("inf"):
            raise TconvError(f"--white {found:g}: must be a number above 0")
        return found


def is_volume(path: Path) -> bool:
    """Whether a name is that of a volume, and not of a picture."""
    return path.is_dir() or path.name.lower().endswith(ENDINGS)


def open_volume(path: str | Path) -> Volume:
    """A volume of any kind that `is_volume` knows; its numbers are not read yet.

    Raises:
        TconvError: no such file, of another kind, or of sizes and dtypes that do not fit.
    """
    path = Path(path)
    name = path.name.lower()
    if not path.exists():
        raise TconvError(f"{clean(path, 300)}: no such volume")
    if name.endswith(".zarr") or (path.is_dir() and (path / "zarr.json").exists()):
        array, scale = open_zarr(path)
        return _of_array(path, array, scale)
    if path.is_dir():
        return _of_folder(path)
    if name.endswith(".npy"):
        return _of_array(path, read_npy(path), ())
    if name.endswith((".nii", ".nii.gz")):
        return _of_nifti(path)
    if name.endswith((".tif", ".tiff")):
        return _of_tiff(path)
    raise TconvError(f"{clean(path, 300)}: no volume; a folder of slices, {', '.join(ENDINGS)} would fit")


def _made(
    path: Path,
    shape: tuple[int, ...],
    channels: int,
    dtype: str,
    read: Read,
    scale: tuple[float, ...] = (),
    unit: str = "",
    flipped: bool = False,
) -> Volume:
    if not all(1 <= size <= MOST for size in shape):
        raise TconvError(
            f"{clean(path, 300)}: {' x '.join(map(str, shape))} voxels; 1 to {MOST} along each axis would fit"
        )
    sizes = (*(1.0,) * 3, *scale)[-3:]
    return Volume(
        path,
        (shape[0], shape[1], shape[2]),
        channels,
        dtype,
        (sizes[0], sizes[1], sizes[2]),
        unit,
        flipped,
        read,
    )


def _of_array(path: Path, array: Any, scale: tuple[float, ...]) -> Volume:
    """(..., z, y, x) or (..., z, y, x, 3); what is before has a size of 1."""
    if array.dtype.kind not in "biuf":
        raise TconvError(f"{clean(path, 300)}: dtype {array.dtype}; an array of real numbers would fit")
    shape = tuple(array.shape)
    colours = len(shape) == 4 and shape[-1] == 3 and shape[0] != 1
    space = shape[-4:-1] if colours else shape[-3:]
    before = shape[: len(shape) - len(space) - colours]
    if len(space) != 3 or any(size != 1 for size in before):
        raise TconvError(
            f"{clean(path, 300)}: shape {shape}; (z, y, x), with a last axis of 3 for RGB, would fit"
        )

    def read(slices: slice, rows: slice, columns: slice) -> npt.NDArray[Any]:
        part = np.asarray(array[(*(0 for _ in before), slices, rows, columns)])
        return part if colours else part[..., None]

    sized = scale[:-1] if colours else scale
    return _made(path, space, 3 if colours else 1, array.dtype.name, read, sized)


def _of_nifti(path: Path) -> Volume:
    check_file(path)
    try:
        import nibabel
    except ImportError:
        raise TconvError(f"{clean(path, 300)}: nibabel is missing: pip install 'tconv[train]'") from None
    try:
        library: Any = nibabel  # half of its functions have annotations
        image = library.nifti1.Nifti1Image.from_filename(path)
        data, header = image.dataobj, image.header
        shape = tuple(int(size) for size in data.shape)
        dtype = np.dtype(data.dtype).name if (data.slope, data.inter) == (1.0, 0.0) else "scaled numbers"
        scale = tuple(float(size) for size in header.get_zooms()[2::-1])
        unit = {"mm": "millimeter", "micron": "micrometer", "meter": "meter"}.get(
            header.get_xyzt_units()[0], ""
        )
        codes = library.aff2axcodes(image.affine)
        kind = np.dtype(data.dtype).kind
    except Exception as fault:  # what damaged headers raise cannot be listed
        raise TconvError(f"{clean(path, 300)}: not a readable NIfTI file: {said(fault)}") from None
    if len(shape) < 3 or any(size != 1 for size in shape[3:]) or kind not in "iuf":
        raise TconvError(
            f"{clean(path, 300)}: {kind!r} numbers of shape {shape}; real ones of (x, y, z) would fit"
        )
    scale = tuple(size if 0 < size < float("inf") else 1.0 for size in scale)

    def read(slices: slice, rows: slice, columns: slice) -> npt.NDArray[Any]:
        part = np.asarray(data[(columns, rows, slices, *(0 for _ in shape[3:]))])
        return part.transpose(2, 1, 0)[..., None]

    # As in the built-in brain: the front of the head on top.
    return _made(path, shape[2::-1], 1, dtype, read, scale, unit, codes[1] == "A")


def _of_tiff(path: Path) -> Volume:
    height, width, _ = size_of(path)
    first = _pixels(path, 0)
    from PIL import Image

    with Image.open(path) as image:
        try:
            count = int(getattr(image, "n_frames", 1))
        except Exception as fault:  # a damaged directory
            raise TconvError(f"{clean(path, 300)}: not a readable TIFF stack: {said(fault)}") from None

    def read(slices: slice, rows: slice, columns: slice) -> npt.NDArray[Any]:
        return np.stack([_pixels(path, z)[rows, columns] for z in range(slices.start, slices.stop)])

    return _made(path, (count, height, width), first.shape[2], first.dtype.name, read)


def _of_folder(path: Path) -> Volume:
    try:
        files = [f for f in path.iterdir() if f.suffix.lower() in SLICES and not f.name.startswith(".")]
    except OSError as fault:
        raise TconvError(f"cannot list the folder {clean(path, 300)}: {said(fault)}") from None
    if not files:
        raise TconvError(f"{clean(path, 300)}: no slices ({', '.join(SLICES)}) in this folder")
    # 2 before 10.
    files.sort(
        key=lambda f: [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", f.name)]
    )
    first = _pixels(files[0], 0)

    def read(slices: slice, rows: slice, columns: slice) -> npt.NDArray[Any]:
        found = [_pixels(file, 0) for file in files[slices]]
        if any(each.shape != first.shape or each.dtype != first.dtype for each in found):
            raise TconvError(
                f"{clean(path, 300)}: not all slices are {first.shape[1]}x{first.shape[0]} of {first.dtype}"
            )
        return np.stack(found)[:, rows, columns]

    return _made(path, (len(files), *first.shape[:2]), first.shape[2], first.dtype.name, read)


def _pixels(path: Path, frame: int) -> npt.NDArray[Any]:
    """One picture as (height, width, 1 or 3): gray of 8 or 16 bits or float, else RGB."""

    def converted(image: Any) -> Any:
        if frame:
            image.seek(frame)
        if image.mode.startswith(("I", "F")):
            return image
        return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")

    try:
        mode, pixels = read_pixels(path, converted)
    except EOFError:
        raise TconvError(f"{clean(path, 300)}: it has no slice {frame}") from None
    if mode.startswith("I"):
        pixels = pixels.astype(np.uint16) if pixels.min() >= 0 and pixels.max() <= 65535 else pixels
    return pixels.reshape(*pixels.shape[:2], -1)
