"""One spelling of a problem, read and written: `n1 c256>64 i64x64 k4 s2 p1`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tconv.errors import TconvError
from tconv.geometry.normalize import shown
from tconv.geometry.options import Options

__all__ = ["GRAMMAR", "read", "write"]

GRAMMAR = (
    "n batch, c in>out, i input, k kernel, s stride, p padding (lo:hi), o output padding, d dilation, "
    "g groups, as in n1 c256>64 i64x64 k4 s2 p1"
)
_NUMBER = "[0-9]{1,12}"
_SIDES = f"-?{_NUMBER}(?::-?{_NUMBER})?"
# letter -> (option, what may follow the letter, whether it is one per axis)
_WORDS = {
    "n": ("batch", _NUMBER, False),
    "c": ("channels", f"{_NUMBER}>{_NUMBER}", False),
    "i": ("input", f"{_NUMBER}(?:x{_NUMBER})*", True),
    "k": ("kernel", f"{_NUMBER}(?:x{_NUMBER})*", True),
    "s": ("stride", f"{_NUMBER}(?:x{_NUMBER})*", True),
    "p": ("padding", f"{_SIDES}(?:x{_SIDES})*", True),
    "o": ("output_padding", f"{_NUMBER}(?:x{_NUMBER})*", True),
    "d": ("dilation", f"{_NUMBER}(?:x{_NUMBER})*", True),
    "g": ("groups", _NUMBER, False),
}


def read(text: str, defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The keyword arguments of `Geometry.make` that `text` spells; its words may come in any order.

    `defaults` may hold a batch, channels (in, out) and an input, which stand for words that are left out.
    """
    if not isinstance(text, str):
        raise TconvError(f"{shown(text)} is not a problem's spelling, which is text: {GRAMMAR}")
    found: dict[str, Any] = {}
    for word in text.split():
        name, pattern, many = _WORDS.get(word[0], ("", "", False))
        if not name or not re.fullmatch(pattern, word[1:]):
            raise TconvError(f"{shown(text)}: cannot read {shown(word)}; the words are {GRAMMAR}")
        if name in found:
            raise TconvError(f"{shown(text)}: {shown(word)} gives {name} a second time; once is enough")
        entries = [_value(entry) for entry in word[1:].split("x")]
        found[name] = entries if many else entries[0]
    found = {**(defaults or {}), **found}
    missing = [f"{letter} ({_WORDS[letter][0]})" for letter in "cik" if _WORDS[letter][0] not in found]
    if missing:
        raise TconvError(f"{shown(text)}: {' and '.join(missing)} missing; the words are {GRAMMAR}")
    found["in_channels"], found["out_channels"] = found.pop("channels")
    axes = len(found["input"])
    for name, value in found.items():
        if isinstance(value, list) and len(value) == 1:  # one number stands for every axis
            found[name] = value * axes
        elif isinstance(value, list) and len(value) != axes:
            raise TconvError(
                f"{shown(text)}: {name} has {len(value)} numbers and the input {axes}; "
                "give one, or one per axis"
            )
    return found


def _value(entry: str) -> int | tuple[int, ...]:
    numbers = tuple(int(number) for number in re.split("[:>]", entry))
    return numbers if len(numbers) == 2 else numbers[0]


def _short(entries: Sequence[object]) -> str:
    return str(entries[0]) if len(set(entries)) == 1 else "x".join(map(str, entries))


def write(geometry: Options, leave_out: str = "") -> str:
    """The spelling of `geometry` without what equals its default (n is always there) and `leave_out`."""
    g = geometry
    sides = [str(lo) if lo == hi else f"{lo}:{hi}" for lo, hi in g.padding]
    words = [
        f"n{g.batch}",
        f"c{g.in_channels}>{g.out_channels}",
        "i" + "x".join(map(str, g.input)),
        "k" + _short(g.kernel),
        "s" + _short(g.stride),
        "p" + _short(sides),
        "o" + _short(g.output_padding),
        "d" + _short(g.dilation),
        f"g{g.groups}",
    ]
    return " ".join(w for w in words if w not in ("s1", "p0", "o0", "d1", "g1") and w[0] not in leave_out)
