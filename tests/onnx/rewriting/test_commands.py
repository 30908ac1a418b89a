"""`tconv rewrite` as a command: files, exit statuses, messages, what stays unchanged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

import onnx_ir as ir  # noqa: E402
from onnx import helper  # noqa: E402

import tconv.onnx  # noqa: E402
from tconv.cli import main  # noqa: E402
from tconv.errors import TconvError  # noqa: E402
from tconv.onnx.rewriting import Refused  # noqa: E402
from tconv.onnx.rewriting.runner import Runner, Trouble  # noqa: E402
from tconv.onnx.rules import RULES, Context, Rule  # noqa: E402
from tests.onnx.helpers import answers, model, op_types, whole  # noqa: E402


@pytest.fixture
def grouped(tmp_path: Path) -> Path:
    """A layer of two groups and an Add, with dynamic sizes and metadata."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", group=2, strides=[2, 2]),
        helper.make_node("Add", ["y", "b"], ["z"], name="add"),
    ]
    made = model(
        nodes,
        {"x": ["n", 4, "h", "w"]},
        ["z"],
        {"w": whole(rng, 4, 3, 3, 3), "b": whole(rng, 6, 1, 1)},
        opset=17,
    )
    made.metadata_props["author"] = "somebody"
    made.doc_string = "two groups"
    return save(made, tmp_path / "in.onnx")


def save(made: ir.Model, path: Path) -> Path:
    ir.save(made, path)
    return path


def run(*words: object) -> int:
    try:
        return main(["rewrite", *map(str, words)])
    except SystemExit as stop:
        return int(stop.code or 0)


def test_a_target_is_met_and_the_rest_stays(grouped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, before = grouped.with_name("out.onnx"), grouped.read_bytes()
    assert run(grouped, out, "--for", "no-groups") == 0
    assert grouped.read_bytes() == before
    assert sorted(p.name for p in grouped.parent.iterdir()) == ["in.onnx", "out.onnx"]
    old, new = ir.load(grouped), ir.load(out)
    assert all(node.attributes.get_int("group", 1) == 1 for node in new.graph)
    assert (new.opset_imports, new.metadata_props, new.doc_string, new.ir_version) == (
        old.opset_imports, {"author": "somebody"}, "two groups", old.ir_version,
    )  # fmt: skip
    assert [str(v) for v in (*new.graph.inputs, *new.graph.outputs)] == [
        str(v) for v in (*old.graph.inputs, *old.graph.outputs)
    ]
    feeds = {"x": whole(np.random.default_rng(1), 2, 4, 5, 7)}
    np.testing.assert_array_equal(answers(new, feeds)[0], answers(old, feeds)[0])
    said = capsys.readouterr()
    assert said.out == ""
    assert "split-groups" in said.err
    assert "Checked in ONNX Runtime on 3 sets of inputs" in said.err.replace("\n", " ")


def test_json_is_the_report(grouped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = grouped.with_name("out.onnx")
    assert run(grouped, out, "--for", "no-groups", "--json", "--input", "3x4x5x6") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["goal"] == "no-groups"
    assert [(s["rule"], s["node"]) for s in told["steps"] if s["reason"] is None] == [("split-groups", "up")]
    assert {entry["feeds"] for entry in told["compared"]} == {f"x 3x4x5x6 ({i})" for i in (1, 2, 3)}
    assert all(entry["fine"] and entry["error"] <= entry["allowed"] for entry in told["compared"])


def test_speed_keeps_what_is_timed_as_faster(grouped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = grouped.with_name("out.onnx")
    words = (
        grouped,
        out,
        "--for",
        "speed",
        "--seconds",
        "2",
        "--threads",
        "1",
        "--json",
        "--input",
        "1x4x32x32",
    )
    assert run(*words) == 0
    told = json.loads(capsys.readouterr().out)
    timed = [trial for trial in told["trials"] if trial["timed"]]
    assert ["folding"] in [trial["moves"] for trial in timed]
    for trial in timed:
        won = trial["timed"]["gain"] > 1.05 and trial["timed"]["sure"] >= 0.75
        assert won or not trial["kept"]
    assert (told["timed"] is not None) == any(trial["kept"] for trial in timed)
    assert bool([s for s in told["steps"] if s["reason"] is None]) == bool(
        told["timed"] and told["timed"]["gain"] > 1.05
    )
    feeds = {"x": whole(np.random.default_rng(1), 1, 4, 5, 7)}
    np.testing.assert_array_equal(answers(ir.load(out), feeds)[0], answers(ir.load(grouped), feeds)[0])


def test_nothing_to_do_writes_the_same_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["n"]}, ["y"])
    path, out = save(made, tmp_path / "relu.onnx"), tmp_path / "out.onnx"
    for goal in ("speed", "no-transposed"):
        assert run(path, out, "--for", goal) == 0
        assert out.read_bytes() == path.read_bytes()
        assert "wrote" in (said := capsys.readouterr().err)
        why = {"speed": "no rewriting makes the whole model faster"}.get(
            goal, f"it has nothing that {goal} removes"
        )
        assert f"Nothing was rewritten: {why}." in " ".join(said.split())
        assert ("timed with small generated inputs" in " ".join(said.split())) == (goal == "speed")
        out.unlink()


@pytest.mark.parametrize("kind", ["same", "symlink", "hardlink", "folder", "no folder"])
def test_the_input_is_never_written(grouped: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = grouped.read_bytes()
    out = {"same": grouped, "folder": grouped.parent, "no folder": grouped.parent / "none" / "out.onnx"}.get(
        kind, grouped.with_name("link.onnx")
    )
    if kind == "symlink":
        out.symlink_to(grouped)
    if kind == "hardlink":
        out.hardlink_to(grouped)
    assert run(grouped, out, "--for", "no-groups") == 2
    assert grouped.read_bytes() == before
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--for", "no-group"], "did you mean 'no-groups'?"),
        (["--for", "speed", "--threads", "-1"], "1 to 1024, or 0 for"),
        (["--for", "speed", "--threads", "100000"], "1 to 1024, or 0 for"),
        (["--for", "speed", "--seconds", "nan"], "a number above 0 would fit"),
        (["--for", "speed", "--input", "none.npz"], "cannot read none.npz: No such file"),
        (["--for", "speed", "--input", "y=1x4x8x8"], "the model's inputs are x"),
        (["--for", "speed", "--input", "x=1xax8"], "a shape such as x=1x3x640x640 would fit"),
        (["--for", "speed", "--input", "x=1x3x8x8"], "no input could be generated that the model accepts"),
        ([], "the following arguments are required: --for"),
    ],
)
def test_bad_requests_are_one_line(
    grouped: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = grouped.with_name("out.onnx")
    assert run(grouped, out, *words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({}, "no array for the model's input 'x'"),
        ({"x": np.zeros((1, 4, 3, 3))}, "x is float64; the model takes float32"),
        ({"x": np.zeros((1, 5, 3, 3), np.float32)}, "x has shape (1, 5, 3, 3); the model takes"),
        ({"x": np.zeros((1, 4, 3, 3), np.float32), "u": np.zeros(1)}, "the model has no input 'u'; it has x"),
    ],
)
def test_feeds_that_do_not_fit(grouped: Path, arrays: dict[str, np.ndarray], said: str) -> None:
    path = grouped.with_name("feeds.npz")
    np.savez(path, **arrays)
    with pytest.raises(TconvError) as fault:
        tconv.onnx.rewrite(grouped, goal="no-groups", inputs=[path])
    assert said in str(fault.value)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and no more", b"\x93NUMPY"])
