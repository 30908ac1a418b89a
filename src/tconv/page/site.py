"""The files of the page, and its links."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from urllib.parse import quote_plus

from tconv.errors import TconvError
from tconv.files import make_folder, write_aside
from tconv.geometry import Geometry
from tconv.page.bundle import bundled
from tconv.page.calls import calls

__all__ = ["copy_to", "fragment", "site"]


def site() -> dict[str, bytes]:
    """Path -> content of every file of the page; `index.html` is the start, `page.js` all modules in one.

    >>> site()["index.html"][:15]
    b'<!doctype html>'
    """
    found = dict(_files(files("tconv.page").joinpath("web"), ""))
    modules = {name[:-3]: text.decode() for name, text in found.items() if name.endswith(".js")}
    return found | {"page.js": bundled(modules, "main").encode()}


def _files(folder: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_file():
            yield path + entry.name, entry.read_bytes()
        else:
            yield from _files(entry, f"{path}{entry.name}/")


def copy_to(folder: Path, problems: Iterable[Geometry] = ()) -> list[Path]:
    """Write the page's files into `folder`, which may be new, empty or an older copy, and return their paths.

    The copy runs from any static host and from a file.  Neither computes anything, so its `page.js` holds the
    frameworks' calls of the page's examples and of `problems`.  For any other problem the page names the
    command that prints them.

    Raises `TconvError` if the folder holds anything else, so that no other index.html is overwritten.
    """
    wanted = site()
    examples = re.findall(r'data-problem="([^"]*)"', wanted["index.html"].decode())
    known = calls([*map(Geometry.parse, examples), *problems])
    wanted["page.js"] = b"globalThis.tconvCalls = " + known + b";\n" + wanted["page.js"]
    if folder.exists() and not folder.is_dir():
        raise TconvError(f"--out {folder} is a file; a folder that is new or empty would fit")
    if folder.is_dir():
        there = {entry.name for entry in folder.iterdir()}
        if there and not {"index.html", "geometry.js", "page.css"} <= there:
            raise TconvError(
                f"--out {folder} holds other files, such as {min(there)!r}; "
                "a folder that is new, empty or an older copy of the page would fit"
            )
    for name, content in wanted.items():
        make_folder((folder / name).parent)
        with write_aside(folder / name) as file:
            file.write(content)
    return sorted(folder / name for name in wanted)


def fragment(geometry: Geometry | None) -> str:
    """The fragment of the page's address that opens `geometry`: its spelling, with `+` for spaces."""
    return "" if geometry is None else "#" + quote_plus(str(geometry), safe=":")
