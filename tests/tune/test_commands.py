"""`tconv tune`: what it takes, prints and keeps. No test looks at how long anything takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tconv
from tconv import planning
from tconv.cli import main
from tconv.geometry import Geometry
from tconv.ops.call_cache import planned_call
from tconv.planning import Plan
from tconv.planning.kinds import default_record
from tconv.planning.tuning_file import moved, tuned
from tconv.tune import competition
from tconv.tune import costs as costs_of
from tconv.tune.costs import Costs

ISA = planning.isas()[0]
PROBLEM = "n1 c24>16 i13x14 k4 s2 p1"
FITTED = moved(default_record(ISA), ("reference",), 9.5)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where results are kept; costs are measured, and plans chosen, in no time."""

    def measured(isa: str, seconds: float, step: Any) -> Costs:
        spent.append(seconds)
        return Costs(FITTED, 100, 1.2, 1.1, 5, 48, 1.03)

    def fastest(plans: Sequence[Plan], seconds: float, prepared: bool) -> tuple[Plan, float]:
        spent.append(seconds)
        return plans[-1], 1.25

    spent: list[float] = []
    monkeypatch.setattr(costs_of, "measured", measured)
    monkeypatch.setattr(competition, "fastest", fastest)
    monkeypatch.setattr(costs_of, "spent", spent, raising=False)
    monkeypatch.setenv("TCONV_CACHE", str(tmp_path / "kept"))
    monkeypatch.chdir(tmp_path)
    planning.refresh()
    yield tmp_path / "kept"
    monkeypatch.setenv("TCONV_CACHE", "off")
    planning.refresh()
    planned_call.cache_clear()


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["tune", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_costs_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "100 plans were timed" in said
    assert "They are used from now on." in said
    assert dict(tuned().records) == {ISA: {"reference": 9.5}}
    assert "tconv tune" in repr(planning.plan(Geometry.parse(PROBLEM)))


def test_plans_of_problems_are_kept_and_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, PROBLEM, PROBLEM, "n1 c3>2 i5 k3")
    assert [one["prepared"] for one in found["plans"]] == [True, False, True, False]
    assert found["costs"]["kept"]
    assert Path(found["file"]).parent == folder
    g = Geometry.parse(PROBLEM)
    assert planning.plan(g).name == found["plans"][0]["plan"]
    assert planning.plan(g, prepared=False).name == found["plans"][1]["plan"]
    layer = tconv.prepare(np.ones(g.weight_shape, np.float32), stride=2, padding=1)
    assert "by the clock (tconv tune)" in repr(layer.plan_for(g.input_shape))
    again = told(capsys, "n1 c3>2 i7 k3")  # the costs are known
    assert again["costs"] is None
    shown = told(capsys, "--show")
    assert (shown["state"], len(shown["plans"])) == ("in use", 6)
    assert shown["costs"] == {ISA: {"reference": 9.5}}
    assert main(["tune", "--show"]) == 0
    assert PROBLEM in capsys.readouterr().out


def test_seconds_are_shared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spent: list[float] = costs_of.spent  # type: ignore[attr-defined]
    told(capsys, PROBLEM, "--seconds", "10")
    assert spent[0] == 5
    assert 4.9 < spent[2] <= 5  # the first took no time
    del spent[:]
    told(capsys, "--seconds", "7")
    assert spent == [7]
    del spent[:]
    told(capsys, PROBLEM)
    assert 1.9 < spent[0] <= 2


def test_what_takes_too_long_is_not_timed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "n64 c512>512 i512x512 k4 s2 p1", PROBLEM)
    assert [one["problem"] for one in found["plans"]] == [PROBLEM] * 2
    assert "too large to be timed" in found["notes"][0]


def test_a_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("list").write_text(f"one {PROBLEM}\ntwo {PROBLEM}\nnone n0 c1>1 i3 k3\n")
    found = told(capsys, "--suite", "list")
    assert [one["names"] for one in found["plans"]] == [["one", "two"]] * 2


