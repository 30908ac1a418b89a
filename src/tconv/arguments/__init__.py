"""Arguments of public functions, checked by their annotations: a value of another kind is one line.

`checked` is for functions that are not called millions of times: it costs about a microsecond an argument.
The three maps and PyTorch's layers check on their way to a plan, which is cached.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, get_args

from tconv.arguments.kinds import KINDS, Kind, as_given, instance, numbers, refuse
from tconv.errors import TconvError, unknown

__all__ = ["checked"]

_ALTERNATIVES = re.compile(r" \| (?![^\[]*\])")  # outside of brackets

P = ParamSpec("P")
R = TypeVar("R")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose arguments are checked, and arrays among them made, as its annotations say.

    An annotation is the name of a `Kind`. Arguments that are missing or unknown stay Python's TypeError.

    Raises:
        TconvError: at a call, a value of another kind.

    >>> @checked
    ... def twice(weight: npt.ArrayLike, times: int = 2) -> Any:
    ...     return weight * times
    >>> twice([1, 2])
    array([2, 4])
    >>> twice([1, 2], times="2")
    Traceback (most recent call last):
        ...
    tconv.errors.TconvError: times='2' is a str; it must be an int
    """
    parameters = inspect.signature(function).parameters.values()
    table = [(each.name, _kind(each.annotation, function.__globals__).take) for each in parameters]
    named = dict(table)

    @functools.wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> R:
        taken = [take(name, value) for (name, take), value in zip(table, args, strict=False)]
        given = {
            name: named[name](name, value) if name in named else value for name, value in options.items()
        }
        return function(*taken, *args[len(table) :], **given)  # type: ignore[arg-type]

    return call


def _kind(annotation: Any, scope: Mapping[str, Any]) -> Kind:
    """The kind of an annotation, which `from __future__ import annotations` keeps as text."""
    if annotation is inspect.Parameter.empty:  # self
        return Kind("anything", as_given)
    if annotation in KINDS:
        return KINDS[annotation]
    if isinstance(scope.get(annotation), type):
        found = scope[annotation]
        return _arrays(found) if hasattr(found, "_fields") else instance(found, f"a {annotation}")
    if get_args(scope.get(annotation)):  # a Literal
        return _word(get_args(scope[annotation]))
    first, _, rest = annotation.rpartition(" | ")
    if rest == "None":
        kind = _kind(first, scope)
        return Kind(
            f"{kind.fits} or None", lambda name, value: None if value is None else kind.take(name, value)
        )
    alternatives = _ALTERNATIVES.split(annotation)
    if len(alternatives) > 1:
        return _any_of([_kind(alternative, scope) for alternative in alternatives])
    raise TypeError(f"no kind of argument is called {annotation!r}")


def _arrays(of: Any) -> Kind:
    """A named tuple of arrays, or a tuple of as many."""
    fits = f"a {of.__name__}"

    def take(name: str, value: Any) -> Any:
        if not isinstance(value, tuple) or len(value) != len(of._fields):
            refuse(name, value, fits)
        return of(*(numbers(f"{name}.{field}", each) for field, each in zip(of._fields, value, strict=True)))

    return Kind(fits, take)


def _any_of(kinds: list[Kind]) -> Kind:
    """A value of the first kind that takes it."""
    fits = " or ".join(kind.fits for kind in kinds)

    def take(name: str, value: Any) -> Any:
        for kind in kinds:
            with contextlib.suppress(TconvError):
                return kind.take(name, value)
        return refuse(name, value, fits)

    return Kind(fits, take)


def _word(words: tuple[str, ...]) -> Kind:
    """One of some words."""

    def take(name: str, value: Any) -> Any:
        if isinstance(value, str) and value in words:
            return value
        raise unknown(f"{name}=", value, words)

    return Kind(" or ".join(words), take)
