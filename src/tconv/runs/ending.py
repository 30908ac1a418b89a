"""How a training ends early: an error in another process, or Ctrl-C, in one line."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

import pytorch_lightning as lightning
from torch.multiprocessing.spawn import ProcessRaisedException

from tconv.errors import TconvError
from tconv.runs.log import note

__all__ = ["one_line"]


@contextlib.contextmanager
def one_line(trainer: lightning.Trainer, stopped: Callable[[], str]) -> Iterator[None]:
    """Report an early end of the training in one line; ``stopped`` says what to do after Ctrl-C.

    Raises:
        TconvError: another process raised it.
        KeyboardInterrupt: Ctrl-C, which Lightning turns into SystemExit.
    """
    try:
        yield
    except ProcessRaisedException as fault:
        last = str(fault).strip().splitlines()[-1]
        kind, _, message = last.partition(": ")
        if kind == f"{TconvError.__module__}.{TconvError.__name__}":
            raise TconvError(message) from None
        raise
    except SystemExit:
        # Lightning catches KeyboardInterrupt and exits, but does not end its other processes.
        if trainer.strategy.launcher is not None:
            trainer.strategy.launcher.kill(signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        note(stopped())
        raise KeyboardInterrupt from None
