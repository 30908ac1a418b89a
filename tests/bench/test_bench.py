"""`tconv bench`: what it checks, prints and refuses. No test looks at how long anything takes."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tconv.bench import commands, report, turns
from tconv.bench.report import Record, summary, table
from tconv.bench.turns import Result
from tconv.cli import main, make_parser
from tconv.geometry import Geometry
from tconv.testing import read_cases

QUICK = ["--turns", "1", "--seconds", "0.001", "--threads", "1"]
NO_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch, the peer, is not installed")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["bench", *words, "--json", *QUICK]) == 0
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    return record


@NO_TORCH
def test_all_engines_answer_alike_and_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    peers = ["torch", "tconv-unprepared"]
    problem = "n1 c3>2 i5x4 k3 s2 p0:1x1"
    record = run(capsys, problem, "--peers", ",".join(peers))
    layer = record["layers"][0]
    assert layer["problem"] == str(Geometry.parse(problem))
    assert set(layer["seconds"]) == {"tconv", *peers}
    assert layer["errors"] == {}
    assert layer["roof"] > 0
    assert {name: len(each) for name, each in layer["by_turn"].items()} == dict.fromkeys(layer["seconds"], 1)
    assert record["too_noisy"] == []  # one turn has no spread
    assert set(record["geometric_mean"]) == set(peers)
    facts = record["machine"]
    assert facts["threads"] == 1
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["roofs"]["gflops"] > 0
    assert facts["roofs"]["gbytes"] > 0


def test_table_names_the_machine_the_kernel_and_the_roof(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--only", "gtcrn", "--peers", "tconv-unprepared", *QUICK]) == 0
    shown = capsys.readouterr().out
    assert "gtcrn_up" in shown
    assert "f32_phases_" in shown
    assert "geometric mean against tconv-unprepared" in shown
    assert "Gflop/s" in shown
    assert "| roof" in shown


def test_the_suite_ships_and_parses() -> None:
    layers = read_cases((Path(turns.__file__).parent / "layers.txt").read_text(encoding="utf-8"))
    assert len(layers) >= 55
    assert dict(layers)["fcn32_up32"].kernel == (64, 64)


def test_means_are_geometric_and_the_best_peer_is_each_layer_s() -> None:
    results = [
        Result("a", "", {"tconv": 1.0, "torch": 2.0, "jax": 8.0}),
        Result("b", "", {"tconv": 1.0, "torch": 8.0, "jax": 0.5}),
        Result("c", "", {"tconv": 1.0}, errors={"torch": "no"}),
    ]
    assert summary(results, ["tconv", "torch", "other"]) == {"torch": 4.0, "best peer": 1.0}
    assert summary(results, ["tconv", "tconv-plain", "jax"]) == {"jax": 2.0}
    facts = {"cpu": "c", "instruction_set": "i", "threads": 2, "dtype": "float32", "versions": {}}
    shown = table(Record(facts, ["tconv", "torch", "jax"], results))
    assert "against the best peer of each layer: 1.00 times as fast (1 of 2 layers slower)" in shown
    assert "torch has no time for c: no" in shown
    assert "behind a peer: b 0.50 (jax)" in shown
    assert "behind" not in table(Record(facts, ["tconv", "torch"], results[:1]))


def test_an_earlier_run_is_printed_and_drawn_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "c1>1 i3 k2", "--peers", "tconv-unprepared", "--json", *QUICK]) == 0
    kept = tmp_path / "run.json"
    kept.write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["bench", "--from", str(kept)]) == 0
    shown = capsys.readouterr().out
    record = json.loads(kept.read_text(encoding="utf-8"))
    assert f"{record['layers'][0]['seconds']['tconv'] * 1e3:.3f}" in shown
    assert main(["bench", "--from", str(kept), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == record
    kept.write_text("{}", encoding="utf-8")
    assert main(["bench", "--from", str(kept)]) == 2
    assert "run.json is not a result" in capsys.readouterr().err


def test_a_chart_shows_every_layer_and_the_best_peer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, which draws, is not installed")
    facts = {"cpu": "c", "instruction_set": "i", "threads": 2, "dtype": "float32", "versions": {"jax": "7"}}
    results = [
        Result("layer_one", "", {"tconv": 1.0, "torch": 4.0, "jax": 2.5}),
        Result("layer_two", "", {"tconv": 1.0}),
    ]
    kept, first, second = (tmp_path / name for name in ("run.json", "one.svg", "two.svg"))
    kept.write_text(json.dumps(Record(facts, ["tconv", "torch", "jax"], results).as_json()))
    for path in (first, second):
        assert main(["bench", "--from", str(kept), "--chart", str(path)]) == 0
    drawn = first.read_text(encoding="utf-8")
    assert drawn == second.read_text(encoding="utf-8")
    assert "layer_one" in drawn
    assert "layer_two" not in drawn
    assert "2.5" in drawn
    assert "fastest peer: jax 7" in drawn
    assert main(["bench", "--from", str(kept), "--chart", str(tmp_path / "one.png")]) == 0
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    kept.write_text(json.dumps(Record(facts, ["tconv"], results[1:]).as_json()))
    capsys.readouterr()
    assert main(["bench", "--from", str(kept), "--chart", str(first)]) == 2
    assert "no layer has times" in capsys.readouterr().err


FACTS = {"cpu": "c", "instruction_set": "i", "threads": 2, "dtype": "float32", "versions": {}}


def turned(name: str, ours: list[float], **theirs: list[float]) -> Result:
    by_turn = {"tconv": ours, **theirs}
    return Result(name, "", {key: statistics.median(each) for key, each in by_turn.items()}, by_turn=by_turn)


def test_a_spread_stands_beside_each_ratio() -> None:
    results = [
        turned("quiet", [1.0] * 5, torch=[2.0, 2.1, 2.05, 2.2, 1.9]),
        turned("loaded", [1.0, 5.0, 1.0, 1.2, 1.0], torch=[2.0, 2.0, 9.0, 700.0, 2.0]),
        Result("old", "", {"tconv": 1.0, "torch": 3.0}),
    ]
    shown = table(Record({**FACTS, "busy": 0.93}, ["tconv", "torch"], results))
    assert re.search(r"quiet .* 2\.05 \(2\.00-2\.10\)", shown)
    assert re.search(r"loaded .* 2\.00 \(2\.00-9\.00\)", shown)
    assert re.search(r"old .* 3\.00 +\|", shown)
    (warned,) = [line for line in shown.splitlines() if line.startswith("warning")]
    assert warned.startswith("warning: the machine was 93% busy before this run; too noisy to tell: loaded, ")
    assert "warning" not in table(
        Record({**FACTS, "busy": 0.02}, ["tconv", "torch"], [*results[:1], results[2]])
    )


def test_a_median_outside_its_own_quartiles_is_too_noisy() -> None:
    """It is of all calls, and a quiet turn has more of them."""
    result = turned("up", [1.0] * 5, torch=[2.0] * 5)
    result.seconds["torch"] = 881.7
    record = Record(FACTS, ["tconv", "torch"], [result])
    assert "881.70 (2.00-2.00)" in table(record)
    assert "warning: too noisy to tell: up, whose turns" in table(record)
    assert record.as_json()["too_noisy"] == ["up"]


def test_several_peers_have_the_spread_of_the_best() -> None:
    result = turned("up", [1.0] * 3, torch=[3.0, 3.0, 3.3], jax=[2.0, 2.2, 2.1])
    assert "| jax       | 2.10 (2.00-2.20) |" in table(Record(FACTS, ["tconv", "torch", "jax"], [result]))


def test_how_busy_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Linux counts: user, nice, system, idle, iowait, irq, softirq, steal, and guests, which user has."""
    lines = ["cpu 100 0 50 800 50 0 0 0 70 0", "cpu 130 10 60 840 60 0 0 10 95 0"]
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: lines.pop(0) + "\ncpu0 1")
    assert report.busy(0) == pytest.approx(60 / 110, abs=1e-3)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "nothing like it")
    assert report.busy(0) is None


