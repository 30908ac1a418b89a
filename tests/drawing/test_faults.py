"""Drawings that cannot be: too large to see, weights that do not fit, files that are none."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import tconv
from tconv.cli import main
from tconv.drawing import VIEWS, draw, load, svg
from tconv.drawing.commands import _VIEWS
from tconv.drawing.grid import number
from tconv.geometry import Geometry
from tconv.views import scatter
from tests.drawing.helpers import cells, inside, outlines, texts

SMALL = "n1 c1>1 i3x3 k3 s2"


def run(*words: object) -> int:
    """The exit status of a command line, whichever way it ends."""
    try:
        return main([str(word) for word in words])
    except SystemExit as end:
        return int(end.code or 0)


#: Words after `draw`, and what the one line on stderr must say.
WRONG = [
    (["", "--view", "stamp"], "c (channels) and"),
    (["n1 c1>1 i3x3 k0"], "kernel 0 on axis 0; it must be at least 1"),
    (["n1 c1>1 i3x3"], "k (kernel) missing"),
    (
        ["n1 c1>1 i32768x32768 k4 s2 p1"],
        "65538x65538 cells; at most 64 along an axis and 4096 in all can be shown",
    ),
    (["n1 c1>1 i32768x32768 k4 s2 p1"], "an input of at most 31x31 would fit"),
    (["n1 c1>1 i2147483647 k3", "--view", "coverage"], "an input of at most 62 would fit"),
    (
        ["n1 c1>1 i3x3 k99"],
        "101x101 cells; at most 64 along an axis and 4096 in all can be shown; a smaller",
    ),
    (["n1 c1>1 i20x20x20 k3 s2"], "an input of at most 7x7x7 would fit"),
    (["n1 c1>1 i20x20 k3 s2", "--view", "matrix"], "an input of 5x5 would fit"),
    (["n1 c1>1 i2x2 k14 s7", "--view", "phases"], "49 phases; at most 36 can be distinguished"),
    (["n1 c1>1 i1 k3 s1000000000", "--view", "phases"], "1000000000 phases; at most 36 can be distinguished"),
    (["n1 c1>1 i2x2 k70 s2", "--view", "filter"], "a filter of 70x70 taps; at most 64 along an axis"),
    (["n1 c1>1 i2x2 k5x5 s2 p1 o1", "--format", "gif", "--view", "stam"], "did you mean 'stamp'?"),
    (["n1 c1>1 i12x12 k3", "--format", "gif"], "144 steps; at most 128 can be followed; fewer inputs"),
    (
        ["n1 c1>1 i6x6 k3 s2", "--animate", "--view", "zeros"],
        "169 steps; at most 128 can be followed; fewer outputs",
    ),
    (
        ["n1 c1>1 i12x12 k1", "--animate", "--view", "matrix"],
        "144 steps; at most 128 can be followed; fewer inputs",
    ),
    (
        [SMALL, "--format", "png", "--animate"],
        "--animate with a PNG, which cannot be animated; svg or gif would fit",
    ),
    ([SMALL, "--out", "x.jpg"], "the suffix .jpg is unknown; .svg, .png or .gif would fit"),
    ([SMALL, "--out", "x.png", "--format", "svg"], "--out x.png with --format svg; .svg would fit"),
    ([SMALL, "--out", "nowhere/x.svg"], "nowhere/x.svg"),
    ([SMALL, "--out", "/"], "cannot write /: it is a folder"),
    (["n1 c1>1 i5 k3 s1000000000", "--view", "filter"], "stride 1000000000; at most 64"),
    (
        [SMALL, "--weights", "bilinear"],
        "the bilinear filter for stride 2x2 has a kernel of 4x4; k4x4 would fit",
    ),
    (["n1 c1>1 i5 k3 s1000000000", "--weights", "bilinear"], "k2000000000 would fit"),
    ([SMALL, "--weights", "bilinaer"], "did you mean 'bilinear'?"),
    ([SMALL, "--weights", "nowhere.npy"], "cannot read nowhere.npy: No such file"),
    ([SMALL, "--weights", "{cut}"], "is not a complete .npy file of numbers"),
    ([SMALL, "--weights", "{text}"], "is not a complete .npy file of numbers"),
    ([SMALL, "--weights", "{empty}"], "is not a complete .npy file of numbers"),
    ([SMALL, "--weights", "{header}"], "is not a complete .npy file of numbers"),
    ([SMALL, "--weights", "{pickle}"], "is not a complete .npy file of numbers"),
    ([SMALL, "--weights", "{many}"], "is not a complete .npy file of numbers"),
    ([SMALL, "--weights", "{nan}"], "2 of 9 weights are NaN or infinite"),
    ([SMALL, "--weights", "{complex}"], "dtype complex128; real numbers would fit"),
    ([SMALL, "--weights", "{huge}"], "weights of 1e+200; up to 1e+100 would fit"),
    ([SMALL, "--weights", "{other}"], "weights of shape (4, 4); (1, 1, 3, 3), or (3, 3) for one pair"),
    (
        [SMALL, "--weights", "{fine}", "--view", "phases"],
        "view phases shows no weights; stamp and zeros and filter",
    ),
]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Arrays that can be drawn and that cannot."""
    kernel = np.arange(9.0).reshape(3, 3)
    bad = kernel.copy()
    bad[0, :2] = np.nan, np.inf
    arrays = {
        "nan": bad,
        "complex": kernel + 1j,
        "huge": kernel * 0 + 1e200,
        "other": np.ones((4, 4)),
        "fine": kernel,
    }
    paths = {name: tmp_path / f"{name}.npy" for name in [*arrays, "cut", "text", "empty", "pickle"]}
    for name, array in arrays.items():
        np.save(paths[name], array)
    paths["cut"].write_bytes(paths["fine"].read_bytes()[:150])
    paths["header"] = tmp_path / "header.npy"
    paths["header"].write_bytes(paths["fine"].read_bytes().replace(b"{", b"(", 1))
    paths["text"].write_text("1 2 3")
    paths["empty"].write_bytes(b"")
    np.save(paths["pickle"], np.array([{}], object), allow_pickle=True)
    paths["many"] = tmp_path / "many.npz"
    np.savez(paths["many"], kernel, kernel)
    return paths


