"""The file of `tconv tune`: used where it was measured, ignored with a reason everywhere else."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tconv
from tconv import TconvError, planning
from tconv.geometry import Geometry
from tconv.planning import tuning_file
from tconv.planning.cost import machine
from tconv.planning.kinds import default_record
from tconv.planning.tuning_file import MOST, clear, keep, leaves, moved, place, tuned, value_of
from tests.planning.helpers import GEOMETRY, ISA, another, kept


def rewritten(path: Path, change: Callable[[Any], Any]) -> None:
    """The file with other contents under a right checksum."""
    held = change(json.loads(path.read_bytes().partition(b"\n")[2]))
    body = held if isinstance(held, bytes) else json.dumps(held).encode()
    path.write_bytes(f"{tuning_file.FORMAT} {hashlib.sha256(body).hexdigest()}\n".encode() + body)
    planning.refresh()


def test_a_tuned_plan_is_used_and_printed_as_such(folder: Path) -> None:
    usual, other = planning.plan(GEOMETRY), another()
    assert other.name != usual.name
    kept(other)
    found = planning.plan(GEOMETRY)
    assert found.name == other.name
    assert "chosen          by the clock (tconv tune)" in repr(found)
    assert "chosen" not in repr(usual)
    assert planning.plan(GEOMETRY, activation="relu").name == other.name
    assert planning.plan(GEOMETRY, prepared=False).name != other.name
    assert "tconv tune" not in repr(planning.plan(GEOMETRY, algorithm="phases"))
    assert "tconv tune" not in repr(planning.plan(Geometry.parse("n1 c24>16 i13x15 k4 s2 p1")))


def test_tuned_costs_are_used_and_printed_as_such(folder: Path) -> None:
    default = default_record(ISA)
    path = ("phases", "fed")
    keep(ISA, moved(default, path, 3 * value_of(default, path)), {})
    planning.refresh()
    assert machine(ISA, "f32").record == moved(default, path, 3 * value_of(default, path))
    assert "measured here (tconv tune)" in repr(planning.plan(GEOMETRY))
    keep(ISA, default, {})
    planning.refresh()
    assert "tconv tune" not in repr(planning.plan(GEOMETRY))


def test_another_writer_adds_to_what_is_there(folder: Path) -> None:
    kept(another())
    default = default_record(ISA)
    keep(ISA, moved(default, ("reference",), 9.5), {})
    assert set(tuned().plans.values()) == {another().name}
    assert dict(tuned().records) == {ISA: {"reference": 9.5}}


CHANGES: dict[str, Callable[[Any], Any]] = {
    "another build of tconv measured it": lambda held: held | {"engine": "0123456789abcdef"},
    "it was measured on another CPU": lambda held: held | {"cpu": ["AuthenticAMD", 1, 2, "x", 0, 0]},
}


@pytest.mark.parametrize("why", CHANGES)
def test_results_of_another_machine_or_engine_are_ignored(folder: Path, why: str) -> None:
    usual = planning.plan(GEOMETRY)
    rewritten(kept(another()), CHANGES[why])
    assert planning.plan(GEOMETRY).name == usual.name
    assert tuned().why == why
    kept(another())  # and replaced by the next ones
    assert tuned().why == ""


HOSTILE: list[Any] = [
    b"", b"null", b"[]", b"[" * 100_000, b"\xff\xfe", b"9" * 5000, b'{"a": NaN}', b"{}",
    lambda held: held | {"records": []},
    lambda held: held | {"records": {ISA: {"phases.fed": -1.0}}},
    lambda held: held | {"records": {ISA: {"phases.fed": 1e300}}},
    lambda held: held | {"records": {ISA: {"phases.fed": float("nan")}}},
    lambda held: held | {"records": {ISA: {"phases.fed": True}}},
    lambda held: held | {"records": {ISA: {"phases.fed": "1.0"}}},
    lambda held: held | {"records": {ISA: {"phases.run": 64.0}}},
    lambda held: held | {"records": {ISA: {"caches.panels": 64.0}}},
    lambda held: held | {"records": {ISA: {"__class__": 1.0}}},
    lambda held: held | {"records": {"avx1024": {}}},
    lambda held: held | {"records": {ISA: [1.0]}},
    lambda held: held | {"plans": {"a": 1}},
    lambda held: held | {"plans": [["n1 c1>1 i3 k3"]]},
    lambda held: held | {"plans": [[*held["plans"][0][:-1], 7]]},
    lambda held: held | {"plans": [[{}, *held["plans"][0][1:]]]},
    lambda held: held | {"plans": [[*held["plans"][0][:5], 1, held["plans"][0][-1]]]},
    lambda held: {name: held[name] for name in ("engine", "cpu")},
]  # fmt: skip


@pytest.mark.parametrize("change", HOSTILE)
def test_contents_that_tune_does_not_write_are_ignored(folder: Path, change: Any) -> None:
    usual = planning.plan(GEOMETRY)
    rewritten(kept(another()), change if callable(change) else lambda held: change)
    assert planning.plan(GEOMETRY).name == usual.name
    assert tuned().why == "it holds what tconv tune does not write"
    assert tuned().records == {}


@pytest.mark.parametrize("box", ["(1, 1, 1, 9999999)", "(0, 0, 0, 0)", "(1, 1, 1, -5)"])
def test_a_plan_that_planning_does_not_offer_is_never_built(folder: Path, box: str) -> None:
    """Its name is compared and not read, so that no number of a file reaches the engine."""
    usual, other = planning.plan(GEOMETRY), another()
    part = repr(other.core.part)
    hostile = other.name.replace(part[part.index("box=") : part.index(", channels")], f"box={box}")
    assert hostile != other.name
    keep(ISA, None, {planning.tuned_key(other, True): hostile})
    planning.refresh()
    assert hostile in tuned().plans.values()
    assert planning.plan(GEOMETRY).name == usual.name
    assert "tconv tune" not in repr(planning.plan(GEOMETRY))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def damaged(path: Path) -> None:
    text = bytearray(path.read_bytes())
    text[len(text) // 2] ^= 1
    path.write_bytes(text)


def newer(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"tconv-tune 1", b"tconv-tune 2"))


def huge(path: Path) -> None:
    with open(path, "r+b") as file:
        file.truncate(50 << 30)


def link(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to("other")


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = {
    truncated: "it is damaged, or of another version",
    damaged: "it is damaged, or of another version",
    newer: "it is damaged, or of another version",
    huge: f"it is larger than {MOST >> 20} MiB",
    link: "it is no regular file",
    device: "it is no regular file",
    pipe: "it is no regular file",
    a_folder: "it is no regular file",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_broken_or_no_file_is_ignored(folder: Path, damage: Callable[[Path], None]) -> None:
    usual = planning.plan(GEOMETRY)
    damage(kept(another()))
    planning.refresh()
    assert planning.plan(GEOMETRY).name == usual.name
    assert tuned().why == DAMAGES[damage]


def test_an_unreadable_place_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for name in (str(tmp_path / "file"), "a" * 5000, str(tmp_path / "no/such")):
        monkeypatch.setenv("TCONV_CACHE", name)
        planning.refresh()
        assert planning.plan(GEOMETRY).cost > 0
    planning.refresh()


def test_it_can_be_off_and_cleared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kept(another())
    with monkeypatch.context() as off:
        off.setenv("TCONV_CACHE", "off")
        planning.refresh()
        assert place() is None
        assert "tconv tune" not in repr(planning.plan(GEOMETRY))
        assert clear() is None
        with pytest.raises(TconvError, match="TCONV_CACHE=off"):
            keep(ISA, None, {})
    assert path.exists()
    assert clear() == path
    assert clear() is None
    assert not path.exists()


def test_the_place_follows_the_conventions_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TCONV_CACHE")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert place() == Path("/caches/tconv/tuned")
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert place() == Path("/home/me/.cache/tconv/tuned")
    monkeypatch.setenv("HOME", "~")  # as where nobody's is known
    assert place() is None
    with pytest.raises(TconvError, match="no home folder"):
        keep(ISA, None, {})
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert place() == Path("/home/me/Library/Caches/tconv/tuned")


def test_the_oldest_results_make_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_file, "MOST", 20_000)
    for n in range(100):
        keep(ISA, None, {(f"p{n}", "conv", "f32", "channels_first", ISA, True): "x" * 200})
    held = [key[0] for key in tuned().plans]
    assert held[-1] == "p99"
    assert "p0" not in held
    assert place().stat().st_size < 20_000  # type: ignore[union-attr]


def test_numbers_that_are_measured_are_costs_and_not_sizes() -> None:
    paths = {".".join(path) for path in leaves(default_record(ISA))}
    assert {"ports.load", "phases.fed", "reference"} <= paths
    assert not {"caches.near", "phases.run", "tasks.worth", "pack_phases"} & paths


def test_version_says_what_is_ignored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tconv.cli import main

    def version() -> list[str]:
        planning.refresh()
        with pytest.raises(SystemExit):
            main(["--version"])
        return capsys.readouterr().out.splitlines()

    path = kept(another())
    assert len(version()) == 1
    truncated(path)
    first, second = version()
    assert second == f"results of tconv tune are ignored: {path}: it is damaged, or of another version"
    assert str(tconv.get_num_threads()) in first
