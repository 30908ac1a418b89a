"""Inputs to run a model with: the user's, and generated ones for its dynamic axes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tconv.errors import TconvError, clean
from tconv.files import check_file
from tconv.onnx.rewriting import media
from tconv.onnx.rewriting.runner import Arrays, Runner, Trouble

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Feeds", "feeds_of", "static", "taken"]

Array = np.ndarray[Any, Any]
Shapes = Mapping[str, tuple[int, ...]]

_SIZES = ((1, 32, 64), (2, 64, 32), (1, 33, 47), (1, 64, 64), (1, 128, 96), (3, 8, 8), (1, 16, 24), (1, 1, 1))
"""Sizes of dynamic axes, in the order in which they are tried: of the first axis (mostly the batch), then of
the others in turns. More models take multiples of 32 than odd sizes."""

_ENOUGH = 3
_MOST = 1 << 28  # numbers of one input: 2 GB as they are drawn


@dataclass(frozen=True)
class Feeds:
    """One set of inputs, and its name in the report."""

    name: str
    arrays: Arrays
    media: bool = False  #: a picture or a sound, and the name says what was assumed about it


def feeds_of(
    entry: str | PathLike[str] | Mapping[str, Any], number: int, model: ir.Model, pixels: str
) -> Iterable[Feeds]:
    """One given set of inputs, for which there may be several choices, the first the best.

    Args:
        entry: a .npz file; a picture or a sound; or a dictionary by the names of inputs, of arrays, or with
            one picture or sound.
        number: of the entry among all, for its name.
        pixels: how a picture becomes numbers, as in `tconv.onnx.rewriting.media.Pixels`.

    Raises:
        TconvError: a file that is missing, broken or of no such kind; inputs that are not the model's.
    """
    if not isinstance(entry, Mapping):
        path = Path(entry)
        if path.suffix.lower() == ".npz":
            return [_read_npz(path, model)]
        names = [str(value.name) for value in needed(model)]
        if path.suffix.lower() not in media.SUFFIXES:
            raise TconvError(f"{path}: .npz, {', '.join(media.SUFFIXES)} would fit")
        if len(names) != 1:
            raise TconvError(
                f"{path}: the model's inputs are {', '.join(map(clean, names))}; a .npz with all would fit"
            )
        entry = {names[0]: path}
    files = {name: Path(held) for name, held in entry.items() if isinstance(held, str | PathLike)}
    if not files:
        arrays = {str(name): np.asarray(array) for name, array in entry.items()}
        return [checked(Feeds(f"inputs[{number}]", arrays), model)]
    wanted = {str(value.name): value for value in needed(model)}
    ((name, path),) = files.items() if len(entry) == 1 else [("", Path())]
    if not name or len(wanted) != 1:
        raise TconvError(
            f"inputs[{number}]: a picture or sound is all that a model takes with it; this one's inputs are "
            f"{', '.join(map(clean, wanted))}; a .npz with all would fit"
        )
    if name not in wanted:
        raise TconvError(
            f"{path.name}: the model has no input {name!r}; it has {', '.join(map(clean, wanted))}"
        )
    if path.suffix.lower() not in media.SUFFIXES:
        raise TconvError(f"{path}: {', '.join(media.SUFFIXES)} would fit")
    made = (Feeds(said, {name: array}, True) for said, array in media.candidates(path, wanted[name], pixels))
    return itertools.chain([next(made)], made)  # what is wrong with the file is said now


def _read_npz(path: Path, model: ir.Model) -> Feeds:
    """The inputs in a .npz file, checked against the model's.

    Raises:
        TconvError: no such file, not a .npz of plain arrays, names, ranks or dtypes that are not the model's.
    """
    import zipfile

    check_file(path)
    try:
        with open(path, "rb") as file:  # np.load would not close a broken file
            if file.read(2) != b"PK":  # np.load also reads other kinds of file
                raise ValueError
            file.seek(0)
            with np.load(file, allow_pickle=False) as held:
                arrays = {name: held[name] for name in held.files}
    except OSError as fault:
        raise TconvError(f"cannot read {path}: {fault.strerror or fault}") from None
    except (ValueError, EOFError, NotImplementedError, zipfile.BadZipFile):
        raise TconvError(f"{path} is not a complete .npz file of arrays; numpy.savez writes one") from None
    return checked(Feeds(path.name, arrays), model)


def checked(feeds: Feeds, model: ir.Model) -> Feeds:
    """The same feeds, if they are exactly the model's inputs, of the right ranks and dtypes."""
    wanted = {str(value.name): value for value in needed(model)}
    for name in feeds.arrays:
        if name not in wanted:
            raise TconvError(f"{feeds.name}: the model has no input {name!r}; it has {', '.join(wanted)}")
    for name, value in wanted.items():
        if name not in feeds.arrays:
            raise TconvError(f"{feeds.name}: no array for the model's input {name!r}")
        array, kind = feeds.arrays[name], _dtype(value)
        if kind is not None and array.dtype != kind:
            raise TconvError(f"{feeds.name}: {name} is {array.dtype}; the model takes {kind}")
        if value.shape is not None and not _fits(array.shape, value.shape):
            raise TconvError(f"{feeds.name}: {name} has shape {array.shape}; the model takes {value.shape}")
    return feeds


def needed(model: ir.Model) -> list[ir.Value]:
    """The inputs without an initializer."""
    return [value for value in model.graph.inputs if value.name not in model.graph.initializers]


