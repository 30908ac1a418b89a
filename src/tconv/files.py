"""Atomic writing of files: to a temporary file that is then renamed; and reading of complete files only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError

__all__ = ["make_folder", "read_npy", "write_aside"]


@contextlib.contextmanager
def write_aside(path: Path) -> Iterator[IO[bytes]]:
    """Open ``path`` + ``.part`` for writing bytes and rename it to ``path`` once all bytes are on the disk.

    A failure (a full disk, no permission, a killed process) leaves ``path`` as it was; only a
    kill can leave the ``.part``, which the next writer of the same file overwrites.

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
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as raw:
            guarded = _Guarded(raw)
            yield guarded  # type: ignore[misc]
            guarded.check()
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(part, path)
    except OSError as fault:
        part.unlink(missing_ok=True)
        raise TconvError(f"cannot write {path}: {fault.strerror or fault}") from fault
    except BaseException:
        part.unlink(missing_ok=True)
        raise


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
    except OSError as fault:
        raise TconvError(f"cannot make the folder {path}: {fault.strerror or fault}") from fault
    return path
