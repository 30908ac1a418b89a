"""The kinds of arguments: what an annotation stands for."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from numbers import Number, Real
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError, said
from tconv.geometry import Geometry
from tconv.geometry.normalize import flag, per_axis, shown, whole

__all__ = ["KINDS", "Kind", "as_given", "instance", "number", "numbers", "refuse"]


class Kind(NamedTuple):
    """What an annotation stands for: what would fit, and a function that returns the value or refuses it."""

    fits: str
    take: Callable[[str, Any], Any]


def as_given(name: str, value: Any) -> Any:
    return value


def refuse(name: str, value: object, fits: str) -> NoReturn:
    """Raise the error of a value of another kind."""
    raise TconvError(f"{name}={shown(value)} is a {type(value).__name__}; {fits} would fit")


def instance(of: type | tuple[type, ...], fits: str) -> Kind:
    """The objects of a class."""

    def take(name: str, value: Any) -> Any:
        return value if isinstance(value, of) else refuse(name, value, fits)

    return Kind(fits, take)


def _of_class(module: str, name: str, fits: str) -> Kind:
    """The objects of a class in a library that may not be installed, and is not imported for others."""

    def take(argument: str, value: Any) -> Any:
        if any(base.__name__ == name and base.__module__.startswith(module) for base in type(value).__mro__):
            return value
        refuse(argument, value, fits)

    return Kind(fits, take)


def number(name: str, value: Any) -> float:
    """A real number, which may be infinite or NaN: their place is in the range that a function states.

    >>> number("epsilon", 10**400)
    Traceback (most recent call last):
        ...
    tconv.errors.TconvError: epsilon is beyond float64; a smaller number would fit
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        refuse(name, value, "a number")
    try:
        return float(value)
    except OverflowError:
        raise TconvError(f"{name} is beyond float64; a smaller number would fit") from None


def _of_numbers(dtype: np.dtype[Any]) -> bool:
    # ml_dtypes' numbers are neither: to NumPy they are structures without fields, as raw bytes are.
    return dtype.kind in "biufc" or (dtype.kind == "V" and dtype.type is not np.void)


def numbers(name: str, value: Any) -> npt.NDArray[Any]:
    """An array of numbers; exact ones, such as `fractions.Fraction`, are objects to NumPy.

    >>> numbers("weight", "ab")
    Traceback (most recent call last):
        ...
    tconv.errors.TconvError: weight has dtype <U2; an array of numbers would fit
    """
    array = anything(name, value)
    if array.dtype.kind == "O" and all(isinstance(each, Number) for each in array.flat):
        try:
            array.astype(np.complex128)
        except OverflowError:
            raise TconvError(f"{name} has numbers beyond float64; smaller ones would fit") from None
    elif not _of_numbers(array.dtype):
        raise TconvError(f"{name} has dtype {array.dtype}; an array of numbers would fit")
    return array


def anything(name: str, value: Any) -> npt.NDArray[Any]:
    """An array of whatever values."""
    try:
        return np.asarray(value)
    except Exception as fault:  # __array__ of other libraries raises what it likes
        raise TconvError(f"{name} is not an array: {said(fault)}") from fault


def whole_numbers(name: str, value: Any) -> tuple[int, ...]:
    """A tuple or a list of ints."""
    if not isinstance(value, tuple | list):
        refuse(name, value, "a tuple of ints")
    return tuple(whole(name, entry) for entry in value)


def axes(name: str, value: Any) -> Any:
    """An int, or a tuple of ints, whose length its function knows."""
    return per_axis(name, value, len(value)) if isinstance(value, tuple | list) else whole(name, value)


def many(of: Callable[[str, Any], Any], fits: str) -> Kind:
    """A tuple or list of values."""

    def take(name: str, value: Any) -> Any:
        if not isinstance(value, tuple | list):
            refuse(name, value, fits)
        return tuple(of(f"{name}[{index}]", entry) for index, entry in enumerate(value))

    return Kind(fits, take)


