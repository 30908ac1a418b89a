"""What tests of several rooms share: refusals, and a process that Ctrl-C reaches and that is always ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator

import pytest

from tconv import TconvError

__all__ = ["PATIENCE", "refused_in_one_line", "started"]

#: Seconds that a test waits for another process before it fails: far more than a busy machine takes.
PATIENCE = 300


@contextlib.contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    """``python WORDS`` with its output piped, in a session of its own that is killed when the block ends.

    Ctrl-C reaches it even where we ignore ours: under ``nohup``, or as a job in the background.
    """
    before = signal.getsignal(signal.SIGINT)
    # A handler does not outlive exec, so the child begins with the default; "ignored" would outlive it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        program = subprocess.Popen(
            [sys.executable, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with program:
        try:
            yield program
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)


def refused_in_one_line(call: Callable[[], object], pieces: Iterable[str]) -> None:
    """Check that a call is refused by one line that holds all `pieces`."""
    with pytest.raises(TconvError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for piece in pieces:
        assert piece in message
