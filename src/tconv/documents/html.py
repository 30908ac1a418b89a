"""A document as one self-contained HTML page, which loads nothing over the network."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from tconv.documents.cells import shown
from tconv.documents.document import Document, Mark, Matrix, Strip
from tconv.documents.text import strip
from tconv.errors import TconvError, printable

if TYPE_CHECKING:
    import jinja2

__all__ = ["check", "render"]


def check() -> None:
    """Raise if no page can be made, before anything is measured for it.

    Raises:
        TconvError: Jinja2 is not installed.
    """
    _page()


def render(document: Document) -> str:
    """The page.

    Raises:
        TconvError: Jinja2 is not installed.
    """
    return _page().render(document=document, version=version("tconv"))


@cache
def _page() -> jinja2.Template:
    try:
        import jinja2
    except ModuleNotFoundError:
        raise TconvError("a page needs Jinja2, which is not installed: pip install 'tconv[html]'") from None
    room = files("tconv.documents")
    # Names are untrusted: autoescape keeps them from being HTML, `printable` from reversing the text.
    made = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    made.filters["kind"] = lambda item: type(item).__name__
    made.filters["cell"] = shown
    made.filters["matrix_lines"] = _matrix_lines
    made.tests["mark"] = lambda value: isinstance(value, Mark)
    made.globals["style"] = room.joinpath("page.css").read_text(encoding="utf-8")
    return made.from_string(room.joinpath("page.html").read_text(encoding="utf-8"))


def _matrix_lines(item: Any) -> list[str]:
    matrices = [item] if isinstance(item, Matrix) else item.matrices if isinstance(item, Strip) else ()
    return list(strip(matrices))
