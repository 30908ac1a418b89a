"""The result of `tconv.explain` and of `tconv.explanation.explain_stack`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tconv.documents import Document, Section, data, html, markdown, text

__all__ = ["Explanation"]


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """The result of `tconv.explain`; it prints as text, and as Markdown in a notebook.

    >>> import tconv
    >>> explained = tconv.explain(tconv.Geometry.parse("n1 c1>1 i3 k3 s2"), only=["size"])
    >>> [section.name for section in explained.sections]
    ['size']
    >>> explained["size"].table("shapes").records()[-1]
    {'array': 'output', 'shape': (1, 1, 7), 'axes': 'batch, channels, axis 0'}
    """

    problem: str  #: of several layers in a row, their problems with bars between them
    sections: tuple[Section, ...]
    title: str = ""  #: of the report, the problem if empty

    def document(self) -> Document:
        """The report."""
        return Document(self.title or self.problem, self.sections)

    def __getitem__(self, name: str) -> Section:
        """The section called `name`."""
        return self.document()[name]

    def text(self) -> str:
        """For a terminal, at most 80 columns wide."""
        return text.render(self.document())

    def markdown(self) -> str:
        """Headings, tables and code blocks."""
        return markdown.render(self.document())

    def html(self) -> str:
        """A self-contained page; it needs Jinja2 (`tconv[html]`), without which `TconvError` is raised."""
        return html.render(self.document())

    def data(self) -> dict[str, Any]:
        """Lists, numbers and strings, as `--json` prints them; an infinite or missing number is None."""
        return {"problem": self.problem, "sections": data.sections(self.document())}

    __str__ = text
    __repr__ = text
    _repr_markdown_ = markdown
