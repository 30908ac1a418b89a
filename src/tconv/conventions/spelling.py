"""Numbers and options as people write them: one number where all axes agree, defaults left out."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["options", "short"]


def short(values: Sequence[int]) -> str:
    """`4` for (4, 4), `(3, 5)` for (3, 5); with one axis only the number."""
    return str(values[0]) if len(set(values)) == 1 else str(tuple(values))


def options(pairs: Sequence[tuple[str, str, str]]) -> str:
    """`, name=text` for each (name, text, default) that is not the default."""
    return "".join(f", {name}={text}" for name, text, default in pairs if text != default)
