"""The same layer as a call of each framework."""

from __future__ import annotations

from collections.abc import Iterator

from tconv import conventions
from tconv.documents import Code, Item, Line, Section
from tconv.errors import TconvError
from tconv.explanation.request import Request

__all__ = ["frameworks", "reading"]


def frameworks(request: Request) -> Section:
    """A call to paste for each framework, with code around it for what the call cannot express."""
    return Section("frameworks", "The same layer elsewhere", tuple(_calls(request)))


def _calls(request: Request) -> Iterator[Item]:
    yield Line(
        "Here x and w have each framework's layout; tconv.conventions.weight_to(framework, w, geometry) "
        "converts w."
    )
    for name in conventions.FRAMEWORKS:
        try:
            call = conventions.write(name, request.geometry)
        except TconvError as refusal:
            yield Line(f"{name}: {refusal}")
        else:
            yield Code(name, call.code, call.notes)


def reading(framework: str, call: str, read: conventions.Reading) -> Section:
    """The geometry that a framework's call was read as."""
    return Section(
        "reading",
        "The call",
        (Code(framework, call), Line(f"is {read.geometry}"), *(Line(note) for note in read.notes)),
    )