def test_a_file_that_is_no_npz(grouped: Path, data: bytes) -> None:
    path = grouped.with_name("feeds.npz")
    path.write_bytes(data)
    with pytest.raises(TconvError, match=r"not a complete \.npz file"):
        tconv.onnx.rewrite(grouped, goal="no-groups", inputs=[path])


def wrong(name: str) -> Rule[Any]:
    """The rule of this name, with results that are too large by a thousandth."""
    right = RULES[name]

    def apply(found: Any, context: Context) -> None:
        value = found.layer.node.inputs[1]
        assert value is not None
        assert value.const_value is not None
        value.const_value = ir.tensor(value.const_value.numpy() * np.float32(1.001), name=value.name)
        right.apply(found, context)

    return replace(right, apply=apply)


def test_a_wrong_answer_is_told_by_layer_and_number_and_nothing_is_written(
    grouped: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {**RULES, "split-groups": wrong("split-groups")}
    for place in ("targeting", "run"):
        monkeypatch.setattr(f"tconv.onnx.rewriting.{place}.RULES", broken)
    out = grouped.with_name("out.onnx")
    assert run(grouped, out, "--for", "no-output-padding,no-groups") == 1
    err = capsys.readouterr().err
    assert err.startswith("tconv rewrite: split-groups at up: output 'z' differs by 0.")
    assert "nothing was written" in err
    assert err.count("\n") == 1
    assert not out.exists()
    assert run(grouped, out, "--for", "no-groups", "--no-check") == 0  # who asks for it gets it
    assert out.exists()


def test_a_layer_that_no_rule_helps_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = model(
        [helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up\n[b]")],
        {"x": [1, 2, 8], "w": [2, 3, 4]},
        ["y"],
    )
    path, out = save(made, tmp_path / "in.onnx"), tmp_path / "out.onnx"
    assert run(path, out, "--for", "no-transposed") == 1
    err = capsys.readouterr().err
    assert r"up\n[b] still has a transposed convolution" in err
    assert err.count("\n") == 1
    assert "flip-stride-one: its weights are computed" in err
    assert not out.exists()
    with pytest.raises(Refused):
        tconv.onnx.rewrite(path, goal="no-transposed")


def test_what_the_runtime_does_not_know_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = model([helper.make_node("Own", ["x"], ["y"], domain="own")], {"x": [1]}, ["y"])
    made.opset_imports["own"] = 1
    path, out = save(made, tmp_path / "in.onnx"), tmp_path / "out.onnx"
    assert run(path, out, "--for", "speed") == 2
    err = capsys.readouterr().err
    assert f"ONNX Runtime cannot run {path}, so it is neither compared nor timed: Fatal error: own:Own" in err
    assert err.count("\n") == 1
    assert not out.exists()
    assert run(path, out, "--for", "no-groups", "--json") == 2
    assert capsys.readouterr().out == ""
    assert not out.exists()
    assert run(path, out, "--for", "no-groups", "--no-check") == 0


def test_a_rewritten_model_that_does_not_run_is_refused(
    grouped: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def apply(found: Any, context: Context) -> None:
        node = found.layer.node
        node.inputs[1].const_value = ir.tensor(np.zeros((4, 3, 3, 3)), name="w")  # float64 beside float32
        node.attributes.add(ir.AttrInt64("group", 1))

    broken = replace(RULES["split-groups"], apply=apply)
    monkeypatch.setattr("tconv.onnx.rewriting.targeting.RULES", {**RULES, "split-groups": broken})
    out = grouped.with_name("out.onnx")
    assert run(grouped, out, "--for", "no-groups") == 1
    assert "the rewritten model does not run" in capsys.readouterr().err
    assert not out.exists()


def test_the_data_of_the_input_are_never_written(tmp_path: Path) -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", group=2)
    made = model([node], {"x": ["n", 32, "l"]}, ["y"], {"w": np.ones((32, 16, 3), np.float32)})
    ir.save(made, tmp_path / "in.onnx", external_data="out.onnx.data")
    before = (tmp_path / "out.onnx.data").read_bytes()
    for name in ("out.onnx.data", "out.onnx"):
        with pytest.raises(TconvError, match="cannot write"):
            tconv.onnx.rewrite(tmp_path / "in.onnx", tmp_path / name, goal="no-dilation", check=False)
    assert (tmp_path / "out.onnx.data").read_bytes() == before


def test_names_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="[red]up\x1b[2J", group=2)
    path = save(model([node], {"x": [1, 2, 8]}, ["y"], {"w": whole(rng, 2, 1, 3)}), tmp_path / "in.onnx")
    assert run(path, tmp_path / "out.onnx", "--for", "no-groups") == 0
    assert r"[red]up\x1b[2J" in capsys.readouterr().err


def test_random_operators_draw_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["r"]),
        helper.make_node("ConvTranspose", ["r", "w"], ["y"], name="up", group=2, strides=[2]),
    ]
    path = save(model(nodes, {"x": [1, 2, 8]}, ["y"], {"w": whole(rng, 2, 1, 3)}), tmp_path / "in.onnx")
    report = tconv.onnx.rewrite(path, tmp_path / "out.onnx", goal="no-groups")
    assert [entry.error for entry in report.compared] == [0.0] * 3
    assert report.notes == ("Random operators (RandomNormalLike) had the same seeds in both models.",)
    assert all("seed" not in node.attributes for node in ir.load(tmp_path / "out.onnx").graph)


