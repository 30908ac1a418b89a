"""Atomic writing of files: to a temporary file that is then renamed; and reading of complete files only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError, clean, said

__all__ = ["alone", "aside", "check_file", "lock", "make_folder", "new_file", "read_npy", "write_aside"]


@contextlib.contextmanager
def write_aside(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside ``path`` for writing bytes and rename it to ``path`` once all bytes are on the disk.

    A failure (a full disk, no permission, a killed process) leaves ``path`` as it was. Each writer has a
    temporary file of its own: of several writers at once, the last one's file stays, whole. A file that a
    killed process leaves behind ends in ``.part`` and is removed by the next writer of the same path.

    Raises:
        TconvError: the file cannot be written; the message names it and the system's reason.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with write_aside(folder / "a.txt") as file:
    ...     _ = file.write(b"whole")
    >>> [p.name for p in folder.iterdir()], (folder / "a.txt").read_bytes()
    (['a.txt'], b'whole')
    """
    if not path.name:
        raise TconvError(f"cannot write {path}: it is a folder")
    _check_target(path)
    part = None
    try:
        _remove_abandoned(path)
        with new_file(aside(path) for _ in repeat(None)) as raw:
            part = Path(raw.name)
            guarded = _Guarded(raw)
            yield guarded  # type: ignore[misc]
            guarded.check()
            raw.flush()
            os.fsync(raw.fileno())
            os.replace(part, path)
        _sync_folder(path.parent)
    except BaseException as fault:
        if part is not None:
            part.unlink(missing_ok=True)
        if isinstance(fault, OSError):
            raise TconvError(f"cannot write {clean(path, 300)}: {fault.strerror or fault}") from fault
        raise


def _check_target(path: Path) -> None:
    """Refuse what a renamed file would replace: a folder, or for root a device such as /dev/null."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as fault:  # a name that no file can have is a ValueError
        raise TconvError(f"cannot write {clean(path, 300)}: {said(fault)}") from None
    if stat.S_ISDIR(mode):
        raise TconvError(f"cannot write {clean(path, 300)}: it is a folder")
    if not stat.S_ISREG(mode):
        raise TconvError(f"cannot write {clean(path, 300)}: it is no regular file")


def aside(path: Path) -> Path:
    """A name beside ``path`` that nobody else writes to."""
    return path.with_name(f"{_stem(path)}{secrets.token_hex(6)}.part")


def _stem(path: Path) -> str:
    """What all names beside ``path`` begin with, short enough for what follows."""
    return f"{path.name.encode(errors='surrogateescape')[:200].decode(errors='ignore')}."


def _remove_abandoned(path: Path) -> None:
    """Remove what killed writers of ``path`` have left; a living one holds the lock of its file."""
    pattern = re.compile(rf"{re.escape(_stem(path))}[0-9a-f]{{12}}\.part")
    remove_unlocked(path.with_name(name) for name in os.listdir(path.parent) if pattern.fullmatch(name))


def new_file(names: Iterable[Path]) -> IO[bytes]:
    """A new file of the first name that is free; it is locked while it is open: somebody writes it."""
    for name in names:
        try:
            file = open(name, "xb")  # noqa: SIM115  # the caller closes it
        except FileExistsError:
            continue
        # Before the lock another writer may have taken it for abandoned: it is removed then, or about to be,
        # by its name. So that name is not used again.
        if lock(file.fileno()) is not False and name.exists():
            return file
        file.close()
        name.unlink(missing_ok=True)
    raise TconvError("no name is free")


def remove_unlocked(names: Iterable[Path]) -> None:
    """Remove those of these files that nobody writes."""
    for name in names:
        with contextlib.suppress(OSError):
            if not stat.S_ISREG(os.lstat(name).st_mode):
                continue
            with open(name, "rb") as file:
                if lock(file.fileno()) and os.path.samestat(os.fstat(file.fileno()), os.lstat(name)):
                    name.unlink()


def lock(descriptor: int) -> bool | None:
    """Lock an open file for as long as it is open; False where another process has done so.

    None where the file system has no locks, as some of a network: nobody knows who else is there.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _sync_folder(folder: Path) -> None:
    """Make a renaming outlive a power cut, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def alone(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Keep other processes out of a folder; the system lets them in when this one ends, however it does.

    Args:
        folder: which folder.
        patience: how many seconds to wait for another process to leave it.

    Raises:
        TconvError: another process works in it, or it cannot be opened.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as fault:
        raise TconvError(f"cannot open the folder {folder}: {fault.strerror or fault}") from fault
    try:
        end = time.monotonic() + patience
        while (free := lock(descriptor)) is False and time.monotonic() < end:
            time.sleep(0.02)
        if free is False:
            raise TconvError(f"{folder} is in use by another process; wait for it, or take another folder")
        yield
    finally:
        os.close(descriptor)


def check_file(path: Path) -> None:
    """Whether ``path`` can be read to its end: a pipe could keep its reader waiting, a device never end.

    Raises:
        TconvError: it is no regular file. One that is not there passes: who opens it says so.

    >>> check_file(Path("/dev/zero"))
    Traceback (most recent call last):
    ...
    tconv.errors.TconvError: /dev/zero is no regular file; pipes and devices are not read
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as fault:  # a name that no file can have is a ValueError
        raise TconvError(f"cannot read {clean(path, 300)}: {said(fault)}") from None
    if stat.S_ISDIR(mode):
        raise TconvError(f"{path} is a folder; a file would fit")
    if not stat.S_ISREG(mode):
        raise TconvError(f"{path} is no regular file; pipes and devices are not read")


class _Guarded:
    """A file that keeps its first exception, or Ctrl-C, for `check`.

    torch.save writes through C++, which aborts the process if a Python write raises half-way; so the
    exception is deferred until the writer has returned.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._fault: BaseException | None = None

    def write(self, data: Any) -> int:
        if self._fault is None:
            try:
                return self._file.write(data)
            except BaseException as fault:
                self._fault = fault
        return memoryview(data).nbytes

    def check(self) -> None:
        if self._fault is not None:
            raise self._fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def read_npy(path: Path) -> npt.NDArray[Any]:
    """The array of a .npy file, memory-mapped and not yet read, so that a wrong shape is refused at no cost.

    Raises:
        TconvError: no such file, or not a complete .npy file; pickled objects, which could run code, are
            refused.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.npy")
    >>> np.save(path, [1, 2])
    >>> np.array(read_npy(path))
    array([1, 2])
    """
    check_file(path)
    try:
        with open(path, "rb") as file:
            if file.read(6) != b"\x93NUMPY":  # np.load reads other kinds of file, too
                raise ValueError
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except OSError as fault:
        raise TconvError(f"cannot read {path}: {fault.strerror or fault}") from None
    except (ValueError, OverflowError, SyntaxError, TokenError):
        raise TconvError(f"{path} is not a complete .npy file of numbers; numpy.save writes one") from None


def make_folder(path: Path) -> Path:
    """Make a folder and its parents, and return it; an existing one is accepted.

    Raises:
        TconvError: it cannot be made (a file of that name, no permission, a full disk).
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as fault:
        raise TconvError(f"cannot make the folder {clean(path, 300)}: {said(fault)}") from fault
    return path
