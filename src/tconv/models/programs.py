"""What torch.export.save writes, as plain values: a graph in JSON, and tensors as raw bytes.

PyTorch is not used. Expressions of symbolic sizes are not evaluated: such a size is unknown. Pickled records
(example inputs, tensor subclasses, custom objects) are never opened.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np

from tconv.algebra.arrays import Array
from tconv.errors import TconvError, clean
from tconv.models.archive import Archive, BrokenArchive

__all__ = ["Call", "Program", "Ref", "load"]

_T = TypeVar("_T")

_MODEL, _OLD_MODEL = "models/model.json", "serialized_exported_program.json"
_CONFIG = "data/weights/model_weights_config.json"
_SCHEMA = 8  # the format's major version, which PyTorch raises when older readers would fail
_MOST_JSON = 1 << 25  # bytes; a node takes about 2,000
_MOST_AXES = 32
_SHARED, _SMALL = 64, 1 << 20  # tensors may share bytes: limits as a multiple of the file, and in bytes

#: PyTorch's numbers for dtypes, without float8 and complex32, which NumPy lacks.
_DTYPES: Mapping[int, str] = MappingProxyType(
    {
        1: "u1", 2: "i1", 3: "i2", 4: "i4", 5: "i8", 6: "f2", 7: "f4", 8: "f8", 10: "c8", 11: "c16", 12: "?",
        13: "bfloat16", 28: "u2", 34: "u4", 35: "u8",
    }
)  # fmt: skip


class Ref(NamedTuple):
    """The name of a value in the graph."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Call:
    """One operation: its operator without namespace and overload, and its arguments by name."""

    op: str
    name: str
    given: Mapping[str, Any]
    outputs: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The values that it reads, without duplicates."""
        return tuple(dict.fromkeys(_names(self.given.values())))


class _Stored(NamedTuple):
    """Where a tensor is: its record, and its offset, sizes and strides in elements."""

    record: str
    dtype: str
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    @property
    def bits(self) -> np.dtype[Any]:
        return np.dtype("<u2" if self.dtype == "bfloat16" else f"<{self.dtype}")

    @property
    def nbytes(self) -> int:
        return prod(self.sizes) * self.bits.itemsize

    def view(self, data: bytes | bytearray) -> Array:
        """The tensor in the bytes of its record."""
        step = self.bits.itemsize
        if prod(self.sizes) == 0:
            return np.zeros(self.sizes, self.bits)
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.sizes, self.strides, strict=True))
        if (last + 1) * step > len(data):
            raise ValueError(
                f"a weight of {self.sizes!r:.60} lies outside the {len(data)} bytes of its record"
            )
        strides = tuple(stride * step for stride in self.strides)
        return np.ndarray(self.sizes, self.bits, data, self.offset * step, strides)


class Program:
    """An exported program: its calls, the shapes of its values, and its weights."""

    def __init__(self, path: Path) -> None:
        self._archive = archive = Archive(path)
        if _OLD_MODEL in archive:
            raise _too_old(path, _json(archive, _OLD_MODEL))
        whole = _json(archive, _MODEL)
        if _CONFIG not in archive:
            raise _too_old(path, whole)
        order = archive.read("byteorder", 16) if "byteorder" in archive else b"little"
        schema = whole["schema_version"]["major"]
        if schema != _SCHEMA or order != b"little":
            raise TconvError(
                f"{path}, written by torch {_version(whole)}, has schema {clean(schema, 20)} and byte order "
                f"{clean(order.decode(errors='replace'))}; {_SCHEMA} and little would fit"
            )
        graph, signature = (whole["graph_module"][part] for part in ("graph", "signature"))
        #: value -> its sizes, None for symbolic ones.
        self.shapes = {name: _shape(meta) for name, meta in _typed(graph["tensor_values"], dict).items()}
        self.calls = [_call(node) for node in _typed(graph["nodes"], list)]
        self.outputs = tuple(_names(_argument(entry) for entry in _typed(graph["outputs"], list)))
        #: value -> its name in the state dict, of parameters and buffers.
        self.keys = dict(_held(signature["input_specs"]))
        self._stored = _stored(_json(archive, _CONFIG)["config"], set(self.keys.values()))
        #: The most bytes that its tensors may have in all, counted at each use.
        self.most = _SHARED * path.stat().st_size + _SMALL
        claimed = sum(stored.nbytes for stored in self._stored.values())
        if claimed > self.most:
            raise BrokenArchive(f"its tensors come to {claimed} bytes")
        read = {name: archive.read(name) for name in {stored.record for stored in self._stored.values()}}
        # Once per tensor: any number of values may name the same one.
        numbers = {key: _numbers(stored, read[stored.record]) for key, stored in self._stored.items()}
        #: value -> its numbers; those of bfloat16 as float32.
        self.weights = {value: numbers[key] for value, key in self.keys.items() if key in numbers}

    def save(self, file: IO[bytes], weights: Mapping[str, Array]) -> None:
        """Write a copy of the file with other weights, by the state dict's names; the rest is unchanged.

        Raises:
            TconvError: the file has changed since it was read.
        """
        try:
            self._write(file, weights)
        except BrokenArchive as fault:
            raise TconvError(f"cannot write the program: {fault}") from None

    def _write(self, file: IO[bytes], weights: Mapping[str, Array]) -> None:
        changed: dict[str, bytearray] = {}
        for key, weight in weights.items():
            stored = self._stored[key]
            data = changed.setdefault(stored.record, bytearray(self._archive.read(stored.record)))
            stored.view(data)[...] = _bits(weight) if stored.dtype == "bfloat16" else weight
        self._archive.write(file, {name: bytes(data) for name, data in changed.items()})


def load(path: Path) -> Program:
    """Read an exported program.

    Raises:
        TconvError: an archive that is broken or hostile, or of an unsupported layout.
    """
    try:
        return Program(path)
    except TconvError:
        raise
    except OSError as fault:
        raise TconvError(f"cannot read {path}: {fault.strerror or fault}") from None
    except KeyError as fault:
        raise TconvError(f"{path} is not a complete exported program: {clean(fault)} is missing") from None
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as fault:
        raise TconvError(f"{path} is not a complete exported program: {clean(fault, 150)}") from None


def _json(archive: Archive, name: str) -> dict[str, Any]:
    return _typed(json.loads(archive.read(name, _MOST_JSON)), dict)


def _version(whole: Mapping[str, Any]) -> str:
    return clean(whole.get("torch_version", "2.4 or older"), 40)


def _too_old(path: Path, whole: Mapping[str, Any]) -> TconvError:
    return TconvError(
        f"{path}, written by torch {_version(whole)}, holds its weights as a pickle, which is not opened; "
        "torch.export.save of torch 2.9 or newer writes plain ones"
    )


def _typed(value: Any, kind: type[_T]) -> _T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{value!r:.60} where a {kind.__name__} is needed")
    return value


def _size(entry: Any) -> int | None:
    """A size; None for an expression, which is not evaluated."""
    ((kind, value),) = _typed(entry, dict).items()
    return None if kind == "as_expr" else _typed(value, int)


def _shape(meta: Any) -> tuple[int | None, ...]:
    return tuple(_size(entry) for entry in _typed(meta["sizes"], list))


def _call(node: Any) -> Call:
    target = _typed(node["target"], str)
    outputs = tuple(_names(_argument(entry) for entry in _typed(node["outputs"], list)))
    given = {_typed(entry["name"], str): _argument(entry["arg"]) for entry in _typed(node["inputs"], list)}
    name = node.get("name") or (outputs[0] if outputs else target)
    return Call(op=target.split(".")[-2:][0], name=_typed(name, str), given=given, outputs=outputs)


def _argument(entry: Any) -> Any:
    """An argument: a number, a string, None, a Ref, or a tuple of those; None for other kinds."""
    ((kind, value),) = _typed(entry, dict).items()
    if kind in ("as_int", "as_bool", "as_string"):
        return _typed(value, {"as_int": int, "as_bool": bool, "as_string": str}[kind])
    if kind in ("as_float", "as_floats"):
        return _float(value) if kind == "as_float" else tuple(_float(number) for number in value)
    if kind == "as_ints":
        return tuple(_typed(number, int) for number in _typed(value, list))
    if kind in ("as_tensor", "as_name"):
        return Ref(_typed(value["name"] if kind == "as_tensor" else value, str))
    if kind == "as_tensors":
        return tuple(Ref(_typed(each["name"], str)) for each in _typed(value, list))
    if kind in ("as_sym_int", "as_sym_float", "as_sym_bool", "as_optional_tensor"):
        return _argument(value)
    if kind in ("as_sym_ints", "as_sym_floats", "as_sym_bools", "as_optional_tensors"):
        return tuple(_argument(each) for each in _typed(value, list))
    return None


def _float(value: Any) -> float:
    """A float; infinities and NaN, which JSON lacks, are written as strings."""
    if isinstance(value, str) and value not in ("Infinity", "-Infinity", "NaN"):
        raise TypeError(f"{value!r:.60} where a float is needed")
    return float(value if isinstance(value, str) else _typed(value, (int, float)))  # type: ignore[arg-type]


def _names(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, Ref):
            yield value.name
        elif isinstance(value, tuple):
            yield from _names(value)


def _held(specs: Any) -> Iterator[tuple[str, str]]:
    for spec in _typed(specs, list):
        ((kind, held),) = _typed(spec, dict).items()
        if kind in ("parameter", "buffer"):
            yield _typed(held["arg"]["name"], str), _typed(held[f"{kind}_name"], str)


def _stored(config: Any, wanted: set[str]) -> dict[str, _Stored]:
    found = {}
    for key, entry in _typed(config, dict).items():
        if key not in wanted:
            continue
        if entry["use_pickle"] is not False:
            raise TypeError(f"{clean(key)} is pickled, as tensors of other classes are, and not opened")
        meta = entry["tensor_meta"]
        dtype = _DTYPES.get(_typed(meta["dtype"], int))
        if dtype is None or meta["layout"] != 7:
            raise TypeError(
                f"{clean(key)} has dtype {meta['dtype']} and layout {meta['layout']} of PyTorch's numbers"
            )
        sizes, strides = (_whole(meta[name]) for name in ("sizes", "strides"))
        (offset,) = _whole([meta["storage_offset"]])
        if len(sizes) != len(strides) or len(sizes) > _MOST_AXES:
            raise ValueError(f"{clean(key)} has {len(sizes)} sizes and {len(strides)} strides")
        name = _typed(entry["path_name"], str)
        found[key] = _Stored(f"data/weights/{name}", dtype, sizes, strides, offset)
    return found


def _whole(entries: Any) -> tuple[int, ...]:
    found = [_size(entry) for entry in _typed(entries, list)]
    if any(size is None or not 0 <= size < 1 << 62 for size in found):
        raise ValueError(f"a weight of sizes or strides {found!r:.60}")
    return tuple(size for size in found if size is not None)


def _numbers(stored: _Stored, data: bytes) -> Array:
    held = stored.view(data)
    if stored.dtype == "bfloat16":
        return (held.astype(np.uint32) << 16).view(np.float32)
    return np.asarray(held, order="C")


def _bits(weight: Array) -> Array:
    """The bits of the nearest bfloat16 numbers, ties to even, as in PyTorch."""
    bits = np.ascontiguousarray(weight, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