def taken(
    model: ir.Model, runner: Runner, name: str, shapes: Shapes, given: Sequence[Iterable[Feeds]]
) -> list[Feeds]:
    """The given feeds, and generated ones of several shapes that the model `name` of the runner accepts.

    Args:
        given: for each set of inputs its choices, of which the first that the model accepts is taken.
        shapes: of inputs by name, as given by the user; the others are chosen here.

    Raises:
        TconvError: a shape for an unknown input; the model refuses a given feed, or all generated ones.
    """
    names = [str(value.name) for value in needed(model)]
    for input in shapes:
        if input not in names:
            raise TconvError(f"a shape for {input!r}: the model's inputs are {', '.join(names)}")
    found = [_accepted(runner, name, choices) for choices in given]
    seen: set[tuple[Any, ...]] = set()
    reason = "it has an input that cannot be generated"
    for feeds in _made(model, shapes):
        if len(found) - len(given) == _ENOUGH:
            break
        sizes = tuple(array.shape for array in feeds.arrays.values())
        if sizes in seen and not static(model, shapes):
            continue
        try:
            runner.run(name, feeds.arrays)
        except Trouble as fault:
            reason = str(fault)
            if "crashed" in reason:
                raise
            continue
        seen.add(sizes)
        found.append(feeds)
    if not found:
        raise TconvError(
            f"no input could be generated that the model accepts ({reason}); --input x.npz would fit"
        )
    return found


def _accepted(runner: Runner, name: str, choices: Iterable[Feeds]) -> Feeds:
    """The first of the choices that the model accepts."""
    first = ""
    for feeds in choices:
        try:
            runner.run(name, feeds.arrays)
        except Trouble as trouble:
            first = first or f"the model does not accept {feeds.name}: {trouble}"
            if "crashed" in str(trouble):
                break
        else:
            return feeds
    raise TconvError(first)


def static(model: ir.Model, shapes: Shapes) -> bool:
    return all(
        str(value.name) in shapes or (value.shape is not None and value.shape.is_static())
        for value in needed(model)
    )


def _made(model: ir.Model, shapes: Shapes) -> Iterator[Feeds]:
    values = needed(model)
    if any(_dtype(value) is None for value in values):
        return
    if any(value.shape is None and str(value.name) not in shapes for value in values):
        return
    seeds = itertools.count()
    fixed = static(model, shapes)
    for number, sizes in enumerate(_SIZES[:_ENOUGH] if fixed else _SIZES, 1):
        sized = _filled(values, sizes, shapes)
        for name, (shape, _) in sized.items():
            if prod(shape) > _MOST:
                raise TconvError(
                    f"input {clean(name)} is {'x'.join(map(str, shape))}, of which none is made up; up to "
                    f"{_MOST:,} numbers would fit, or a file: --input x.npz"
                )
        for fill in _FILLS:
            generator = np.random.default_rng(next(seeds))
            arrays = {
                name: (fill if dtype.kind in "iu" else _numbers)(generator, shape, sizes[1]).astype(dtype)
                for name, (shape, dtype) in sized.items()
            }
            said = (f"{name} {'x'.join(map(str, array.shape)) or '1'}" for name, array in arrays.items())
            yield Feeds(f"{', '.join(said)}{f' ({number})' if fixed else ''}", arrays)
            if not any(array.dtype.kind in "iu" for array in arrays.values()):
                break  # only integers have several meanings


def _filled(
    values: Sequence[ir.Value], sizes: tuple[int, ...], shapes: Shapes
) -> dict[str, tuple[tuple[int, ...], Any]]:
    """The shape and dtype of each input; an open axis has the same size wherever its name occurs."""
    others = itertools.cycle(sizes[1:])
    named: dict[str, int] = {}
    for value in sorted(values, key=lambda value: -len(value.shape or ())):  # most axes first: the batch
        for axis, size in enumerate(value.shape or ()):
            if not isinstance(size, int):
                named.setdefault(_symbol(value, axis), sizes[0] if axis == 0 else next(others))
    return {
        str(value.name): (
            shapes.get(str(value.name))
            or tuple(
                size if isinstance(size, int) else named[_symbol(value, axis)]
                for axis, size in enumerate(value.shape or ())
            ),
            _dtype(value),
        )
        for value in values
    }


def _symbol(value: ir.Value, axis: int) -> str:
    assert value.shape is not None
    size = value.shape[axis]
    return str(getattr(size, "value", None) or f"{value.name} {axis}")


def _numbers(generator: np.random.Generator, shape: tuple[int, ...], _: int) -> Array:
    return np.maximum(generator.standard_normal(shape), -3)


_FILLS: Sequence[Callable[[np.random.Generator, tuple[int, ...], int], Array]] = (
    lambda generator, shape, size: np.asarray(generator.integers(0, 4, shape)),  # token numbers
    lambda generator, shape, size: np.ones(shape),
    lambda generator, shape, size: np.full(shape, size),  # a length
)


def _dtype(value: ir.Value) -> Any:
    import onnx_ir as ir

    if not isinstance(value.type, ir.TensorType) or value.dtype in (None, ir.DataType.STRING):
        return None
    assert value.dtype is not None
    return np.dtype(value.dtype.numpy())


def _fits(shape: tuple[int, ...], wanted: ir.Shape) -> bool:
    return len(shape) == len(wanted) and all(
        not isinstance(want, int) or size == want for size, want in zip(shape, wanted, strict=True)
    )
