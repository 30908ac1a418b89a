"""Sphinx settings; `make docs` builds the site, warnings are errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.transforms import SphinxTransform

from tconv.page import Geometry, copy_to

project = "tconv"
author = copyright = "The tconv authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "tconv"
html_favicon = "../src/tconv/page/web/icon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
highlight_language = "none"  # what is not marked is printed text
smartquotes = False  # they would take --resume for a dash
autodoc_member_order = "bysource"
autodoc_typehints = "none"
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]


def _plain_asterisks(*given: Any) -> None:
    """Docstrings write (n, c_in, *input), which is not the beginning of an emphasis."""
    lines = given[-1]
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example and "``" not in line:
            lines[i] = line.replace("*", "\\*")


class _DarkTwins(SphinxTransform):
    """Beside a picture x.gif that has a twin x_dark.gif, the twin, each for its theme."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        for image in list(self.document.findall(nodes.image)):
            path = Path(image["uri"])
            twin = path.with_name(f"{path.stem}_dark{path.suffix}")
            if (Path(self.env.doc2path(self.env.docname)).parent / twin).exists():
                other = image.deepcopy()
                other["uri"] = twin.as_posix()
                image["classes"].append("only-light")
                other["classes"].append("only-dark")
                image.parent.insert(image.parent.index(image) + 1, other)


def _add_the_page(app: Any, failure: Exception | None) -> None:
    """Copy the interactive page next to the pages that show it."""
    if failure is None and app.builder.format == "html":
        shapes = ("i3x3 k4 s2 p1", "i6x6 k3 s2", "i6x6 k4 s2 p1", "i2x2x2 k3 s2")  # in play.md
        linked = [Geometry.parse(f"n1 c1>1 {shape}") for shape in shapes]
        copy_to(Path(app.outdir) / "play", linked)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _plain_asterisks)
    app.connect("build-finished", _add_the_page)
    app.add_transform(_DarkTwins)
