"""State dicts of PyTorch (.pt, .pth, .ckpt), read without running the code that a pickle may hold."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from tconv.algebra.arrays import Array
from tconv.errors import TconvError, clean, printable, said, unknown
from tconv.geometry import Geometry
from tconv.models.archive import Archive
from tconv.models.layer import ModelLayer
from tconv.models.model import Model
from tconv.models.pickles import check_pickles

__all__ = ["load_plain", "read"]

_DEEPEST = 32  # dictionaries within dictionaries
_NAMES = 1 << 26  # characters of all dotted names: a dictionary may occur in many, even in itself


def load_plain(path: Path) -> Any:
    """The tensors and plain containers of a file that `torch.save` wrote.

    Raises:
        Exception: whatever PyTorch's loader raises on a broken file; `BrokenArchive` (a ValueError) for an
            archive that is compressed or whose records overlap: PyTorch would decompress any size.
    """
    import torch

    with open(path, "rb") as file:
        zipped = file.read(2) == b"PK"
        if not zipped:
            file.seek(0)
            check_pickles(file)
    if zipped:
        archive = Archive(path)
        if "data.pkl" in archive:
            check_pickles(io.BytesIO(archive.read("data.pkl")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about pickles of other versions, which it mostly refuses
        return torch.load(path, map_location="cpu", weights_only=True)


def read(path: Path, *, layers: Mapping[str, Geometry | None]) -> Model:
    """The named layers; a name is that of the layer (up.0) or of its weight (up.0.weight).

    Weights inside dictionaries, as in a checkpoint's "state_dict", need no prefix.
    """
    try:
        whole = load_plain(path)
    except Exception as fault:  # the loader may raise anything on a broken file
        raise TconvError(f"{path} is not a complete, safely readable state dict: {_reason(fault)}") from fault
    tensors = _tensors(path, whole)
    kernels = [name for name, tensor in tensors.items() if not tensor.is_nested and 3 <= tensor.dim() <= 5]
    if not kernels:
        raise TconvError(f"{path}: no tensor in it has the 3 to 5 axes of a convolution's weight")
    if not layers:
        # Even kernels first: they are mostly those of transposed convolutions.
        likely = sorted(kernels, key=lambda name: min(size % 2 for size in tensors[name].shape[2:]))
        shapes = [f"{name} {tuple(tensors[name].shape)}" for name in likely]
        more = f" and {len(shapes) - 8} more" if len(shapes) > 8 else ""
        raise TconvError(
            f"{path}: a state dict does not contain strides; give --layer NAME=PROBLEM, with a name of "
            f"{', '.join(shapes[:8])}{more}"
        )
    found, keys = [], {}
    for name, geometry in layers.items():
        if geometry is None:
            raise TconvError(f"--layer {name}: a state dict does not contain strides; give {name}=PROBLEM")
        keys[name] = _key(path, name, tensors, kernels)
        found.append(ModelLayer(name=name, geometry=geometry, weight=_array(name, tensors[keys[name]])))

    def save(file: IO[bytes], weights: Mapping[str, Array]) -> None:
        import torch

        made = {
            keys[name]: torch.from_numpy(weight).to(tensors[keys[name]].dtype)
            for name, weight in weights.items()
        }
        torch.save(_replaced(whole, made), file)

    return Model(source=str(path), layers=tuple(found), save=save)


def _reason(fault: Exception) -> str:
    """What is wrong with the file, without PyTorch's advice to load it in a way that runs its code."""
    found = re.search(r"WeightsUnpickler error:\s*(.+)", str(fault))
    return (printable(found[1]) if found else said(fault))[:150]


def _entries(held: Mapping[Any, Any], prefix: str) -> Iterator[tuple[Any, str, Any]]:
    """Key, dotted name and value of each entry that can be named."""
    for key, value in held.items():
        if isinstance(key, str | int):
            yield key, f"{prefix}.{key}" if prefix else str(key), value


def _tensors(path: Path, whole: Any) -> dict[str, Any]:
    """Every tensor in nested dictionaries, by its dotted name."""
    import torch

    found, left = {}, _NAMES

    def visit(value: Any, name: str, depth: int) -> None:
        nonlocal left
        left -= 1 + len(name)
        if depth > _DEEPEST or left < 0:
            raise TconvError(
                f"{path}: its dictionaries are more than {_DEEPEST} deep, or have too many names"
            )
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif isinstance(value, Mapping):
            for _, inner, entry in _entries(value, name):
                visit(entry, inner, depth + 1)

    visit(whole, "", 0)
    return found


def _replaced(value: Any, made: Mapping[str, Any], prefix: str = "") -> Any:
    """`value` with new tensors at these dotted names."""
    if prefix in made:
        return made[prefix]
    if not isinstance(value, dict):
        return value
    # A copy keeps the dictionary's own class and attributes, such as a state dict's _metadata.
    copied = value.copy()
    for key, name, entry in _entries(value, prefix):
        copied[key] = _replaced(entry, made, name)
    return copied


def _key(path: Path, name: str, tensors: Mapping[str, Any], kernels: list[str]) -> str:
    for wanted in (name, f"{name}.weight"):
        inside = [key for key in tensors if key == wanted or key.endswith(f".{wanted}")]
        exact = wanted if wanted in tensors else None
        if exact or len(inside) == 1:
            return exact or inside[0]
        if len(inside) > 1:
            raise TconvError(f"{path}: {name!r} could be {' or '.join(inside[:4])}; give the whole name")
    known = [key.removesuffix(".weight") for key in kernels]
    raise unknown(f"{path}: layer", name, known)


def _array(name: str, tensor: Any) -> Array:
    import torch

    dense = tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_quantized
    # NumPy has no bfloat16; float32 holds all of its values.
    held = tensor.detach().float() if tensor.dtype == torch.bfloat16 else tensor.detach()
    try:
        if not dense:
            raise TypeError
        array: Array = held.contiguous().numpy()
    except TypeError:  # float8 and others that NumPy lacks, and tensors without numbers
        kind = f"{'' if dense else 'sparse or quantized '}tensor of {tensor.dtype} on {tensor.device}"
        raise TconvError(
            f"{clean(name)}: its weight is a {kind}; dense numbers that NumPy has would fit"
        ) from None
    return array
