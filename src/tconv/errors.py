"""The one error class, and how its line is worded: unknown names, names from outside, what others say."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["TconvError", "clean", "printable", "said", "unknown"]

_MOST = 12  # known names that are listed


class TconvError(ValueError):
    """A request that cannot be fulfilled: what was asked, what is wrong with it, and what would fit.

    The message is always one line, so that a command can print it unchanged.
    """


def unknown(what: str, name: object, known: Iterable[str], also: str = "") -> TconvError:
    """The error for a name that is not among those `known`; `also` goes on after "is unknown".

    >>> unknown("filter", "bilinaer", ["nearest", "bilinear"])
    TconvError("filter 'bilinaer' is unknown; did you mean 'bilinear'?")
    >>> print(unknown("layout=", "NHWC", ["channels_first", "channels_last"]))
    layout='NHWC' is unknown; channels_first, channels_last would fit
    """
    asked, names = " ".join(repr(name).split()), list(known)
    asked = asked if len(asked) <= 60 else f"{asked[:57]}..."
    near = get_close_matches(str(name)[:200], names, 1)
    more = f" and {len(names) - _MOST:,} more" if len(names) > _MOST else ""
    fits = f"{', '.join(map(clean, names[:_MOST]))}{more} would fit" if names else "there is none"
    fits = f"did you mean {near[0]!r}?" if near else fits
    return TconvError(f"{what}{' ' * what[-1:].isalnum()}{asked} is unknown{also}; {fits}")


def printable(text: object) -> str:
    """A text that a terminal shows and does not obey: control, format and bidi characters as escapes.

    >>> printable("up\\x1b[2J\\u202e")
    'up\\\\x1b[2J\\\\u202e'
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in shown
    )


def clean(text: object, longest: int = 80) -> str:
    """A name from outside for one line: `printable`, and the middle of a long one left out.

    >>> clean("up\\x1b[2J"), len(clean("a" * 500))
    ('up\\\\x1b[2J', 80)
    """
    shown = printable(text)
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
    return printable(lines[0] if lines else name)[:200]
