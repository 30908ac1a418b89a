"""The pictures of guides/upsampling.md: its layers on one picture, and the grids of resizing.

`python docs/generate.py` draws them; `tests/docs/test_upsampling.py` compares the committed ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from tconv.drawing import svg
from tconv.drawing.picture import Picture
from tconv.drawing.shapes import Block, Rect, Shape, Stroke, Text, label, stacked

GUIDES = Path(__file__).parent / "guides"
PAGE = GUIDES / "upsampling.md"


def upsamplings() -> Image.Image:
    """What each layer makes of the page's picture: without weights, fitted, and with random weights."""
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n((?s:.*?))^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    for block in blocks[:2]:
        exec(compile(block, PAGE.name, "exec"), names)
    arrays = {
        part: {name: y[0, 0].numpy() for name, y in names[part].items()} for part in ("without", "learned")
    }
    rows = [
        {"original": names["picture"], **arrays["without"]},
        {"fitted:": None, **arrays["learned"]},
        {"random:": None, **_random(names)},
    ]
    return _sheet(rows)


def _random(names: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """The layers with 16 input channels, all of them the picture, and random weights."""
    torch = names["torch"]
    rng = np.random.default_rng(3)
    found = {}
    for name, (shape, layer) in names["layers"].items():
        channels = {"transposed k4": 0, "transposed k3": 0}.get(name, 1)
        wide = [*shape]
        wide[channels] = 16
        weight = torch.from_numpy(rng.uniform(-1, 1, wide))
        y = layer(names["x"].expand(1, 16, -1, -1), weight)[0, 0].numpy()
        y = y if y.mean() > 0 else -y
        inner = y[2:-2, 2:-2]
        found[name] = (y - inner.min()) / np.ptp(inner)
    return found


def _sheet(rows: list[dict[str, Any]]) -> Image.Image:
    """Panels under their names, each cell four pixels wide; the paper is transparent."""
    size, gap, line = 192, 14, 32
    columns = max(map(len, rows))
    paper = Image.new("RGBA", (columns * (size + gap) - gap, len(rows) * (size + line + gap) - gap))
    pen, font = ImageDraw.Draw(paper), ImageFont.load_default(22)
    for r, row in enumerate(rows):
        for c, (name, greys) in enumerate(row.items()):
            left, top = c * (size + gap), r * (size + line + gap)
            if greys is not None:
                pixels = np.rint(greys.clip(0, 1) * 255).astype(np.uint8)
                panel = Image.fromarray(pixels).resize((size, size), Image.Resampling.NEAREST)
                paper.paste(panel, (left, top + line))
            pen.text((left, top + 2), name, "#7a7a7a", font)
    return paper


_CELL, _TALL, _LEFT = 96, 30, 8
#: Name, who reads so, and the position of each output on the input.
_GRIDS = (
    (
        "half-pixel",
        "align_corners=False, half_pixel; transposed k2 s2, k4 s2 p1",
        [(o + 0.5) / 2 - 0.5 for o in range(8)],
    ),
    ("align_corners", "align_corners=True: the outermost samples coincide", [o * 3 / 7 for o in range(8)]),
    (
        "asymmetric",
        "asymmetric; transposed k3 s2 p1 o1: half an output cell early",
        [o / 2 for o in range(8)],
    ),
)


def grids() -> str:
    """Four input cells, and where eight outputs are read, in three conventions."""
    blocks = [_grid(*grid) for grid in _GRIDS]
    headline = "Where the outputs of an enlargement by 2 read the input"
    page = stacked(label(headline, 16), *blocks, gap=22)
    shapes, _ = page.moved(16, 16)
    return svg(
        Picture(
            title=headline,
            description="; ".join(
                f"{name}: {', '.join(f'{place:.3g}' for place in places)}" for name, _, places in _GRIDS
            ),
            width=round(page.width) + 32,
            height=round(page.height) + 32,
            shapes=shapes,
            frames=(),
        )
    )


def _grid(name: str, who: str, places: list[float]) -> Block:
    shapes: list[Shape] = []
    for i in range(4):
        left = _LEFT + i * _CELL
        shapes.append(Rect(left, 0, _CELL - 2, _TALL, "input", radius=3))
        shapes.append(Text(left + _CELL / 2 - 1, _TALL / 2, f"input {i}", 12, "input.strong"))
        centre = left + _CELL / 2 - 1
        shapes.append(Stroke(centre, _TALL, centre, _TALL + 8, "input.strong", 2))
    for o, place in enumerate(places):
        x = _LEFT + (place + 0.5) * _CELL - 1
        shapes.append(Stroke(x, _TALL + 12, x, _TALL + 24, "output.strong", 2))
        shapes.append(Rect(x - 11, _TALL + 24, 22, 20, "output", radius=3))
        shapes.append(Text(x, _TALL + 34, str(o), 12, "output.strong"))
    row = Block(4 * _CELL + 2 * _LEFT + 20, _TALL + 46, tuple(shapes))
    return stacked(label(name, 14), label(who, 12, "muted"), row, gap=5)


def write() -> None:
    """Draw both."""
    upsamplings().save(GUIDES / "upsamplings.png", optimize=True)
    (GUIDES / "grids.svg").write_text(grids(), encoding="utf-8")


if __name__ == "__main__":
    write()
