"""Checkpoints that another program wrote, or somebody changed: one line, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tconv import TconvError
from tconv.cli import main
from tconv.train.checkpoint import load_segmenter
from tconv.train.log import COLUMNS
from tconv.train.module import Segmenter
from tconv.train.run import fit
from tconv.train.settings import checked
from tests.train.helpers import CLASSES, folder

__all__ = ["folder"]


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    described: dict[str, Any] = {
        "classes": list(CLASSES), "in_channels": 3, "mean": [0.5] * 3, "deviation": [0.25] * 3
    }  # fmt: skip
    segmenter = Segmenter(**described, **checked({"epochs": 4, "crop": 40}, 1))
    return {
        "hyper_parameters": dict(segmenter.hparams),
        "state_dict": segmenter.state_dict(),
        "callbacks": {"tconv.EpochLog": {"rows": [dict.fromkeys(COLUMNS, 1.0)]}},
    }


def changed(content: dict[str, Any], path: Path, **settings: Any) -> Path:
    torch.save({**content, "hyper_parameters": {**content["hyper_parameters"], **settings}}, path)
    return path


def test_a_checkpoint_of_an_older_version_is_read(content: dict[str, Any], tmp_path: Path) -> None:
    """It lacks the settings that came later."""
    first = ("net", "backbone", "upsampling", "classes", "in_channels", "mean", "deviation")
    first += ("epochs", "batch", "lr", "crop", "augment", "seed")
    old = {name: content["hyper_parameters"][name] for name in first}
    torch.save({**content, "hyper_parameters": old}, tmp_path / "old.ckpt")
    segmenter = load_segmenter(tmp_path / "old.ckpt")
    assert dict(segmenter.hparams) == content["hyper_parameters"]
    picture = torch.rand(1, 3, 20, 30)
    with torch.no_grad():
        assert torch.equal(segmenter(picture), Segmenter(**old).eval()(picture))


ODD: tuple[Any, ...] = (
    None, True, -1, 0, 4, 2**70, 1.5, float("nan"), float("inf"), "x", "", b"x", [], [1, 2, 3], [[]], {}, (),
    {"a": 1}, [None] * 3, ["a"] * 300, torch.ones(3), [0.5], [float("nan")] * 3, "a\nb", 1j,
)  # fmt: skip


@pytest.mark.parametrize("name", [
    "net", "backbone", "upsampling", "classes", "in_channels", "mean", "deviation", "epochs", "batch", "lr",
    "crop", "augment", "seed", "head", "backbone_lr", "weight_decay", "warmup", "decay", "class_weights",
    "freeze_norm", "ema", "scales", "light", "saturation",
])  # fmt: skip
def test_a_setting_of_another_kind_is_refused_in_one_line(
    name: str, content: dict[str, Any], tmp_path: Path
) -> None:
    """Each odd value either is one that such a run could have had, or is named in one line."""
    refused = 0
    for value in ODD:
        path = changed(content, tmp_path / "odd.ckpt", **{name: value})
        said = ""
        try:
            load_segmenter(path)
        except TconvError as fault:
            said = str(fault)
        assert not said or (said.startswith(f"checkpoint {path}: ") and "\n" not in said)
        refused += bool(said)
    assert refused >= len(ODD) - 5


@pytest.mark.parametrize(("name", "value", "said"), [
    ("classes", [1, 2, 3, 4], "classes=[1, 2, 3, 4]; a list of 2 to 255 names would fit"),
    ("mean", "x", "mean='x'; a list of 3 numbers would fit"),
    ("seed", 2**70, f"seed={2**70}: must be at most {2**63 - 1}"),
    ("in_channels", 10**9, "in_channels=1000000000; 1 or 3 would fit"),
])  # fmt: skip
def test_the_line_says_what_would_fit(
    name: str,
    value: Any,
    said: str,
    content: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = changed(content, tmp_path / "odd.ckpt", **{name: value})
    assert main(["predict", str(path), "absent.png", "--out", str(tmp_path / "out")]) == 2
    wanted = f"tconv predict: checkpoint {path}: not written by 'tconv train': {said}\n"
    assert capsys.readouterr().err == wanted


CHANGES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "no weights": lambda c: {k: v for k, v in c.items() if k != "state_dict"},
    "a list of weights": lambda c: {**c, "state_dict": list(c["state_dict"].values())},
    "weights that are numbers": lambda c: {**c, "state_dict": dict.fromkeys(c["state_dict"], 1.0)},
    "numbers for names": lambda c: {**c, "state_dict": dict(enumerate(c["state_dict"].values()))},
    "another shape": lambda c: {**c, "state_dict": {k: v[:0] for k, v in c["state_dict"].items() if v.dim()}},
    "more axes": lambda c: {**c, "state_dict": {k: v[..., None] for k, v in c["state_dict"].items()}},
    "no settings": lambda c: {**c, "hyper_parameters": [1]},
    "no dictionary": lambda c: {"a": 1},
}


@pytest.mark.parametrize("name", CHANGES)
def test_weights_of_another_kind_are_refused_in_one_line(
    name: str, content: dict[str, Any], tmp_path: Path
) -> None:
    torch.save(CHANGES[name](content), tmp_path / "odd.ckpt")
    with pytest.raises(TconvError, match=r"checkpoint .*odd\.ckpt: ") as caught:
        load_segmenter(tmp_path / "odd.ckpt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rows", [
    None, [1], "x", [{}], [dict.fromkeys(COLUMNS, "x")], {"a": 1},
    [{**dict.fromkeys(COLUMNS, 1.0), "more": 1.0}],
])  # fmt: skip
def test_a_log_of_another_kind_is_refused(
    rows: Any, content: dict[str, Any], tmp_path: Path, folder: Path
) -> None:
    torch.save({**content, "callbacks": {"tconv.EpochLog": {"rows": rows}}}, tmp_path / "last.ckpt")
    with pytest.raises(TconvError, match=r"last.ckpt holds no rows of a log"):
        fit(folder, tmp_path, resume=True)