def test_options_reach_the_engines(capsys: pytest.CaptureFixture[str]) -> None:
    record = run(capsys, "c2>3 i4x4 k3 s2", "--peers", "", "--unprepared", "--isa", "baseline")
    assert record["engines"] == ["tconv-unprepared"]
    assert record["layers"][0]["notes"]["tconv-unprepared"].endswith("__baseline")
    assert record["machine"]["instruction_set"] == "baseline"
    record = run(capsys, "c2>3 i4 k3", "--peers", "", "--activation", "clamp:0:6", "--new-lengths")
    assert list(record["layers"][0]["seconds"]) == ["tconv", "tconv-plain", "tconv-separate"]
    assert record["machine"]["activation"] == ["clamp", 0, 6]
    assert record["machine"]["new_lengths"]


def test_new_lengths_takes_the_layers_of_one_axis(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--only", "fcn", "--new-lengths", *QUICK]) == 2
    assert "no layer of one axis" in capsys.readouterr().err
    assert main(["bench", "c1>1 i3x3 k2", "--new-lengths", *QUICK]) == 2
    assert "has 2 axes; one would fit" in capsys.readouterr().err


def test_the_environment_switches_instruction_sets_off() -> None:
    code = "from tconv.planning import isas; print(isas())"
    environment = {**os.environ, "TCONV_ISA": "baseline"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "('baseline',)"
    environment["TCONV_ISA"] = "mmx"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith("tconv.errors.TconvError: TCONV_ISA='mmx' is unknown")


def test_a_peer_that_is_not_installed_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "find_spec", lambda name: None)
    assert main(["bench", "c1>1 i3 k2", "--peers", "onnxruntime"]) == 2
    assert "pip install 'tconv[bench]'" in capsys.readouterr().err
    assert main(["bench", "c1>1 i3 k2", "--peers", "ncnn"]) == 2
    assert "pip install 'tconv[bench-more]'" in capsys.readouterr().err


def test_all_peers_are_those_installed_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"onnxruntime", "onnx", "ncnn", "torch", "MNN", "ai_edge_litert"}  # no flatbuffers

    def find(name: str) -> Any:
        return name if name in installed else None

    def engines(*words: str) -> list[str]:
        return commands._check(make_parser().parse_args(["bench", "--peers", "all", *words]))

    monkeypatch.setattr(commands, "find_spec", find)
    assert engines() == ["tconv", "torch", "onnxruntime", "mnn", "ncnn"]
    assert engines("--grad") == ["tconv", "torch"]
    installed.clear()
    assert engines() == ["tconv"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["n1 c2 i3 k2"], "c2"),
        (["--peers", "mkl"], "'mkl'"),
        (["--threads", "0"], "--threads 0"),
        (["--turns", "0"], "--turns 0"),
        (["--only", "nothing-like-it"], "'nothing-like-it'"),
        (["--suite", "no-such-file.txt"], "no-such-file.txt"),
        (["c1>1 i3 k2", "--only", "fcn"], "--only"),
        (["--isa", "mmx"], "--isa 'mmx'"),
        (["--activation", "swash"], "--activation 'swash' is not a name with its numbers; relu, "),
        (["--activation", "gelu:1"], "--activation 'gelu:1'"),
        (["--activation", "softplus:0"], "--activation 'softplus:0'"),
        (["--activation", "prelu:0.5:inf"], "--activation 'prelu:0.5:inf'"),
        (["--activation", "elu:nan"], "--activation 'elu:nan'"),
        (["--activation", "clamp:0"], "--activation 'clamp:0'"),
        (["--activation", "leaky_relu:x"], "--activation 'leaky_relu:x'"),
        (["--grad", "--peers", "openvino"], "--grad: openvino cannot; torch, jax would fit"),
        (["--grad", "--unprepared"], "--grad and --unprepared"),
        (["--grad", "--activation", "relu"], "--grad and --activation"),
        (["--layout", "channels_last", "--peers", "jax"], "--layout channels_last: jax cannot"),
        (["--new-lengths", "--peers", "onnxruntime"], "--new-lengths: onnxruntime cannot"),
        (["--random", "0"], "--random 0; 1 to 10000 would fit"),
        (["--random", "10001"], "--random 10001; 1 to 10000 would fit"),
        (["--random", "2", "--seed", "-1"], "--seed -1"),
        (["--seed", "1"], "--seed 1; 0 or more, beside --random N, would fit"),
        (["--random", "2", "--suite", "layers.txt"], "--random and --suite were given"),
        (["--random", "2", "c1>1 i3 k2"], "--random and PROBLEM were given"),
        (["--random", "2", "--only", "fcn"], "no layer of --random has 'fcn'"),
        (["--chart", "speed.pdf"], "'.pdf'"),
        (["--chart", "no-such-folder/speed.svg"], "no-such-folder"),
    ],
)
def test_bad_words_are_named(words: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    assert named in capsys.readouterr().err
