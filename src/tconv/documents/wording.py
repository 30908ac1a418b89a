"""Wording that reports share: counted nouns, and rows with the same content in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from tconv.errors import clean

__all__ = ["counted", "named", "together"]

T = TypeVar("T")


def counted(number: int, noun: str) -> str:
    """`1 finding`, `2 findings`, `no finding`.

    >>> counted(0, "layer"), counted(2, "layer")
    ('no layer', '2 layers')
    """
    return f"{number or 'no'} {noun}{'s' if number > 1 else ''}"


def named(names: Sequence[str]) -> str:
    """A few names, and how many more there are.

    >>> named(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    shown = ", ".join(clean(name, 40) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def together(
    entries: Iterable[T], name: Callable[[T], str], said: Callable[[T], Any]
) -> list[tuple[str, Any]]:
    """(names, their common content): entries with the same content are merged.

    >>> together(["up", "down", "out"], str, len)
    [('up', 2), ('down', 4), ('out', 3)]
    """
    names: dict[Any, list[str]] = {}
    for entry in entries:
        names.setdefault(said(entry), []).append(clean(name(entry)))
    return [(", ".join(of_one), told) for told, of_one in names.items()]
