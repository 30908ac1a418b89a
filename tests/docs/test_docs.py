"""The documentation tells the truth: examples run, commands exist, made pages are current, the site builds.

`python docs/generate.py` writes the pictures and the reference of the commands anew.
"""

from __future__ import annotations

import http.server
import importlib
import importlib.util
import io
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tconv.cli import make_parser
from tconv.conventions import write
from tconv.drawing import THEMES
from tconv.geometry import Geometry
from tests import ROOT
from tests.page.helpers import browser

__all__ = ["browser"]

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
PUBLIC = (
    "tconv",
    "tconv.algebra",
    "tconv.conventions",
    "tconv.diagnosis",
    "tconv.drawing",
    "tconv.explanation",
    "tconv.filters",
    "tconv.geometry",
    "tconv.jax",
    "tconv.nets",
    "tconv.openvino",
    "tconv.page",
    "tconv.scipy",
    "tconv.testing",
    "tconv.torch",
    "tconv.views",
)

#: What an example imports, the package that it needs, and the extra that installs it.
NEEDS = (
    ("torch", "torch", "torch"),
    ("tconv.train", "nilearn", "train"),
    ("jax", "jax", "jax"),
    ("openvino", "openvino", "openvino"),
    ("tconv.scipy", "scipy", "scipy"),
)


def blocks(page: Path, language: str) -> list[str]:
    """What stands between the fences of one language, "" for those of none."""
    fenced = re.findall(r"^```(.*)\n((?s:.*?))^```$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [text for head, text in fenced if head == language]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem
)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom, as a reader would paste them."""
    monkeypatch.chdir(tmp_path)
    code = blocks(page, "python")
    for used, package, extra in NEEDS:
        if any(f"import {used}" in block or f"from {used}" in block for block in code):
            pytest.importorskip(package, reason=f"an example needs {package}; install tconv[{extra}]")
    names: dict[str, Any] = {"__name__": page.stem}
    for block in code:
        exec(compile(block, page.name, "exec"), names)


def test_the_shown_call_is_what_is_written() -> None:
    (shown,) = blocks(DOCS / "guides" / "conventions.md", "")
    layer = Geometry.parse("n1 c4>8 i5x5 k3 s2 p0:1")
    assert shown == write("pytorch", layer).code + "\n"


def test_commands_are_real() -> None:
    """Every `tconv ...` line of the pages is one that the command line takes."""
    lines = [
        line.removeprefix("$ ")
        for page in PAGES
        for language in ("sh", "console", "")
        for block in blocks(page, language)
        for line in block.splitlines()
        if line.removeprefix("$ ").startswith("tconv ")
    ]
    assert len(lines) > 30
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        assert make_parser().parse_args(words).command == words[0], line


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_is_documented(generate: ModuleType) -> None:
    written = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    assert written == generate.commands()
    for name, parser in make_parser().commands.items():
        section = written.split(f"\n## tconv {name}\n")[1].split("\n## ")[0]
        for option in parser._option_string_actions:
            assert f"`{option}" in section or option in ("-h", "--help"), (name, option)


def test_pictures_are_what_is_drawn(generate: ModuleType) -> None:
    drawn = {f"{name}.svg": generate.picture(name) for name in generate.PICTURES}
    shown = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "pictures").glob("*.svg")}
    assert shown == drawn


def test_moving_pictures_are_what_is_drawn(generate: ModuleType) -> None:
    """Every frame, but for the font; and small enough for a page."""
    from PIL import Image, ImageChops, ImageSequence, ImageStat

    files = {path.name: path for path in (DOCS / "pictures").glob("*.gif")}
    wanted = {generate.themed(name, theme): (name, theme) for name in generate.MOVING for theme in THEMES}
    assert files.keys() == wanted.keys()
    for file, path in files.items():
        assert path.stat().st_size < 300_000, file
        with Image.open(path) as shown, Image.open(io.BytesIO(generate.moving(*wanted[file]))) as drawn:
            assert (shown.n_frames, shown.size) == (drawn.n_frames, drawn.size), file
            for one, other in zip(ImageSequence.Iterator(shown), ImageSequence.Iterator(drawn), strict=True):
                off = ImageChops.difference(one.convert("RGB"), other.convert("RGB"))
                assert max(ImageStat.Stat(off).mean) < 1, f"{file}: run `python docs/generate.py`"


def test_painted_pictures_are_what_is_painted(generate: ModuleType) -> None:
    """But for the last bits of an iteration, and the font."""
    pytest.importorskip("scipy", reason="an example needs SciPy; install tconv[scipy]")
    from PIL import Image, ImageChops, ImageStat

    assert {path.stem for path in (DOCS / "pictures").glob("*.png")} == set(generate.PAINTED)
    for name in generate.PAINTED:
        painted = generate.painted(name)
        with Image.open(DOCS / "pictures" / f"{name}.png") as shown:
            assert shown.size == painted.size
            off = ImageChops.difference(shown.convert("RGBA"), painted)
        assert max(ImageStat.Stat(off).mean) < 3, "run `python docs/generate.py`"


def test_every_picture_is_shown() -> None:
    """In the documentation; a twin for the dark theme is shown by its settings."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    files = {path.name.replace("_dark.gif", ".gif") for path in (DOCS / "pictures").iterdir()}
    assert [name for name in files if f"pictures/{name})" not in text] == []


