"""A state dict that is safe to load may still repeat itself without end, or hold what NumPy cannot."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tconv import TconvError
from tconv.diagnosis import diagnose

torch = pytest.importorskip("torch", reason="state dicts are written by PyTorch")

PROBLEM = "n1 c4>2 i8x8 k4 s2 p1"


def weight() -> Any:
    return torch.ones(4, 2, 4, 4)


def itself() -> dict[str, Any]:
    made: dict[str, Any] = {"up.weight": weight()}
    made["again"] = made
    return made


def doubled(times: int) -> dict[str, Any]:
    """Dictionaries that hold the next one twice: few bytes, 2^times names."""
    made: dict[str, Any] = {"up.weight": weight()}
    for _ in range(times):
        made = {"a": made, "b": made}
    return made


HOSTILE: dict[str, tuple[Callable[[], Any], str]] = {
    "a dictionary in itself": (itself, "more than 32 deep"),
    "dictionaries that double 40 times": (lambda: doubled(40), "more than 32 deep"),
    "dictionaries that double 30 times": (lambda: doubled(30), "too many names"),
    "float8": (lambda: {"up.weight": weight().to(torch.float8_e4m3fn)}, "tensor of torch.float8_e4m3fn"),
    "sparse": (lambda: {"up.weight": weight().to_sparse()}, "sparse or quantized tensor of torch.float32"),
    "no numbers": (lambda: {"up.weight": weight().to("meta")}, "tensor of torch.float32 on meta"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_state_dict_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    make, said = HOSTILE[kind]
    path = tmp_path / "state.pt"
    torch.save(make(), path)
    assert path.stat().st_size < 10_000
    with pytest.raises(TconvError, match=said) as caught:
        diagnose(path, layers={"up": PROBLEM})
    assert "\n" not in str(caught.value)


@pytest.fixture
def bomb(tmp_path: Path) -> Path:
    """A whole state dict, and the same with compressed records, which PyTorch's loader would take."""
    torch.save({"up.weight": weight(), "zeros": torch.zeros(1 << 22)}, tmp_path / "whole.pt")
    with (
        zipfile.ZipFile(tmp_path / "whole.pt") as whole,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for entry in whole.infolist():
            bomb.writestr(entry.filename, whole.read(entry))
    return tmp_path / "bomb.pt"


def test_a_compressed_record_is_refused_unread(bomb: Path) -> None:
    assert diagnose(bomb.with_name("whole.pt"), layers={"up": PROBLEM}).layers
    with pytest.raises(TconvError, match="compressed or encrypted"):
        diagnose(bomb, layers={"up": PROBLEM})


@pytest.mark.parametrize(
    ("module", "reader", "more"),
    [("nets.classifier", "read_vgg16", ([0] * 3, [1] * 3)), ("train.checkpoint", "read_checkpoint", ())],
)
def test_training_refuses_it_too(
    module: str, reader: str, more: tuple[object, ...], bomb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = getattr(pytest.importorskip(f"tconv.{module}"), reader)

    def loaded(*_: object, **__: object) -> object:
        raise AssertionError("PyTorch would decompress it")

    monkeypatch.setattr(torch, "load", loaded)
    with pytest.raises(TconvError) as caught:
        read(bomb, *more)
    assert "compressed" in str(caught.value.__cause__)


def test_a_dictionary_that_occurs_twice_is_read_and_saved(tmp_path: Path) -> None:
    """As that of a model and of its average, before they differ."""
    held = {"up.weight": weight(), ("a", "pair"): 1}
    torch.save({"model": held, "ema": held}, tmp_path / "state.pt")
    found = diagnose(tmp_path / "state.pt", layers={"ema.up": PROBLEM})
    (layer,) = found.layers
    assert np.array_equal(layer.layer.weight, np.ones((4, 2, 4, 4)))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_key_that_takes_forever_to_hash_is_refused(zipped: bool, tmp_path: Path) -> None:
    def saved(times: int) -> Path:
        path = tmp_path / f"{times}.pt"
        # Its hash must not be taken here either: the pickle is put together by hand.
        marked = {"up.weight": weight(), "marked": 1}
        torch.save(marked, path, _use_new_zipfile_serialization=zipped)
        whole = path.read_bytes()
        twice = b"h\xf0h\xf0\x86q\xf0" * times
        deep = b"(X\x01\x00\x00\x00aq\xf0" + twice + b"t"  # all of them, in one tuple
        old = b"X\x06\x00\x00\x00marked"
        if not zipped:
            path.write_bytes(whole.replace(old, deep, 1))
            return path
        with zipfile.ZipFile(path) as held, zipfile.ZipFile(tmp_path / f"{times}z.pt", "w") as made:
            for entry in held.infolist():
                data = held.read(entry)
                made.writestr(entry.filename, data.replace(old, deep, 1) if old in data else data)
        return tmp_path / f"{times}z.pt"

    assert diagnose(saved(3), layers={"up": PROBLEM}).layers
    with pytest.raises(TconvError, match="a tuple in it stands for more than 1,000,000 values"):
        diagnose(saved(60), layers={"up": PROBLEM})


class Stranger:
    """A class that no state dict holds."""


def test_what_is_wrong_is_said_without_advice_to_run_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"up.weight": Stranger()}, path)
    with pytest.raises(TconvError, match=r"readable state dict: .*Stranger") as caught:
        diagnose(path, layers={"up": PROBLEM})
    assert str(caught.value).isprintable()
    assert "weights_only" not in str(caught.value)


def test_a_pickle_of_another_version_is_refused_without_a_warning(tmp_path: Path) -> None:
    """PyTorch warns of it, which the tests take for an error."""
    path = tmp_path / "state.pt"
    torch.save({"up.weight": weight()}, path, _use_new_zipfile_serialization=False, pickle_protocol=4)
    with pytest.raises(TconvError, match="readable state dict: Unsupported operand 149"):
        diagnose(path, layers={"up": PROBLEM})
