"""PyTorch's own threads, for the engine to run on.

After each parallel operator PyTorch's OpenMP workers spin for a while on the cores that the engine's own
pool needs next: alternating with PyTorch's operators, kernels on the pool took about twice as long (2
cores). On PyTorch's own team they take as long as alone. `torch.set_num_threads` then limits the engine too.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import torch

from tconv import _core

__all__ = ["join", "leave"]


def join() -> bool:
    """Run the engine on PyTorch's OpenMP team from now on; False if there is none."""
    for path in _runtimes():
        try:
            runtime = ctypes.CDLL(str(path))
            parallel, most = (
                ctypes.cast(getattr(runtime, name), ctypes.c_void_p).value or 0
                for name in ("GOMP_parallel", "omp_get_max_threads")
            )
        except (AttributeError, OSError):
            continue
        _core.set_team(parallel, most)
        return True
    return False


def leave() -> None:
    """Return to the engine's own pool."""
    _core.set_team(0, 0)


def _runtimes() -> list[Path]:
    """OpenMP runtimes in this process, PyTorch's own first."""
    maps = Path("/proc/self/maps")
    if not torch.backends.openmp.is_available() or not maps.exists():  # type: ignore[no-untyped-call]
        return []
    loaded = {Path(line.split(maxsplit=5)[5]) for line in maps.read_text().splitlines() if "/" in line}
    found = sorted(path for path in loaded if re.match(r"lib(gomp|iomp5|omp)\b", path.name))
    home = Path(torch.__file__).parents[1]
    return sorted(found, key=lambda path: home not in path.parents)