def mapping(of: Callable[[str, Any], Any], fits: str) -> Kind:
    """Names with a value each."""

    def take(name: str, value: Any) -> Any:
        if not isinstance(value, Mapping):
            refuse(name, value, fits)
        for key in value:
            if not isinstance(key, str):
                raise TconvError(f"{name} has the key {shown(key)}; a name would fit")
        return {key: of(f"{name}[{shown(key)}]", entry) for key, entry in value.items()}

    return Kind(fits, take)


def _dtype(name: str, value: Any) -> np.dtype[Any]:
    """A dtype of numbers."""
    try:
        found: np.dtype[Any] = np.dtype(value)
    except Exception:  # NumPy raises every kind of error here
        refuse(name, value, "a dtype of numbers")
    if not _of_numbers(found):
        raise TconvError(f"{name}={shown(found)}; a dtype of numbers would fit")
    return found


def _spelled(name: str, value: Any) -> Geometry:
    """A problem, or its spelling."""
    if isinstance(value, str):
        return Geometry.parse(value)
    return value if isinstance(value, Geometry) else refuse(name, value, "a Geometry or its spelling")


def _path(name: str, value: Any) -> Any:
    """A path that the system can be asked for."""
    if not isinstance(value, str | os.PathLike):
        refuse(name, value, "a path")
    try:
        os.stat(value)
    except (OSError, ValueError) as fault:
        if isinstance(fault, ValueError) or fault.errno == errno.ENAMETOOLONG:
            raise TconvError(f"{name}={shown(value)}: {said(fault)}; no file has such a name") from None
    return value


def _feed(name: str, value: Any) -> Any:
    return value if isinstance(value, Mapping) else _path(name, value)


def _function(name: str, value: Any) -> Any:
    return value if callable(value) else refuse(name, value, "a function")


_INT, _ARRAY, _PATH = Kind("an int", whole), Kind("an array of numbers", numbers), Kind("a path", _path)
_STR = instance(str, "a text")
_INTS = Kind("a tuple of ints", whole_numbers)

#: Annotation -> kind of argument.
KINDS: Mapping[str, Kind] = {
    "Any": Kind("anything", as_given),
    "Array": _ARRAY,
    "Callable[[str], None]": Kind("a function", _function),
    "Geometry": instance(Geometry, "a Geometry"),
    "Geometry | str": Kind("a Geometry", _spelled),
    "Mapping[str, Any]": mapping(as_given, "a dictionary"),
    "Mapping[str, Array]": mapping(numbers, "a dictionary of arrays"),
    "Mapping[str, Sequence[int]]": mapping(whole_numbers, "a dictionary of shapes"),
    "Mapping[str, int]": mapping(whole, "a dictionary of ints"),
    "Mapping[str, tuple[int, ...]]": mapping(whole_numbers, "a dictionary of shapes"),
    "Padding": Kind("an int, one or a pair per axis", as_given),  # `padding_pairs` checks it
    "Path": Kind("a path", lambda name, value: Path(_path(name, value))),
    "PathLike[str]": _PATH,
    "PerAxis": Kind("an int or one per axis", axes),
    "Sequence[int]": _INTS,
    "Sequence[str | PathLike[str] | Mapping[str, Any]]": many(_feed, "a list of files or arrays by name"),
    "SupportsIndex": _INT,
    "bool": Kind("True or False", flag),
    "float": Kind("a number", number),
    "int": _INT,
    "ir.Model": _of_class("onnx_ir", "Model", "a model of onnx_ir"),
    "ir.Value": _of_class("onnx_ir", "Value", "a value of onnx_ir"),
    "npt.ArrayLike": _ARRAY,
    "npt.DTypeLike": Kind("a dtype", _dtype),
    "npt.NDArray[Any]": Kind("an array", anything),
    "os.PathLike[str]": _PATH,
    "str": _STR,
    "str | os.PathLike[str]": _PATH,
    "str | PathLike[str]": _PATH,
    "tuple[int, ...]": _INTS,
    "tuple[str, ...]": many(_STR.take, "a tuple of texts"),
}