def test_moving_pictures_come_in_both_themes(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    shown = dict(re.findall(r'<img [^>]*class="only-(light|dark)[^"]*" src="_images/([^"]+)"', index))
    assert shown == {"light": "stamp_moving.gif", "dark": "stamp_moving_dark.gif"}
    assert (site / "_images" / "stamp_moving_dark.gif").is_file()


def test_every_page_is_in_the_tree() -> None:
    trees = re.findall(r"^```{toctree}\n(.*?)^```", (DOCS / "index.md").read_text(), re.DOTALL | re.MULTILINE)
    listed = [line for tree in trees for line in tree.splitlines() if not line.startswith(":")]
    pages = [page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES]
    assert sorted(listed) == [page for page in pages if page != "index"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; any warning fails it."""
    for name in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(name, reason="builds the documentation; install tconv[docs]")
    pytest.importorskip("torch", reason="the reference imports tconv.torch; install tconv[torch]")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "-b", "html"]
    command += ["-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_the_reference_holds_every_public_name(site: Path) -> None:
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as stream:
        inventory = InventoryFile.load(stream, "", lambda _, name: name)
    known = {name for kind, entries in inventory.items() if kind.startswith("py:") for name in entries}
    missing = [
        f"{module}.{name}"
        for module in PUBLIC
        for name in importlib.import_module(module).__all__
        if f"{module}.{name}" not in known and not isinstance(_public(module, name), ModuleType)
    ]
    elsewhere = {"tconv.explanation.explain", "tconv.diagnosis.diagnose", "tconv.page.Geometry"}
    assert set(missing) == elsewhere | {"tconv.geometry.Geometry"}  # documented as names of tconv


def _public(module: str, name: str) -> object:
    return getattr(importlib.import_module(module), name)


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["served", "file"])
def home(request: pytest.FixtureRequest, site: Path, address: str) -> str:
    """Where the site is opened."""
    return address if request.param == "served" else site.as_uri()


def test_the_page_is_embedded(browser: Any, home: str) -> None:
    """FCN's bilinear layer stands in the frame: 3x3 inputs, 6x6 outputs."""
    tab = browser.new_page()
    faults: list[str] = []
    tab.on("pageerror", lambda fault: faults.append(str(fault)))
    tab.goto(f"{home}/play.html")
    tab.locator("iframe.play").scroll_into_view_if_needed()
    frame = tab.frame_locator("iframe.play")
    frame.locator("#grid-y .lettering text").first.wait_for(timeout=60_000)
    assert frame.locator("#grid-y .lettering text").count() == 36
    assert frame.locator("html.embedded").count() == 1
    for theme in ("dark", "light"):
        tab.evaluate("theme => { document.body.dataset.theme = theme; }", theme)
        frame.locator(f"html[data-theme={theme}]").wait_for(timeout=60_000)
    links = tab.eval_on_selector_all("article a[href^='play/']", "a => a.map(link => link.href)")
    assert len(links) == 4
    for link in links:
        tab.goto(link)
        tab.locator("#grid-y .lettering text").first.wait_for(timeout=60_000)
    tab.close()
    assert not faults
