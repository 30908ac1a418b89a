"""Text that came out of a file, made fit for one line of a terminal."""

from __future__ import annotations

__all__ = ["clean", "said"]


def clean(text: object, longest: int = 80) -> str:
    """A name as it can be shown: control characters as escapes, the middle of a long one left out.

    >>> clean("up\\x1b[2J"), len(clean("a" * 500))
    ('up\\\\x1b[2J', 80)
    """
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in str(text)
    )
    half = (longest - 3) // 2
    return shown if len(shown) <= longest else f"{shown[:half]}...{shown[3 + half - longest :]}"


def said(fault: BaseException | str) -> str:
    """The first line of what an error says, or of what lies behind it; its class where it says nothing."""
    while isinstance(fault, BaseException) and fault.__cause__ is not None:
        fault = fault.__cause__
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    lines = [line for line in str(fault).splitlines() if line.strip()]
    name = type(fault).__name__ if isinstance(fault, BaseException) else ""
    text = lines[0] if lines else name
    return "".join(c if c.isprintable() else "?" for c in text)[:200]
