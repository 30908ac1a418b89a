"""`tconv demo` itself: the list, the options of a demo, what is refused, and what a module must have."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tconv.cli import main
from tconv.demos import DEFAULT, DEMOS, OPTIONS, Demo, Module
from tconv.documents import Document, Line, Section
from tconv.errors import TconvError


def test_the_list_has_every_demo_with_its_minutes_and_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["demo", "what", "it", "shows", "minutes", "data"]
    for demo in DEMOS.values():
        (line,) = [line for line in lines if line.startswith(f"{demo.name} ")]
        assert f" {demo.minutes:g} " in line
        assert demo.data in line
    assert main(["demo", "--list", "--json"]) == 0
    assert [row["demo"] for row in json.loads(capsys.readouterr().out)] == list(DEMOS)


def test_the_list_needs_no_torch() -> None:
    code = "import sys; from tconv.cli import main; main(['demo', '--list']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("demo", DEMOS.values(), ids=DEMOS)
def test_every_module_keeps_the_interface(demo: Demo) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("pytorch_lightning")
    module = demo.load()
    given = inspect.signature(module.run).parameters
    assert {"out", "seed", "minutes", *demo.options} <= set(given)
    kinds = {given[name].kind for name in ("seed", "minutes", *demo.options)}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}
    assert all(given[name].default is not inspect.Parameter.empty for name in demo.options)
    assert set(demo.options) <= set(OPTIONS)
    for name in ("document", "as_dict"):
        assert len(inspect.signature(getattr(module, name)).parameters) == 1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands in for the default demo, which only keeps what it was asked."""
    calls: list[dict[str, Any]] = []

    def run(out: Path, **options: Any) -> dict[str, Any]:
        calls.append({"out": out, **options})
        if options["seed"] == 13:
            raise TconvError("seed=13: not today")
        return options

    module = SimpleNamespace(
        run=run,
        document=lambda found: Document("", (Section("found", "", (Line(f"seed {found['seed']}"),)),)),
        as_dict=lambda found: {"seed": found["seed"]},
    )
    monkeypatch.setattr(Demo, "load", lambda self: module)
    return calls


def test_the_default_demo_needs_no_name(
    asked: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--epochs", "5"]) == 0
    assert main(["demo", DEFAULT, "--epochs", "5", "--out", "x", "--seed", "3", "--minutes", "0.5"]) == 0
    assert asked == [
        {"out": Path("runs/demo"), "seed": 0, "minutes": None, "epochs": 5},
        {"out": Path("x"), "seed": 3, "minutes": 0.5, "epochs": 5},
    ]
    assert capsys.readouterr().out == "seed 0\nseed 3\n"
    assert main(["demo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"seed": 0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("upsamplin", "demo 'upsamplin' is unknown; did you mean 'upsampling'?"),
        ("--seed -1", "seed=-1: must be at least 0"),
        ("--minutes 0", "minutes=0: must be above 0 and finite"),
        ("--minutes nan", "minutes=nan: must be above 0 and finite"),
        ("--seed 13", "seed=13: not today"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(
    words: str,
    said: str,
    asked: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo", *words.split(), "--out", str(tmp_path / "x")]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"tconv demo: {said}\n")
    assert not list(tmp_path.iterdir())


def test_an_option_of_another_demo_is_refused() -> None:
    other = Demo("other", "", 1, "", "tconv.demos.other")
    with pytest.raises(TconvError, match=r"--epochs: other does not take it; upsampling would"):
        other.check({"epochs": 3})


def test_a_folder_in_use_is_refused(
    asked: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tconv.files import alone

    with alone(tmp_path):
        assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "is in use by another process" in capsys.readouterr().err
    assert not asked


def test_the_protocol_names_what_the_command_calls() -> None:
    assert {name for name in vars(Module) if not name.startswith("_")} == {"run", "document", "as_dict"}
