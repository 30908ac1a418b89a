"""Whatever an exported program contains, none of it is run: it is read, or refused in one line."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tconv.cli import main
from tconv.diagnosis import diagnose
from tconv.errors import TconvError
from tconv.models.programs import load
from tests.models.exported_programs import exported, saved, torch


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    size = {2: torch.export.Dim("rows", min=2, max=99)}
    return saved(exported(dynamic_shapes=(size,)), tmp_path_factory.mktemp("programs") / "whole.pt2")


def remade(path: Path, made: Path, change: Callable[[str, bytes], bytes | None], method: int = 0) -> Path:
    """The archive with other records, and correct checksums."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w", method) as new:
        for entry in old.infolist():
            data = change(entry.filename.partition("/")[2], old.read(entry))
            if data is not None:
                new.writestr(entry.filename, data)
    return made


def in_json(record: str, change: Callable[[Any], Any]) -> Callable[[str, bytes], bytes]:
    return lambda name, data: json.dumps(change(json.loads(data))).encode() if name.endswith(record) else data


def everywhere(key: str, value: Any) -> Callable[[Any], Any]:
    """Put `value` at every such key of nested JSON."""

    def change(at: Any) -> Any:
        if isinstance(at, dict):
            return {k: value if k == key else change(v) for k, v in at.items()}
        return [change(v) for v in at] if isinstance(at, list) else at

    return change


def test_an_expression_of_a_size_is_not_run(whole: Path, tmp_path: Path) -> None:
    code = f"__import__('pathlib').Path({str(tmp_path / 'was_here')!r}).write_text('x')"
    evil = remade(whole, tmp_path / "evil.pt2", in_json("model.json", everywhere("expr_str", code)))
    assert code in zipfile.ZipFile(evil).read("whole/models/model.json").decode().replace('\\"', '"')
    assert [str(e.layer.geometry) for e in diagnose(evil).layers] == [
        str(e.layer.geometry) for e in diagnose(whole).layers
    ]
    assert not (tmp_path / "was_here").exists()


def _config(change: Callable[[dict[str, Any]], Any]) -> Callable[[str, bytes], bytes]:
    """Change the description of the weight of `up`."""

    def inside(config: Any) -> Any:
        change(config["config"]["up.weight"])
        return config

    return in_json("model_weights_config.json", inside)


def _meta(**values: Any) -> Callable[[str, bytes], bytes]:
    return _config(lambda entry: entry["tensor_meta"].update(values))


def _ints(*numbers: int) -> list[dict[str, int]]:
    return [{"as_int": number} for number in numbers]


