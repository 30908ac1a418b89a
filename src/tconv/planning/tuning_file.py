"""What `tconv tune` measured on this machine: its file, read once, and only where it was measured here.

The file holds numbers of cost records and the names of plans. Nothing is built from it: a number replaces one
of a record within bounds, and a plan is chosen only if planning itself offers one of that name. So a file
that anybody wrote can make a layer slow, but not wrong.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from tconv import _core
from tconv.errors import TconvError, clean, said
from tconv.files import alone, make_folder, write_aside
from tconv.planning.hardware import cpu
from tconv.planning.kinds import default_record
from tconv.planning.records import Caches, Record, Tasks

__all__ = [
    "Key",
    "Tuned",
    "clear",
    "engine",
    "keep",
    "leaves",
    "moved",
    "place",
    "record_of",
    "tuned",
    "value_of",
]

#: Problem, map, dtype, layout, instruction set, and whether weights are packed once.
Key: TypeAlias = tuple[str, str, str, str, str, bool]

FORMAT = "tconv-tune 1"  #: how the first line begins; the SHA-256 of the rest follows
MOST = 4 << 20  #: bytes of the file
FAR = 100.0  #: the factor by which a tuned number may differ from the default


class Tuned(NamedTuple):
    """What was measured, or why it is not used."""

    records: Mapping[str, Mapping[str, float]] = {}  #: instruction set -> number -> value
    plans: Mapping[Key, str] = {}  #: the name of the fastest plan
    why: str = ""  #: why there is a file and it is ignored


def place() -> Path | None:
    """The file, in TCONV_CACHE or the user's folder of caches; None if TCONV_CACHE=off or nobody's home."""
    given = os.environ.get("TCONV_CACHE")
    if given == "off":
        return None
    if given:
        folder = Path(given)
    elif sys.platform == "darwin":
        folder = Path(os.path.expanduser("~/Library/Caches/tconv"))
    else:
        # The standard says that a relative path is to be ignored.
        caches = os.environ.get("XDG_CACHE_HOME", "")
        folder = Path(caches if os.path.isabs(caches) else os.path.expanduser("~/.cache"), "tconv")
    return None if folder.parts[:1] == ("~",) else folder / "tuned"


@cache
def engine() -> str:
    """A digest of the engine and the formulas: a record and the names of plans hold for no others."""
    digest = hashlib.sha256()
    for path in (Path(_core.__file__), *sorted(Path(__file__).parent.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def tuned() -> Tuned:
    """What this process uses; read once."""
    path = place()
    if path is None:
        return Tuned()
    try:
        text = _read(path)
        return Tuned() if text is None else _parsed(text)
    except OSError as fault:
        return Tuned(why=f"it cannot be read: {said(fault)}")
    except _Ignored as fault:
        return Tuned(why=str(fault))


class _Ignored(Exception):
    """Why a file is not used."""


def _read(path: Path) -> bytes | None:
    """The bytes of a regular file of moderate size; None if there is no file."""
    try:
        # A pipe is not waited for, and a link not followed.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as fault:
        if fault.errno == errno.ELOOP:
            raise _Ignored("it is no regular file") from None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _Ignored("it is no regular file")
        with open(descriptor, "rb", closefd=False) as file:
            text = file.read(MOST + 1)
    finally:
        os.close(descriptor)
    if len(text) > MOST:
        raise _Ignored(f"it is larger than {MOST >> 20} MiB")
    return text


def _parsed(text: bytes) -> Tuned:
    head, _, body = text.partition(b"\n")
    if head != _head(body):
        raise _Ignored("it is damaged, or of another version")
    try:
        held = json.loads(body)
        if held["engine"] != engine():
            raise _Ignored("another build of tconv measured it")
        if held["cpu"] != list(cpu()):
            raise _Ignored("it was measured on another CPU")
        records = {isa: _numbers(isa, given) for isa, given in held["records"].items()}
        plans = {_key(key): _text(name) for *key, name in held["plans"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _Ignored("it holds what tconv tune does not write") from None
    return Tuned(records, plans)


def _head(body: bytes) -> bytes:
    return f"{FORMAT} {hashlib.sha256(body).hexdigest()}".encode()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _key(given: list[Any]) -> Key:
    problem, map, dtype, layout, isa, prepared = given
    if not isinstance(prepared, bool):
        raise TypeError
    return _text(problem), _text(map), _text(dtype), _text(layout), _text(isa), prepared


def _numbers(isa: str, given: Mapping[str, float]) -> dict[str, float]:
    """Numbers of a record, each not too far from the default."""
    usual = default_record(isa)
    known = {".".join(path): value_of(usual, path) for path in leaves(usual)}
    for name, value in given.items():
        if not isinstance(value, float) or not known[name] / FAR <= value <= known[name] * FAR:
            raise ValueError
    return dict(given)


def leaves(record: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of the numbers that are measured: cycles and factors, not sizes, nor when to split work."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            if not isinstance(value, Caches | Tasks):
                yield from leaves(value, (*path, field.name))
        elif isinstance(value, float) and not field.name.startswith("pack_"):
            yield (*path, field.name)


def value_of(record: Any, path: tuple[str, ...]) -> float:
    """The number at a path."""
    for name in path:
        record = getattr(record, name)
    return float(record)


def moved(record: Any, path: tuple[str, ...], value: float) -> Any:
    """The record with `value` at a path."""
    if len(path) > 1:
        value = moved(getattr(record, path[0]), path[1:], value)
    return dataclasses.replace(record, **{path[0]: value})


@cache
def record_of(isa: str) -> Record:
    """The costs of work by which plans are chosen: measured on this machine, or the default of its kind."""
    record = default_record(isa)
    for name, value in tuned().records.get(isa, {}).items():
        record = moved(record, tuple(name.split(".")), value)
    return record


def keep(isa: str, record: Record | None, plans: Mapping[Key, str]) -> Path:
    """Add a record, unless it is None, and plans to the file; what it holds for this machine stays.

    Raises:
        TconvError: there is no place for it, or it cannot be written.
    """
    path = place()
    if path is None:
        why = "TCONV_CACHE=off" if os.environ.get("TCONV_CACHE") else "there is no home folder"
        raise TconvError(f"results are not kept ({why}); TCONV_CACHE=FOLDER would fit")
    with alone(make_folder(path.parent), patience=10.0):
        tuned.cache_clear()
        before = tuned()
        records, kept = dict(before.records), dict(before.plans)
        if record is not None:
            usual = default_record(isa)
            records[isa] = {
                ".".join(at): value_of(record, at)
                for at in leaves(record)
                if value_of(record, at) != value_of(usual, at)
            }
        for key, name in plans.items():
            kept.pop(key, None)  # so that the oldest are first
            kept[key] = name
        while len(body := _body(records, kept)) > MOST // 2:
            kept = dict(list(kept.items())[len(kept) // 8 + 1 :])
        with write_aside(path) as file:
            file.write(_head(body) + b"\n" + body)
    tuned.cache_clear()
    record_of.cache_clear()
    return path


def _body(records: Mapping[str, Mapping[str, float]], plans: Mapping[Key, str]) -> bytes:
    held = {
        "engine": engine(),
        "cpu": list(cpu()),
        "records": records,
        "plans": [[*key, name] for key, name in plans.items()],
    }
    return json.dumps(held, indent=0).encode()


def clear() -> Path | None:
    """Remove the file and return its path; None if there was none.

    Raises:
        TconvError: it cannot be removed.
    """
    path = place()
    try:
        if path is None or not os.path.lexists(path):
            return None
        path.unlink()
    except (OSError, ValueError) as fault:
        raise TconvError(f"cannot remove {clean(path, 300)}: {said(fault)}") from None
    finally:
        tuned.cache_clear()
        record_of.cache_clear()
    return path
