"""Options of the commands that read a model: --layer NAME[=PROBLEM] and --input [NAME=]SHAPE."""

from __future__ import annotations

import re

from tconv.errors import TconvError

__all__ = ["layer", "shape", "sizes_of"]


def layer(entry: str) -> tuple[str, str | None]:
    """The name and, if there is one, the problem of `--layer`.

    Raises:
        TconvError: neither.

    >>> layer("up.0=n1 c1>1 i3 k2")
    ('up.0', 'n1 c1>1 i3 k2')
    """
    name, equals, problem = entry.partition("=")
    if not name or (equals and not problem.strip()):
        raise TconvError(f"--layer {entry!r}: NAME or NAME=PROBLEM would fit")
    return name, problem if equals else None


def shape(entry: str) -> tuple[str, tuple[int, ...]]:
    """The name, or "", and the sizes of `--input`.

    Raises:
        TconvError: they are no sizes.

    >>> shape("x=1x3x64x64")
    ('x', (1, 3, 64, 64))
    """
    name, _, sizes = entry.rpartition("=")
    return name, sizes_of("--input", sizes)


def sizes_of(option: str, text: str) -> tuple[int, ...]:
    """Sizes such as 57x57.

    Raises:
        TconvError: they are no sizes.
    """
    if not re.fullmatch(r"[0-9]{1,9}(x[0-9]{1,9})*", text) or "0" in text.split("x"):
        raise TconvError(f"{option} {text!r}: sizes such as 57x57 would fit")
    return tuple(int(size) for size in text.split("x"))
