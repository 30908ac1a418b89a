"""Guides that show commands with their output: each prints what stands below it, in the order of the page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tconv.cli import main
from tests import ROOT

GUIDES = ROOT / "docs" / "guides"


def parts(shown: str) -> list[str]:
    """The output between the lines `...`, which stand for what is left out."""
    return [part.strip("\n") for part in re.split(r"^\.\.\.$", shown, flags=re.MULTILINE) if part.strip()]


@pytest.mark.parametrize(("page", "commands"), [("troubleshooting", 14), ("sizes", 2)])
def test_every_command_prints_what_is_shown(
    page: str,
    commands: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for package, extra in (("torch", "torch"), ("onnx", "onnx"), ("onnxruntime", "onnx")):
        pytest.importorskip(package, reason=f"the examples need {package}; install tconv[{extra}]")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    text = (GUIDES / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(python|console|text)\n((?s:.*?))^```$", text, re.MULTILINE)
    run, error = 0, ""
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, page, "exec"), names)
        elif kind == "text":
            assert error.strip() == block.strip()
        else:
            for command in block.split("$ tconv ")[1:]:
                line, _, shown = command.partition("\n")
                main(shlex.split(line))
                out, error = capsys.readouterr()
                printed, place = out or error, 0  # a report about a written file goes to stderr
                for part in parts(shown):
                    assert part in printed[place:], f"tconv {line}"
                    place = printed.index(part, place)
                run += 1
    assert run == commands


def test_the_other_device_is_computed_by_pytorch() -> None:
    """What the section on GPUs says of another device, here on meta tensors."""
    torch = pytest.importorskip("torch", reason="asks PyTorch which operators run; install tconv[torch]")
    from torch.utils._python_dispatch import TorchDispatchMode

    from tconv.torch import ConvTranspose2d

    called = []

    class Recorded(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            called.append(str(func))
            return func(*args, **(kwargs or {}))

    layer = ConvTranspose2d(4, 2, 3, stride=2, padding="same", activation="relu", device="meta")
    with Recorded():
        layer(torch.empty(1, 4, 5, 5, device="meta"))
    assert "aten.convolution.default" in called
    assert not [name for name in called if name.startswith("tconv")]
