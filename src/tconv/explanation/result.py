"""The result of `tconv.explain`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tconv.documents import Document, Section, data, markdown, text

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

    problem: str
    sections: tuple[Section, ...]

    def document(self) -> Document:
        """The report."""
        return Document(self.problem, self.sections)

    def __getitem__(self, name: str) -> Section:
        """The section called `name`."""
        return self.document()[name]

    def text(self) -> str:
        """For a terminal, at most 80 columns wide."""
        return text.render(self.document())

    def markdown(self) -> str:
        """Headings, tables and code blocks."""
        return markdown.render(self.document())

    def data(self) -> dict[str, Any]:
        """Lists, numbers and strings, as `--json` prints them; an infinite or missing number is None."""
        return {"problem": self.problem, "sections": data.sections(self.document())}

    __str__ = text
    __repr__ = text
    _repr_markdown_ = markdown
