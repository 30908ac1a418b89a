"""`tconv bench`: what it measures, checks and prints. No test looks at how long anything takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tconv
from tconv import TconvError
from tconv.bench import turns
from tconv.bench.report import summary
from tconv.bench.turns import Result, Turns
from tconv.bench.worker import ENGINES
from tconv.cli import main
from tconv.geometry import Geometry
from tconv.testing import assert_same, integer_arrays, load_cases, read_cases
from tconv.views import scatter

QUICK = ["--turns", "1", "--seconds", "0.001", "--threads", "1"]


@pytest.fixture
def own_threads() -> Iterator[None]:
    """An engine called in this process sets its runtime's threads, and PyTorch's gradients, for good."""
    torch = pytest.importorskip("torch", reason="PyTorch, the peer, is not installed")
    before = torch.get_num_threads(), torch.is_grad_enabled(), tconv.get_num_threads()
    yield
    torch.set_num_threads(before[0])
    torch.set_grad_enabled(before[1])
    tconv.set_num_threads(before[2])


def test_all_engines_answer_alike_and_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="PyTorch, the peer, is not installed")
    peers = ["torch", "tconv-unprepared"]
    problem = "n1 c3>2 i5x4 k3 s2 p0:1x1"
    assert main(["bench", problem, "--peers", ",".join(peers), "--json", *QUICK]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["layers"][0]["problem"] == str(Geometry.parse(problem))
    assert set(record["layers"][0]["seconds"]) == {"tconv", *peers}
    assert record["layers"][0]["errors"] == {}
    assert set(record["geometric_mean"]) == set(peers)
    assert record["machine"]["threads"] == 1
    assert record["machine"]["versions"]["numpy"] == np.__version__


def test_table_names_the_machine_and_the_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--only", "gtcrn", "--peers", "tconv-unprepared", *QUICK]) == 0
    shown = capsys.readouterr().out
    assert "gtcrn_up" in shown
    assert "f32_phases_" in shown
    assert "geometric mean against tconv-unprepared" in shown


@pytest.mark.usefixtures("own_threads")
@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_is_the_definition(engine: str) -> None:
    for name, geometry in load_cases()[::7]:
        arrays = integer_arrays(geometry)
        uneven = any(lo != hi for lo, hi in geometry.padding) and any(geometry.output_padding)
        if engine == "torch" and (uneven or any(min(pair) < 0 for pair in geometry.padding)):
            with pytest.raises(TconvError, match="PyTorch cannot say"):
                ENGINES[engine](geometry, "float32", arrays, 1)
            continue
        call, note = ENGINES[engine](geometry, "float32", arrays, 1)
        expected = scatter(arrays.x, arrays.weight, geometry)
        expected += arrays.bias.reshape(-1, *(1,) * geometry.axes)
        assert_same(np.asarray(call()), expected)
        assert note, name


def test_the_suite_ships_and_parses() -> None:
    layers = read_cases((Path(turns.__file__).parent / "layers.txt").read_text(encoding="utf-8"))
    assert len(layers) >= 55
    assert dict(layers)["fcn32_up32"].kernel == (64, 64)


def test_mean_is_geometric_and_skips_what_failed() -> None:
    results = [
        Result("a", "", {"tconv": 1.0, "torch": 2.0}),
        Result("b", "", {"tconv": 1.0, "torch": 8.0}),
        Result("c", "", {"tconv": 1.0}, errors={"torch": "no"}),
    ]
    assert summary(results, ["tconv", "torch", "other"]) == {"torch": 4.0}


def test_an_earlier_run_is_printed_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "c1>1 i3 k2", "--peers", "tconv-unprepared", "--json", *QUICK]) == 0
    kept = tmp_path / "run.json"
    kept.write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["bench", "--from", str(kept)]) == 0
    shown = capsys.readouterr().out
    seconds = json.loads(kept.read_text(encoding="utf-8"))["layers"][0]["seconds"]
    assert f"{seconds['tconv'] * 1e3:.3f}" in shown
    kept.write_text("{}", encoding="utf-8")
    assert main(["bench", "--from", str(kept)]) == 2
    assert "run.json is no result" in capsys.readouterr().err


def test_what_a_peer_cannot_say_is_its_error_and_not_a_wrong_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch", reason="PyTorch, the peer, is not installed")
    assert main(["bench", "n1 c2>2 i5 k3 s3 p2:1 o1", "--json", *QUICK]) == 0
    layer = json.loads(capsys.readouterr().out)["layers"][0]
    assert set(layer["seconds"]) == {"tconv"}
    assert "PyTorch cannot say" in layer["errors"]["torch"]


def test_a_wrong_answer_is_never_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        def __init__(self, name: str, threads: int) -> None:
            self.name = name

        def ask(self, **request: Any) -> dict[str, Any]:
            assert request["do"] == "load", "timed a wrong answer"
            np.save(request["answer"], np.full(3, self.name == "torch"))
            return {"note": self.name}

        def close(self) -> None:
            pass

    monkeypatch.setattr(turns, "_Engine", Wrong)
    with (
        Turns(["tconv", "torch"], 1) as both,
        pytest.raises(TconvError, match="torch gives another answer than tconv"),
    ):
        both.measure("up", Geometry.parse("c1>1 i3 k2 s2"), "float32", 1, 0.001)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["n1 c2 i3 k2"], "c2"),
        (["--peers", "mkl"], "'mkl'"),
        (["--threads", "0"], "--threads 0"),
        (["--only", "nothing-like-it"], "'nothing-like-it'"),
        (["--suite", "no-such-file.txt"], "no-such-file.txt"),
        (["c1>1 i3 k2", "--only", "fcn"], "--only"),
    ],
)
def test_bad_words_are_named(words: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    assert named in capsys.readouterr().err
