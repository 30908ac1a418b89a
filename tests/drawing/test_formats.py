"""SVG, PNG and GIF of drawings: valid, told in words, in both themes, and the same picture."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tconv.drawing import THEMES, VIEWS, Picture, draw, gif, png, svg
from tconv.drawing.palette import STEPS, colour
from tconv.drawing.shapes import Polygon, Rect, Shape, Stroke, Text, width_of
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.testing import load_cases
from tconv.views import scatter
from tests.drawing.helpers import cells, inside, outlines

SVG = "{http://www.w3.org/2000/svg}"
SMALL = Geometry.parse("n1 c1>1 i2x2 k3 s2 p0:1")


def corners(shape: Shape) -> list[tuple[float, float]]:
    """The extent of a shape; letters by the estimate of their width."""
    match shape:
        case Rect():
            return [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]
        case Stroke():
            return [(shape.x1, shape.y1), (shape.x2, shape.y2)]
        case Polygon():
            return list(shape.points)
        case Text():
            wide = width_of(shape.text, shape.size)
            left = shape.x - {"start": 0.0, "middle": wide / 2, "end": wide}[shape.anchor]
            return [(left, shape.y - shape.size / 2), (left + wide, shape.y + shape.size / 2)]


@pytest.mark.parametrize("view", VIEWS)
def test_every_case_is_drawn_within_its_paper_or_refused_in_one_line(view: str) -> None:
    drawn, refused = 0, []
    for name, geometry in load_cases():
        try:
            picture = draw(geometry, view)
        except TconvError as fault:
            refused.append(str(fault))
            continue
        drawn += 1
        for shape in picture.shapes:
            for x, y in corners(shape):
                assert -1 <= x <= picture.width + 1, (name, shape)
                assert -1 <= y <= picture.height + 1, (name, shape)
            if isinstance(shape, Text):
                assert shape.text.isascii(), name
                assert shape.text, name
        text = svg(picture)
        root = ET.fromstring(text)
        assert root.find(f"{SVG}title").text.startswith(str(geometry))
        assert root.find(f"{SVG}desc").text == picture.description
        assert re.search(r'"-?(nan|inf)|>-?(nan|inf)<', text) is None
    assert drawn > 60
    assert [told for told in refused if "\n" in told or "would fit" not in told] == []


def test_an_svg_says_what_it_is_to_a_screen_reader_and_carries_no_script() -> None:
    text = svg(draw(SMALL, "stamp", animated=True))
    root = ET.fromstring(text)
    named = {element.get("id") for element in root.iter() if element.get("id")}
    assert root.get("role") == "img"
    assert set(root.get("aria-labelledby").split()) == named
    assert "script" not in text
    assert "href" not in text
    assert text == svg(draw(SMALL, "stamp", animated=True))


def test_names_in_two_drawings_of_one_page_do_not_meet() -> None:
    one, other = (
        set(re.findall(r'id="([^"]+)"', svg(draw(Geometry.parse(p))))) for p in ("c1>1 i2 k2", "c1>1 i2 k3")
    )
    assert len(one) == len(other) == 2
    assert not one & other


@pytest.mark.parametrize("view", VIEWS)
def test_without_a_theme_an_svg_holds_both(view: str) -> None:
    picture = draw(Geometry.parse("c1>1 i3x3 k3 s2 p1"), view)
    texts = {theme: svg(picture, theme) for theme in THEMES}
    both = ET.fromstring(svg(picture))
    rules = dict(
        re.findall(r"\.((?:fill|stroke)-[\w-]+)\{(?:fill|stroke):(#\w{6})\}", both.find(f"{SVG}style").text)
    )
    assert all("<style>" not in text for text in texts.values())
    shapes = {
        theme: [e for e in ET.fromstring(text)[2:] if e.tag != f"{SVG}style"] for theme, text in texts.items()
    }
    drawn = [e for e in both[2:] if e.tag != f"{SVG}style"]
    assert len(drawn) == len(shapes["light"]) == len(shapes["dark"])
    for mixed, light, dark in zip(drawn, shapes["light"], shapes["dark"], strict=True):
        for role in ("fill", "stroke"):
            assert mixed.get(role) == light.get(role)
            found = [name for name in mixed.get("class", "").split() if name.startswith(role)]
            expected = dark.get(role)
            assert [rules[name] for name in found] == ([expected] if expected not in (None, "none") else [])


def luminance(shown: str) -> float:
    parts = [int(shown[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("theme", THEMES)
def test_letters_can_be_read_on_their_ground(theme: str) -> None:
    fills = [
        "cell",
        "blank",
        "input",
        "kernel",
        "output",
        "both",
        "paper",
        *(f"hue.{d}" for d in range(0, 360, 10)),
    ]
    pairs = [("ink", fill, 7.0) for fill in fills] + [("muted", fill, 4.0) for fill in fills[:7]]
    pairs += [("paper", f"{name}.strong", 4.5) for name in ("input", "kernel", "output", "both")]
    pairs += [("paper", f"hue.{d}.strong", 4.5) for d in range(0, 360, 10)]
    pairs += [(f"on.heat.{n}", f"heat.{n}", 3.9) for n in range(STEPS + 1)]
    pairs += [(f"on.signed.{n}", f"signed.{n}", 3.9) for n in range(-STEPS // 2, STEPS // 2 + 1)]
    for letters, ground, least in pairs:
        low, high = sorted(luminance(colour(name, theme)) for name in (letters, ground))
        assert (high + 0.05) / (low + 0.05) >= least, (letters, ground)


def test_numbers_in_an_svg_are_short_and_shapes_become_elements() -> None:
    shapes = (
        Rect(1 / 3, 2, 4, 5, "cell", "ink", 1.5, 2),
        Stroke(0, 0, 1e-9, 7, "hatch", 1, 4),
        Polygon(((0, 0), (1, 1)), None, "ink"),
        Text(3, 5, "a<b & c", 10, "ink", "end"),
    )
    text = svg(Picture('say "t"', "<d>", 10, 20, shapes), "light")
    rect, line, polygon, letters = list(ET.fromstring(text))[3:]
    assert (rect.get("x"), rect.get("rx"), rect.get("stroke-width")) == ("0.33", "2", "1.5")
    assert (line.get("x2"), line.get("y2"), line.get("stroke-dasharray")) == ("0", "7", "4")
    assert (polygon.tag, polygon.get("points"), polygon.get("fill")) == (f"{SVG}polyline", "0,0 1,1", "none")
    assert (letters.text, letters.get("text-anchor"), letters.get("y")) == ("a<b & c", "end", "8.6")


def pixels(data: bytes) -> np.ndarray:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    return np.asarray(image.open(io.BytesIO(data)).convert("RGB"))


def rgb(name: str, theme: str) -> list[int]:
    return [int(colour(name, theme)[i : i + 2], 16) for i in (1, 3, 5)]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("scale", [1, 2])
def test_a_png_has_each_cell_in_its_colour(theme: str, scale: float) -> None:
    picture = draw(SMALL, "coverage")
    found = pixels(png(picture, theme, scale))
    assert found.shape == (picture.height * scale, picture.width * scale, 3)
    assert found[1, 1].tolist() == rgb("paper", theme)
    shown = cells(picture.shapes)
    assert len({cell.fill for cell in shown}) > 2
    for cell in shown:
        x, y = cell.x, cell.y - 0.38 * cell.size  # above the letters
        assert found[round(scale * y), round(scale * x)].tolist() == rgb(cell.fill, theme), cell


def test_a_png_has_letters_lines_and_dashes() -> None:
    shapes = (
        Text(50, 30, "8", 40, "ink"),
        Stroke(0, 70, 100, 70, "muted", 4, 10),
        Polygon(((10, 80), (90, 80), (90, 95), (10, 95)), "output"),
        Rect(60, 5, 30, 20, None, "ink", 4),
    )
    found = pixels(png(Picture("t", "d", 100, 100, shapes), "light", 1))
    dark = np.all(found == rgb("ink", "light"), axis=-1)
    rows = np.flatnonzero(dark[:, 35:58].any(1))
    assert 10 <= rows[0] <= 18  # capital letters of 40 are about 29 high, their middle at 30
    assert 42 <= rows[-1] <= 48
    assert found[70, 5].tolist() == rgb("muted", "light")
    assert found[70, 15].tolist() == rgb("paper", "light")
    assert found[88, 50].tolist() == rgb("output", "light")
    assert dark[4, 75]  # a line lies half outside its rectangle
    assert dark[6, 75]
    assert not dark[8, 75]


@pytest.mark.parametrize(
    ("view", "steps"), [("stamp", 4), ("zeros", 16), ("phases", 4), ("matrix", 4), ("coverage", 0)]
)
def test_a_gif_has_a_frame_a_step_and_the_whole_in_the_end(view: str, steps: int) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    picture = draw(SMALL, view, animated=True)
    data = image.open(io.BytesIO(gif(picture)))
    assert data.n_frames == len(picture.frames) + (not picture.frames)
    assert data.n_frames == (steps + 1 if steps else 1)
    assert data.size == (picture.width, picture.height)
    if steps:
        assert data.info["loop"] == 0
        data.seek(0)
        first = data.info["duration"]
        data.seek(steps)
        assert data.info["duration"] > first > 0


@pytest.mark.parametrize("theme", THEMES)
def test_frames_of_a_gif_show_the_stamp_where_it_lands(theme: str) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    picture = draw(SMALL, "stamp", animated=True)
    data = image.open(io.BytesIO(gif(picture, theme)))
    x, w = np.arange(1, 5).reshape(1, 1, 2, 2), np.arange(1, 10).reshape(1, 1, 3, 3)
    for n, frame in enumerate(picture.frames):
        (output,) = outlines(frame, "ink")
        shown = inside(frame, output)
        landed = x * (np.arange(4) <= n).reshape(x.shape)
        assert [int(cell.text) for cell in shown] == scatter(landed, w, SMALL).ravel().tolist()
        data.seek(n)
        found = np.asarray(data.convert("RGB"))
        for cell in shown:
            assert found[round(cell.y - 0.36 * cell.size), round(cell.x)].tolist() == rgb(cell.fill, theme)
        if n < 4:
            rows, columns = divmod(n, 2)
            (window,) = outlines(frame, "input.strong")
            assert (window.x - output.x, window.y - output.y) == (columns * 2 * 30, rows * 2 * 30)


def test_an_animated_svg_ends_with_the_whole_for_who_wants_no_motion() -> None:
    picture = draw(SMALL, "stamp", animated=True)
    root = ET.fromstring(svg(picture))
    frames = root.findall(f"{SVG}g")
    assert [frame.get("visibility") for frame in frames] == ["hidden"] * 4 + ["visible"]
    style = root.find(f"{SVG}style").text
    assert "prefers-reduced-motion:no-preference" in style
    assert "0%{visibility:visible}20%,100%{visibility:hidden}" in style
    assert [frame.get("style") for frame in frames][:2] == ["animation-delay:0s", "animation-delay:0.7s"]
