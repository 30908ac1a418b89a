"""Generate the parts of the documentation that are not written by hand: the commands and the pictures.

`python docs/generate.py` regenerates them after a change; `tests/docs/test_docs.py` compares the committed
ones.
"""

from __future__ import annotations

import argparse
import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tconv.cli import make_parser
from tconv.drawing import THEMES, Theme, draw, gif, load, svg
from tconv.geometry import Geometry

DOCS = Path(__file__).parent

#: Name -> view, problem, weights.
PICTURES = {
    "stamp": ("stamp", "n1 c1>1 i2x2 k3 s2", None),
    "zeros": ("zeros", "n1 c1>1 i3x3 k3 s2 p1", None),
    "matrix": ("matrix", "n1 c1>1 i2x2 k3", None),
    "coverage": ("coverage", "n1 c1>1 i6x6 k3 s2", None),
    "coverage_even": ("coverage", "n1 c1>1 i6x6 k4 s2", None),
    "phases": ("phases", "n1 c1>1 i3x3 k4 s2 p1", None),
    "bilinear": ("stamp", "n1 c1>1 i3x3 k4 s2 p1", "bilinear"),
    "filter": ("filter", "n1 c1>1 i5 k4 s2 p1", "bilinear"),
}

#: Name -> view, problem: a GIF for the light theme, and its twin NAME_dark for the dark one.
MOVING = {
    "stamp_moving": ("stamp", "n1 c1>1 i2x2 k3 s2 p0:1"),
    "zeros_moving": ("zeros", "n1 c1>1 i2x2 k3 s2 p0:1"),
    "phases_moving": ("phases", "n1 c1>1 i2x2 k3 s2 p0:1"),
    "matrix_moving": ("matrix", "n1 c1>1 i2x2 k3 s2 p0:1"),
}

#: Name -> the page whose examples make it, and panels in a row: `panels` maps names to greys from 0 to 1.
PAINTED = {"restoration": ("guides/restoration.md", 5), "landscape": ("guides/checkerboards.md", 2)}


def painted(name: str) -> Image.Image:
    """The panels in rows, each cell three pixels wide, under their names; the paper is transparent."""
    names: dict[str, Any] = {}
    source, across = PAINTED[name]
    page = (DOCS / source).read_text(encoding="utf-8")
    for block in re.findall(r"^```python\n((?s:.*?))^```$", page, re.MULTILINE):
        exec(compile(block, source, "exec"), names)
    panels = {"original": names["picture"][names["inner"]], **names["panels"]}
    size, gap, line = 264, 12, 34
    rows = -(-len(panels) // across)
    paper = Image.new("RGBA", (across * (size + gap) - gap, rows * (size + line)))
    pen, font = ImageDraw.Draw(paper), ImageFont.load_default(24)
    for place, (label, greys) in enumerate(panels.items()):
        left, top = place % across * (size + gap), place // across * (size + line)
        pixels = np.rint(greys.clip(0, 1) * 255).astype(np.uint8)
        paper.paste(
            Image.fromarray(pixels).resize((size, size), Image.Resampling.NEAREST), (left, top + line)
        )
        pen.text((left, top + 1), label, "#7a7a7a", font)
    return paper


def picture(name: str) -> str:
    """What `tconv draw` writes."""
    view, problem, weights = PICTURES[name]
    geometry = Geometry.parse(problem)
    return svg(draw(geometry, view, weights=None if weights is None else load(weights, geometry)))


def moving(name: str, theme: Theme) -> bytes:
    """What `tconv draw --format gif` writes."""
    view, problem = MOVING[name]
    return gif(draw(Geometry.parse(problem), view, animated=True), theme)


def themed(name: str, theme: Theme) -> str:
    """The file of a moving picture in a theme."""
    return f"{name}.gif" if theme == "light" else f"{name}_{theme}.gif"


def commands() -> str:
    """The reference of the command line, from the parsers that the commands use."""
    parts = [
        "# Commands",
        "This page is made from the parsers that the commands use. `tconv COMMAND --help` prints the same.",
        "Exit status: 0 fine, 1 findings, 2 bad usage or bad input, with one line on stderr; 130 stopped by "
        "Ctrl-C. Data goes to stdout, remarks to stderr. `--json` prints JSON.",
    ]
    for name, parser in make_parser().commands.items():
        actions = [action for action in parser._actions if action.dest != "help"]
        words = [_metavar(action) for action in actions if not action.option_strings]
        parts += [f"## tconv {name}", *_described(parser.description or "")]
        parts += [_block("text", " ".join(["tconv", name, "[options]", *words]))]
        parts += [_table(parser, actions), *_described(parser.epilog or "")]
    return "\n\n".join(parts) + "\n"


def _described(text: str) -> list[str]:
    """Text that is laid out for a terminal: examples, paragraphs, and lists by indentation."""
    result = []
    for part in filter(None, text.strip().split("\n\n")):
        title, *lines = part.splitlines()
        if title in ("example:", "more examples:"):
            result.append(_block("sh", "\n".join(line[2:] for line in lines)))
        elif any(line.startswith("  ") for line in lines):
            result.append(_block("text", part))
        else:
            result.append(_escaped(" ".join([title, *lines])))
    return result


def _escaped(text: str) -> str:
    return re.sub(r"([*_|<\[\]])", r"\\\1", text)


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def _metavar(action: argparse.Action) -> str:
    shown = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else "")
    word = " ".join(shown) if isinstance(shown, tuple) else shown or action.dest.upper()
    return {"*": f"[{word} ...]", "+": f"{word} [{word} ...]", "?": f"[{word}]"}.get(str(action.nargs), word)


def _table(parser: argparse.ArgumentParser, actions: list[argparse.Action]) -> str:
    formatter = parser._get_formatter()
    rows = ["| argument | meaning |", "|---|---|"]
    for action in actions:
        name = ", ".join(action.option_strings)
        word = "" if name and action.nargs == 0 else _metavar(action)
        shown = f"`{f'{name} {word}'.strip()}`".replace("|", "\\|")
        # The number of cores depends on the reader's machine.
        help = "of every engine (default: every core that it may use)" if action.dest == "threads" else None
        text = _escaped(help or formatter._expand_help(action) if action.help else "")
        rows.append(f"| {shown} | {text}{'; required' if action.required and name else ''} |")
    return "\n".join(rows)


def main() -> None:
    (DOCS / "reference" / "cli.md").write_text(commands(), encoding="utf-8")
    for name in PICTURES:
        (DOCS / "pictures" / f"{name}.svg").write_text(picture(name), encoding="utf-8")
    for name in MOVING:
        for theme in THEMES:
            (DOCS / "pictures" / themed(name, theme)).write_bytes(moving(name, theme))
    for name in PAINTED:
        painted(name).save(DOCS / "pictures" / f"{name}.png", optimize=True)
    runpy.run_path(str(DOCS / "upsampling_pictures.py"))["write"]()


if __name__ == "__main__":
    main()
