"""A model's file and that of its data, for any number of writers and readers: never the data of another."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from tconv.files import lock, new_file, write_aside

__all__ = ["data_of", "write_pair"]


def write_pair(path: Path, write_data: Callable[[IO[bytes], str], bytes]) -> None:
    """Write data to a new file, then the model at `path` that names it; then remove data of earlier models.

    Args:
        write_data: writes to the open file of that name beside `path`, and returns the model's bytes.

    Raises:
        OSError, TconvError: a file cannot be written; then `path` is as it was.
    """
    with contextlib.ExitStack() as stack:
        # It is locked until the end, as a sign to others that somebody is still writing.
        file = stack.enter_context(_created(path))
        data = path.with_name(os.path.basename(file.name))
        try:
            text = write_data(file, data.name)
            file.flush()
            os.fsync(file.fileno())
            with write_aside(path) as model:
                model.write(text)
                written = os.dup(model.fileno())  # while it is open, no other file has its number
                stack.callback(os.close, written)
        except BaseException:
            data.unlink(missing_ok=True)
            raise
        _clear(path, data, os.fstat(written))


def _clear(path: Path, data: Path, written: os.stat_result) -> None:
    """Remove data that no model names: those of others, unless they write, or ours, if `path` is theirs."""
    with contextlib.ExitStack() as stack:
        left = []
        for other in data_of(path):
            with contextlib.suppress(OSError):
                if other == data or not stat.S_ISREG(os.lstat(other).st_mode):
                    continue
                file = stack.enter_context(open(other, "rb"))
                if lock(file.fileno()) and os.path.samestat(os.fstat(file.fileno()), os.lstat(other)):
                    left.append(other)
        # Whoever has finished before we looked has also put its model in place: then it is not ours.
        ours = path.exists() and os.path.samestat(os.stat(path), written)
        for old in left if ours else [data]:
            with contextlib.suppress(OSError):
                old.unlink()


def data_of(path: Path) -> list[Path]:
    """The data files of all writings of the model at `path`."""
    pattern = re.compile(rf"{re.escape(path.name)}\.([0-9a-f]{{12}}\.)?data")
    try:
        names = os.listdir(path.parent)
    except OSError:  # who writes there says why not
        return []
    return [path.with_name(name) for name in names if pattern.fullmatch(name)]


def _created(path: Path) -> IO[bytes]:
    """A new file that is locked, under a name that nobody else has."""
    plain = path.with_name(f"{path.name}.data")

    def names() -> Iterator[Path]:
        # A model that is replaced may just be read: its data's name must not come to mean others.
        if not path.exists():
            yield plain
        while True:
            yield path.with_name(f"{path.name}.{secrets.token_hex(6)}.data")

    while True:
        file = new_file(names())
        if Path(file.name) != plain or not path.exists():
            return file
        plain.unlink(missing_ok=True)
        file.close()