HOSTILE: dict[str, tuple[Callable[[str, bytes], bytes | None], str]] = {
    "a tensor beyond its bytes": (_meta(sizes=_ints(4, 2, 4, 5)), "lies outside"),
    "a tensor far beyond its bytes": (_meta(sizes=_ints(1 << 40, 1 << 20, 4, 4)), "its tensors come to"),
    "sizes without strides": (_meta(sizes=_ints(4, 2, 4)), "3 sizes and 4 strides"),
    "one number again and again": (
        _meta(sizes=_ints(1 << 20, 1 << 20, 4, 4), strides=_ints(0, 0, 0, 0)),
        "its tensors come to",
    ),
    "an offset": (_meta(storage_offset={"as_int": 1}), "lies outside"),
    "a negative offset": (_meta(storage_offset={"as_int": -1}), "sizes or strides"),
    "negative strides": (_meta(strides=_ints(-32, 16, 4, 1)), "sizes or strides"),
    "a symbolic size": (_meta(sizes=[{"as_expr": {"expr_str": "s0"}}] * 4), "sizes or strides"),
    "an unknown dtype": (_meta(dtype=29), "dtype 29"),
    "a sparse layout": (_meta(layout=1), "layout 1"),
    "a pickle": (_config(lambda entry: entry.update(use_pickle=True)), "not opened"),
    "a path": (_config(lambda entry: entry.update(path_name="../../../../etc/passwd")), "no record"),
    "deep nesting": (
        lambda name, data: b"[" * 100_000 + b"]" * 100_000 if name.endswith("model.json") else data,
        "recursion",
    ),
    "many digits": (
        lambda name, data: b'{"a": ' + b"9" * 9_000 + b"}" if name.endswith("model.json") else data,
        "digits",
    ),
    "no JSON": (lambda name, data: b"\xff\xfe\x00" if name.endswith("model.json") else data, "complete"),
    "no graph": (lambda name, data: None if name.endswith("model.json") else data, "no record models/model"),
    "large JSON": (
        lambda name, data: b" " * ((1 << 25) + 1) if name.endswith("model.json") else data,
        "up to 33554432 would fit",
    ),
    "big-endian": (lambda name, data: b"big" if name == "byteorder" else data, "byte order big"),
    "another schema": (
        in_json("model.json", everywhere("schema_version", {"major": 9, "minor": 0})),
        "written by torch 2.",
    ),
    "weights of 2.8": (
        lambda name, data: None if name.endswith("weights_config.json") else data,
        "torch 2.9 or newer writes plain ones",
    ),
    "axes": (_meta(sizes=_ints(4, 2), strides=_ints(2, 1)), "2 axes; 3 to 5 would fit"),
    "strides of nothing": (
        lambda name, data: data.replace(b'{"as_ints": [2, 2]}', b'{"as_ints": [0, 2]}'),
        "stride 0",
    ),
    "words for numbers": (
        lambda name, data: data.replace(b'{"as_ints": [2, 2]}', b'{"as_ints": ["2", 2]}'),
        "where a int is needed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program_is_refused_in_one_line(
    name: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, said = HOSTILE[name]
    assert main(["diagnose", str(remade(whole, tmp_path / "m.pt2", change))]) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1
    assert len(line) < 600


def _entry(data: bytes) -> int:
    """Where the directory starts, and its first entry."""
    start: int = struct.unpack_from("<Q", data, data.rindex(b"PK\x06\x06") + 48)[0]
    return start


def _swapped(data: bytes, fields: dict[int, bytes], nth: int | None = 0) -> bytes:
    """`data` with other bytes at these places of the directory's nth entry; of its own record for None."""
    at = data.rindex(b"PK\x06\x06") if nth is None else _entry(data)
    for _ in range(nth or 0):
        at = data.index(b"PK\x01\x02", at + 1)
    made = bytearray(data)
    for place, value in fields.items():
        made[at + place : at + place + len(value)] = value
    return bytes(made)


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a size beyond the file": (
        lambda data: _swapped(data, {20: struct.pack("<LL", 1 << 31, 1 << 31)}),
        "truncated",
    ),
    "more unpacked than packed": (
        lambda data: _swapped(data, {24: struct.pack("<L", 1 << 31)}),
        "compressed",
    ),
    "one record over another": (
        lambda data: _swapped(data, {16: data[_entry(data) + 16 : _entry(data) + 28], 42: bytes(4)}, 1),
        "overlap",
    ),
    "one name twice": (
        lambda data: data.replace(b"whole/data/weights/weight_1", b"whole/data/weights/weight_0"),
        "duplicate",
    ),
    "another checksum": (lambda data: _swapped(data, {16: b"\0\0\0\0"}), "checksum"),
    "many records": (
        lambda data: _swapped(data, {24: struct.pack("<QQ", 1 << 40, 1 << 40)}, None),
        "claims",
    ),
    "a directory elsewhere": (
        lambda data: _swapped(data, {48: struct.pack("<Q", 1 << 60)}, None),
        "truncated",
    ),
    "other weights": (lambda data: data[:200] + bytes(100) + data[300:], "differs from its checksum"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_archive_is_refused_in_one_line(name: str, whole: Path, tmp_path: Path) -> None:
    change, said = BROKEN[name]
    path = tmp_path / "m.pt2"
    path.write_bytes(change(whole.read_bytes()))
    assert path.read_bytes() != whole.read_bytes()
    with pytest.raises(TconvError, match=f"not a complete exported program: .*{said}"):
        diagnose(path)


def test_a_bomb_is_refused_unread(whole: Path, tmp_path: Path) -> None:
    bomb = remade(
        whole,
        tmp_path / "m.pt2",
        lambda name, data: bytes(1 << 28) if "weight_0" in name else data,
        zipfile.ZIP_DEFLATED,
    )
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(TconvError, match="compressed or encrypted, which PyTorch never does"):
        diagnose(bomb)


def test_a_weight_of_many_names_is_held_once(whole: Path, tmp_path: Path) -> None:
    """A name takes 60 bytes of the file, and the weight behind it as many as the file allows."""

    def change(program: Any) -> Any:
        specs = program["graph_module"]["signature"]["input_specs"]
        up = next(s for s in specs if s.get("parameter", {}).get("parameter_name") == "up.weight")
        for i in range(100):
            specs.append(json.loads(json.dumps(up).replace('"p_up_weight"', f'"p{i}"')))
        return program

    program = load(remade(whole, tmp_path / "m.pt2", in_json("model.json", change)))
    assert {f"p{i}" for i in range(100)} <= program.weights.keys()
    assert all(program.weights[f"p{i}"] is program.weights["p_up_weight"] for i in range(100))


#: Reads mutated programs where a file that gets to run anything, or to take much, is caught.
CHILD = """
import json, random, resource, struct, sys, zipfile, zlib
from pathlib import Path
from tconv.diagnosis import diagnose
from tconv.errors import TconvError

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
whole, path = Path(sys.argv[1]), Path(sys.argv[2])
seed, count = int(sys.argv[3]), int(sys.argv[4])
str(diagnose(whole))
watching = False

def watch(event, args):
    if watching and (event in ("exec", "compile", "import", "pickle.find_class", "ctypes.dlopen")
                     or event.startswith(("os.", "subprocess.", "socket."))):
        raise SystemExit(f"ran {event} {args}")

sys.addaudithook(watch)
records = {entry.filename: zipfile.ZipFile(whole).read(entry) for entry in zipfile.ZipFile(whole).infolist()}
values = (None, True, -1, 0, 1, 2**31, 2**63, 10**30, 1.5, "", "x", "__import__('os').abort()", [], {}, [[]],
          {"as_int": 1}, {"as_expr": {"expr_str": "1/0"}}, {"as_ints": [1, 2]}, {"as_tensor": {"name": "x"}})

def spots(at, found):
    for key in (at if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ()):
        found.append((at, key))
        spots(at[key], found)
    return found

def mutated(rng):
    if rng.random() < 0.3:
        data = bytearray(whole.read_bytes())
        if rng.random() < 0.3:
            return bytes(data[: rng.randrange(len(data))])
        for _ in range(rng.choice((1, 1, 3, 30))):
            # Half of the time in the directory, where there are fewest bytes and most to say.
            start = data.rindex(b"PK\\x06\\x06") - 2000 if rng.random() < 0.5 else 0
            data[rng.randrange(start, len(data))] = rng.randrange(256)
        return bytes(data)
    made = dict(records)
    name = rng.choice([n for n in made if n.endswith("model.json") or n.endswith("weights_config.json")])
    tree = json.loads(made[name])
    for _ in range(rng.choice((1, 1, 2, 5))):
        at, key = rng.choice(spots(tree, []))
        if rng.random() < 0.2:
            del at[key]
        else:
            at[key] = rng.choice(values)
    made[name] = json.dumps(tree).encode()
    with zipfile.ZipFile(path, "w") as new:
        for each, data in made.items():
            new.writestr(each, data)
    return path.read_bytes()

counts = {"fine": 0, "refused": 0}
for i in range(count):
    path.write_bytes(mutated(random.Random(seed * 1_000_000 + i)))
    watching = True
    try:
        str(diagnose(path))
        counts["fine"] += 1
    except TconvError as fault:
        assert "\\n" not in str(fault) and str(fault).isprintable(), (seed, i, str(fault))
        counts["refused"] += 1
    except BaseException:
        watching = False
        print("mutation", seed, i, file=sys.stderr)
        raise
    watching = False
assert "torch" not in sys.modules
print(json.dumps(counts))
"""


def test_mutated_programs_are_read_or_refused_and_run_nothing(whole: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-c", CHILD, str(whole), str(tmp_path / "m.pt2"), "0", "400"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    counts = json.loads(done.stdout)
    assert counts["refused"] > 200  # the mutations reach what is read
    assert counts["fine"] > 20  # and not all of it matters
