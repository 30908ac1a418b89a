"""The page's modules as one classic script: a browser refuses modules of a file, but runs such a script.

A module becomes a function that returns what it exports, called in the order of the imports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from graphlib import TopologicalSorter

__all__ = ["bundled"]

_IMPORT = re.compile(
    r'^import (?:\{(?P<names>[^}]+)\}|\* as (?P<whole>\w+)) from "\./(?P<module>\w+)\.js";$', re.M
)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|function|class) (\w+))", re.M)


def bundled(modules: Mapping[str, str], start: str) -> str:
    """A script that does what the module `start` does, from module name -> text.

    >>> modules = {"a": 'import { b } from "./b.js";\\nb();\\n', "b": "export const b = () => 1;\\n"}
    >>> print(bundled(modules, "a"))
    (() => {
    "use strict";
    const $b = (() => {
    const b = () => 1;
    return { b };
    })();
    const $a = (() => {
    const { b } = $b;
    b();
    return {  };
    })();
    })();
    <BLANKLINE>
    """
    needs = {name: {found["module"] for found in _IMPORT.finditer(text)} for name, text in modules.items()}
    reached, ahead = {start}, [start]
    while ahead:
        found = needs[ahead.pop()] - reached
        reached |= found
        ahead += found
    order = TopologicalSorter({name: sorted(needs[name]) for name in sorted(reached)}).static_order()
    parts = [f"const ${name} = (() => {{\n{_function(modules[name])}}})();\n" for name in order]
    return "".join(['(() => {\n"use strict";\n', *parts, "})();\n"])


def _function(text: str) -> str:
    names = _EXPORT.findall(text)
    body = _EXPORT.sub("", _IMPORT.sub(_constants, text))
    return f"{body}return {{ {', '.join(names)} }};\n"


def _constants(found: re.Match[str]) -> str:
    """An import as a declaration."""
    names = found["whole"] or "{" + found["names"].replace(" as ", ": ") + "}"
    return f"const {names} = ${found['module']};"