def test_a_crash_of_the_runtime_is_one_line(grouped: Path) -> None:
    with Runner() as runner:
        runner.load("it", ir.load(grouped))
        runner._process.kill()
        with pytest.raises(Trouble, match=r"ONNX Runtime crashed \(SIGKILL\)"):
            runner.run("it", {"x": np.zeros((1, 4, 3, 3), np.float32)})
    assert not runner.folder.exists()


def test_an_old_model_lists_its_weights_among_its_inputs(tmp_path: Path) -> None:
    """IR version 3: no new initializer that is not an input."""
    rng = np.random.default_rng(0)
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", group=2)
    inputs = {"x": [1, 4, 5], "w": [4, 3, 3]}
    made = model([node], inputs, ["y"], {"w": whole(rng, 4, 3, 3)}, opset=8)
    made.ir_version = 3
    path, out = save(made, tmp_path / "in.onnx"), tmp_path / "out.onnx"
    report = tconv.onnx.rewrite(path, out, goal="no-groups")
    assert all(entry.fine for entry in report.compared)
    new = ir.load(out)
    assert new.ir_version == 3
    assert {str(value.name) for value in new.graph.inputs} == {"x", "w"}
    assert set(new.graph.initializers) <= {"w"}
    with pytest.raises(TconvError, match="a shape for 'u': the model's inputs are x"):
        tconv.onnx.rewrite(path, goal="no-groups", shapes={"u": (1,)})


def test_op_types_after_no_transposed(grouped: Path) -> None:
    tconv.onnx.rewrite(grouped, grouped.with_name("out.onnx"), goal="no-transposed")
    assert "ConvTranspose" not in op_types(ir.load(grouped.with_name("out.onnx")))