@pytest.mark.parametrize(("words", "message"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_a_fault_is_one_line_and_exit_2(
    words: list[str],
    message: str,
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert run("draw", *(word.format(**files) for word in words)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("tconv draw: ")
    assert message in captured.err
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_said_to_fit_does() -> None:
    for problem, view in (("i31x31 k4 s2 p1", "stamp"), ("i62 k3", "coverage"), ("i7x7x7 k3 s2", "coverage")):
        assert draw(Geometry.parse(f"c1>1 {problem}"), view).shapes
    assert draw(Geometry.parse("c1>1 i5x5 k3 s2"), "matrix").shapes


@pytest.mark.parametrize("view", VIEWS)
def test_the_command_writes_to_stdout_or_to_a_file(
    view: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run("draw", SMALL, "--view", view) == 0
    found = capfdbinary.readouterr()
    assert found.err == b""
    assert found.out.decode() == svg(draw(Geometry.parse(SMALL), view))
    for suffix, head in (("svg", b"<svg "), ("png", b"\x89PNG"), ("gif", b"GIF8")):
        out = tmp_path / f"x.{suffix}"
        assert run("draw", "n1 c1>1 i2 k2 s2", "--view", view, "--out", out, "--theme", "dark") == 0
        assert capfdbinary.readouterr().out.decode() == f"{out}\n"
        assert out.read_bytes().startswith(head)


def test_the_command_knows_the_views() -> None:
    assert tuple(VIEWS) == _VIEWS


def test_without_pillow_an_svg_is_drawn_and_a_png_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['PIL'] = None; from tconv.cli import main;"
        f"print(main(['draw', 'c1>1 i2 k2', '--out', r'{tmp_path / 'x.svg'}']),"
        f" main(['draw', 'c1>1 i2 k2', '--out', r'{tmp_path / 'x.png'}']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 2"
    assert "pip install 'tconv[plot]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_weights_of_the_first_pair_are_carried_through(files: dict[str, Path]) -> None:
    g = Geometry.parse("n1 c2>4 i3x3 k3 s2 g2")
    weights = np.arange(36.0).reshape(g.weight_shape) - 10
    shapes = draw(g, "stamp", weights=weights).shapes
    one = Geometry.parse("n1 c1>1 i3x3 k3 s2")
    expected = scatter(np.arange(1, 10).reshape(1, 1, 3, 3), weights[None, None, 0, 0], one)
    (frame,) = outlines(shapes, "ink")
    assert [int(cell.text) for cell in inside(shapes, frame)] == expected.ravel().tolist()
    loaded = load(str(files["fine"]), one)
    shown = [cell.text for cell in cells(draw(one, "filter", weights=loaded).shapes) if cell.text]
    assert shown == [str(n) for n in range(9)]


def test_the_filter_of_many_pairs_names_the_strongest() -> None:
    g = Geometry.parse("n1 c6>4 i64x64 k4 s2 p1 g2")
    weights = np.zeros(g.weight_shape)
    weights += np.arange(1, 13).reshape(6, 2, 1, 1)
    weights[0, 0] = 100
    drawing = draw(g, "filter", weights=weights)
    named = [text for text in texts(drawing) if " > " in text]
    assert named[0] == "0 > 0"
    assert named[-1] == "5 > 3"  # the second group's outputs are 2 and 3
    assert len(named) == 12
    assert "strongest" in " ".join(
        texts(draw(Geometry.parse("c6>4 i4x4 k2 s2"), "filter", weights=np.ones((6, 4, 2, 2))))
    )


@pytest.mark.parametrize(("stride", "images"), [("s2", 8), ("s3", 8), ("s4", 24), ("s1", 0), ("s1x2", 2)])
def test_the_wanted_band_and_the_images_of_the_stride(stride: str, images: int) -> None:
    g = Geometry.parse(f"c1>1 i3x3 k4 {stride}")
    shapes = draw(g, "filter").shapes
    bands = [frame for frame in outlines(shapes, "output.strong") if frame.width > 20]
    crosses = [
        s for s in shapes if getattr(s, "stroke", "") == "kernel.strong" and getattr(s, "dash", 1) == 0
    ]
    if not images:
        assert bands == []
        assert crosses == []
        return
    assert len(crosses) == 2 * (images + 1)  # two lines each, and one cross in the legend
    length = 260 - 4  # from -1/2 to 1/2
    assert bands[0].height / length == pytest.approx(1 / g.stride[0])
    assert bands[0].width / length == pytest.approx(1 / g.stride[1])


def test_figures_of_the_filter_are_told() -> None:
    # ones over stride 2: phases of 2 and 1 taps, so H(0) = 3 and H(1/2) = 1
    assert "at 1/2, has 0.333 of its gain" in draw(Geometry.parse("c1>1 i4 k3 s2"), "filter").description
    g = Geometry.parse("c1>1 i3x3 k4 s2 p1")
    assert "a constant stays constant" in draw(g, "filter", weights=load("bilinear", g)).description
    edge = np.array([[1.0, -1.0], [1.0, -1.0]])
    assert (
        "suppresses constants" in draw(Geometry.parse("c1>1 i3x3 k2 s2"), "filter", weights=edge).description
    )


def test_a_notebook_gets_a_drawing_and_a_table() -> None:
    geometry = Geometry.parse(SMALL)
    assert geometry._repr_svg_() == svg(draw(geometry, "stamp"))
    large = Geometry.parse("n1 c256>64 i64x64 k4 s2 p1")._repr_svg_()
    words = " ".join(ET.fromstring(large).itertext())
    assert "i4x4 k4 s2 p1" in words
    assert "The whole is n1 c256>64 i64x64 k4 s2 p1: output 128x128." in words
    assert Geometry.parse("n1 c1>1 i9x9 k99 s2")._repr_svg_() is None
    plan = tconv.plan(geometry)
    table = ET.fromstring(plan._repr_html_())
    rows = {row[0].text: row[1].text for row in table}
    assert rows["problem"] == SMALL
    assert rows["kernel"] == plan.kernel


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (-7.0, "-7"),
        (0.5625, ".562"),
        (-0.25, "-.25"),
        (0.0123, ".012"),
        (1234.5, "1.23e+03"),
        (2e9, "2e+09"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text
