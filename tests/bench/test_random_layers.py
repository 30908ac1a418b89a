"""`tconv bench --random`: which layers a seed gives, and what is printed of them."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import pytest

from tconv.bench.random_layers import draw
from tconv.cli import main
from tconv.testing import read_cases

QUICK = ["--turns", "1", "--seconds", "0.001", "--threads", "1", "--peers", "tconv-unprepared"]


def test_a_seed_gives_the_same_layers_everywhere() -> None:
    """Literally, on every version of Python and every system."""
    assert [(name, str(layer)) for name, layer in draw(8, seed=7)] == [
        ("r000", "n1 c64>8 i58x60 k3x7 s1x4 p1 g4"),
        ("r001", "n1 c512>24 i214 k4 s4"),
        ("r002", "n2 c96>8 i8x11 k5 s2 p1 o1"),
        ("r003", "n1 c12>24 i59x91 k10 s5"),
        ("r004", "n1 c128>64 i13x12 k3x5 s1x3 p1"),
        ("r005", "n4 c1>48 i88x95 k5 s3 p2 o1"),
        ("r006", "n1 c192>192 i12000 k3 s2 g192"),
        ("r007", "n2 c32>8 i2x2x2 k11 s5 p2"),
    ]
    assert draw(3, seed=7) == draw(8, seed=7)[:3]
    assert [layer for _, layer in draw(8, seed=8)] != [layer for _, layer in draw(8, seed=7)]


def test_layers_are_of_every_kind_and_none_is_huge() -> None:
    layers = [layer for _, layer in draw(1000, seed=3)]
    assert {layer.axes for layer in layers} == {1, 2, 3}
    for kind in (
        lambda g: g.groups == 1,
        lambda g: 1 < g.groups < g.in_channels,
        lambda g: 1 < g.groups == g.in_channels == g.out_channels,
        lambda g: any(g.output_padding),
        lambda g: g.batch > 1,
        lambda g: any(map(any, g.padding)),
        lambda g: len(set(g.stride)) > 1,
        lambda g: any(k % s for k, s in zip(g.kernel, g.stride, strict=True)),
    ):
        assert 20 < sum(map(kind, layers)) < 980
    for shape in ("input_shape", "weight_shape", "output_shape"):
        assert max(prod(getattr(layer, shape)) for layer in layers) < 1 << 26
    assert len({str(layer) for layer in layers}) > 990


def test_a_list_can_be_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--random", "5", "--seed", "2", "--list"]) == 0
    kept = tmp_path / "kept.txt"
    kept.write_text(capsys.readouterr().out, encoding="utf-8")
    assert read_cases(kept.read_text(encoding="utf-8")) == draw(5, seed=2)
    assert main(["bench", "--suite", str(kept), "--only", "r003", "--list", "--json"]) == 0
    (layer,) = json.loads(capsys.readouterr().out)
    assert layer == {"name": "r003", "problem": str(draw(4, seed=2)[-1][1])}


def test_a_run_says_how_its_layers_were_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--random", "3", "--seed", "7", "--only", "r002", "--json", *QUICK]) == 0
    kept = tmp_path / "run.json"
    kept.write_text(capsys.readouterr().out, encoding="utf-8")
    record = json.loads(kept.read_text(encoding="utf-8"))
    assert (record["machine"]["random"], record["machine"]["seed"]) == (3, 7)
    assert [layer["problem"] for layer in record["layers"]] == [str(draw(3, seed=7)[-1][1])]
    assert main(["bench", "--from", str(kept)]) == 0
    assert "1 of the 3 layers drawn at random with seed 7" in capsys.readouterr().out
