"""Wording that reports share: counted nouns, and rows with the same content in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tconv.errors import clean

__all__ = ["counted", "together"]

T = TypeVar("T")


def counted(number: int, noun: str) -> str:
    """`1 finding`, `2 findings`, `no finding`.

    >>> counted(0, "layer"), counted(2, "layer")
    ('no layer', '2 layers')
    """
    return f"{number or 'no'} {noun}{'s' if number > 1 else ''}"


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
