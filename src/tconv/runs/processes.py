"""The processes of a distributed run: of this machine, or torchrun's; importable without PyTorch."""

from __future__ import annotations

import os

from tconv.errors import TconvError

__all__ = ["by_torchrun", "count", "is_first"]


def by_torchrun() -> bool:
    """Whether torchrun started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_first() -> bool:
    """Whether this process is the one that reports and writes for all."""
    return not by_torchrun() or os.environ.get("RANK", "0") == "0"


def count(devices: int, nodes: int) -> int:
    """The number of processes that train together.

    Raises:
        TconvError: fewer than one, or not as many as torchrun started.

    >>> count(devices=2, nodes=1)
    2
    """
    for name, value in (("devices", devices), ("nodes", nodes)):
        if value < 1:
            raise TconvError(f"{name}={value}: must be at least 1")
    if by_torchrun():
        started = os.environ["WORLD_SIZE"]
        if int(started) != devices * nodes:
            raise TconvError(f"devices={devices}, nodes={nodes}: torchrun started {started} processes")
    elif nodes > 1:
        raise TconvError(f"nodes={nodes}: start it on each machine with torchrun; see 'tconv train --help'")
    return devices * nodes