def test_models(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2, "h", 4])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    up = helper.make_node("ConvTranspose", ["x", "w"], ["u"], name="up", strides=[2, 2])
    mixed = helper.make_node("Conv", ["u", "v"], ["y"], name="conv")
    w = onnx.numpy_helper.from_array(np.ones((2, 3, 2, 2), np.float32), "w")
    v = onnx.numpy_helper.from_array(np.ones((1, 3, 3, 3), np.float32), "v")
    graph = helper.make_graph([up, mixed], "g", [x], [y], [w, v])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    Path("m.onnx").write_bytes(model.SerializeToString())
    assert main(["tune", "--model", "m.onnx"]) == 2
    assert "no transposed layer of known size: up" in capsys.readouterr().err
    found = told(capsys, "--model", "m.onnx", "--input", "x=1x2x6x4")
    assert [one["names"] for one in found["plans"]] == [["up"]] * 2
    assert found["plans"][0]["problem"] == "n1 c2>3 i6x4 k2 s2"

    torch = pytest.importorskip("torch")
    torch.save({"up.weight": torch.ones(2, 3, 2, 2)}, "state.pt")
    found = told(capsys, "--model", "state.pt", "--layer", "up=n2 c2>3 i6x4 k2 s2")
    assert found["plans"][0]["problem"] == "n2 c2>3 i6x4 k2 s2"
    module = torch.nn.ConvTranspose2d(2, 3, 2, stride=2)
    torch.export.save(torch.export.export(module, (torch.ones(1, 2, 5, 4),)), "m.pt2")
    found = told(capsys, "--model", "m.pt2")
    assert found["plans"][0]["problem"] == "n1 c2>3 i5x4 k2 s2"


def test_clear(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(told(capsys, PROBLEM)["file"])
    assert told(capsys, "--clear") == {"removed": str(path)}
    assert told(capsys, "--clear") == {"removed": None}
    assert not path.exists()
    assert told(capsys, "--show")["state"] == "nothing is tuned"


def test_show_says_why_results_are_ignored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(told(capsys, PROBLEM)["file"])
    path.write_bytes(b"\x1b[2J")
    planning.refresh()
    assert told(capsys, "--show")["state"] == "ignored: it is damaged, or of another version"
    told(capsys, PROBLEM)  # and measured again
    assert told(capsys, "--show")["state"] == "in use"


WRONG = {
    "--seconds nan": "--seconds nan; 1 to 86400 would fit",
    "--seconds 0.5": "--seconds 0.5; 1 to 86400 would fit",
    "--clear --show": "--clear and --show were given",
    f"--clear '{PROBLEM}'": "--clear and PROBLEM were given",
    "--show --seconds 5": "--show and --seconds were given",
    f"'{PROBLEM}' --suite list": "PROBLEM and --suite were given",
    "--input x=1x2": "--input was given without --model",
    "--layer up": "--layer was given without --model",
    "--model no.onnx": "no.onnx: no such file",
    "--suite no": "--suite no cannot be read",
    "--suite empty": "--suite empty lists no problem",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_lines(folder: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    import shlex

    Path("empty").touch()
    assert main(["tune", *shlex.split(line)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"tconv tune: {WRONG[line]}")
    assert error.count("\n") == 1
    assert not (folder / "tuned").exists()


def test_off(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TCONV_CACHE", "off")
    assert main(["tune", PROBLEM]) == 2
    assert "results are not kept (TCONV_CACHE=off)" in capsys.readouterr().err
    assert told(capsys, "--show")["state"] == "off"
    assert told(capsys, "--clear") == {"removed": None}
    assert costs_of.spent == []  # type: ignore[attr-defined]


def test_it_really_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of it: the costs, whatever they are, and a plan that gives the layer's bits."""
    monkeypatch.setenv("TCONV_CACHE", str(tmp_path / "é"))
    planning.refresh()
    assert main(["tune", "n1 c8>8 i9x9 k4 s2 p1", "--seconds", "1"]) == 0
    assert ISA in tuned().records
    assert len(tuned().plans) == 2
    monkeypatch.setenv("TCONV_CACHE", "off")
    planning.refresh()
