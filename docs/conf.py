"""Sphinx settings: the documentation is the README, the architecture and the reference of the public face."""

from __future__ import annotations

project = "tconv"
author = "The tconv authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "tconv"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
myst_heading_anchors = 3
# README and ARCHITECTURE link to files of the repository, which the built pages do not hold.
suppress_warnings = ["myst.xref_missing"]


def _plain_asterisks(*given: object) -> None:
    """Docstrings write (n, c_in, *input), which is not the beginning of an emphasis."""
    lines = given[-1]
    assert isinstance(lines, list)
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example and "``" not in line:
            lines[i] = line.replace("*", "\\*")


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _plain_asterisks)  # type: ignore[attr-defined]
