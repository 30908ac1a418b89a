"""The same layer in other frameworks' words."""

from __future__ import annotations

from collections.abc import Iterator

from tconv import conventions
from tconv.documents import Code, Item, Line, Section
from tconv.errors import TconvError
from tconv.explanation.request import Request

__all__ = ["frameworks", "reading"]


def frameworks(asked: Request) -> Section:
    """A call to paste for each framework, with what it cannot say around it."""
    return Section("frameworks", "The same layer elsewhere", tuple(_calls(asked)))


def _calls(asked: Request) -> Iterator[Item]:
    yield Line(
        "Here x and w lie as each framework has them; tconv.conventions.weight_to(framework, w, geometry) "
        "lays out w."
    )
    for name in conventions.FRAMEWORKS:
        try:
            call = conventions.write(name, asked.geometry)
        except TconvError as refusal:
            yield Line(f"{name}: {refusal}")
        else:
            yield Code(name, call.code, call.notes)


def reading(framework: str, call: str, read: conventions.Reading) -> Section:
    """What a framework's call was read as."""
    return Section(
        "reading",
        "The call",
        (Code(framework, call), Line(f"is {read.geometry}"), *(Line(note) for note in read.notes)),
    )
