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
