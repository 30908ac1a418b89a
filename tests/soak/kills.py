"""Processes killed at random while they train or write; what they leave behind must be whole, and go on."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

__all__ = ["Training", "kill_writers"]

Random = np.random.Generator


def _killed(work: Callable[[], object], seconds: float) -> bool:
    """Whether `work`, in a forked child, was still at it after so many seconds, and was killed."""
    child = os.fork()
    if child == 0:
        os.close(2)  # its notes
        os.open(os.devnull, os.O_WRONLY)
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert status == 0, f"a child ended with status {status}"
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


class Training:
    """A small run that is killed again and again, and must end as an unbroken one does."""

    def __init__(self, folder: Path) -> None:
        from tconv.train.run import fit
        from tests.train.helpers import SETTINGS, write_folder

        self._folder = folder
        self._data = write_folder(folder / "data")
        self._fit, self._settings = fit, SETTINGS
        begin = time.monotonic()
        assert not _killed(lambda: fit(self._data, folder / "unbroken", **SETTINGS), 600)
        self._seconds = time.monotonic() - begin

    def kill(self, random: Random) -> int:
        """Kill one run until it ends, and compare; the number of kills.

        Raises:
            AssertionError: a file is not whole, or the run ends otherwise.
        """
        from tconv.train.checkpoint import read_checkpoint
        from tests.train.helpers import equal

        out = Path(tempfile.mkdtemp(dir=self._folder)) / "run"
        count = 0

        def train() -> object:
            return self._fit(self._data, out, resume=True, **self._settings)

        while _killed(train, random.uniform(0, self._seconds)):
            count += 1
            for name in ("last.ckpt", "best.ckpt"):
                if (out / name).exists():
                    read_checkpoint(out / name)
        one, two = (read_checkpoint(where / "last.ckpt") for where in (out, self._folder / "unbroken"))
        for part in ("state_dict", "optimizer_states", "epoch", "global_step"):
            assert equal(one[part], two[part]), f"after {count} kills, {part} differs"
        left = sorted(path.name for path in out.iterdir())
        assert left == ["best.ckpt", "last.ckpt", "log.csv", "recipe.toml"], left
        return count


def kill_writers(folder: Path, random: Random) -> int:
    """Kill a process that writes two versions of a file, of a model and of a model with data beside it.

    Raises:
        AssertionError: something that is neither version can be read.
    """
    from tconv import TconvError
    from tconv.files import write_aside
    from tconv.models.onnx import file
    from tconv.models.onnx.reader import read

    texts = [bytes([version]) * int(random.integers(1, 2_000_000)) for version in (1, 2)]
    sources = [_model(folder / f"source{version}.onnx", version) for version in (1, 2)]
    loaded = [[file.read(source) for source in pair] for pair in zip(*sources, strict=True)]
    plain, whole, beside = folder / "plain", folder / "whole.onnx", folder / "beside.onnx"

    def write() -> None:
        while True:
            for version in (0, 1):
                with write_aside(plain) as out:
                    out.write(texts[version])
                file.write(loaded[0][version], whole)
                file.write(loaded[1][version], beside)

    assert _killed(write, random.uniform(0.01, 0.4))
    if plain.exists():
        assert plain.read_bytes() in texts
    for path in (whole, beside):
        if path.exists():
            try:
                [layer] = read(path).layers
            except TconvError as fault:
                raise AssertionError(f"{path.name} cannot be read: {fault}") from fault
            assert layer.weight is not None
            assert len({*layer.weight.flat}) == 1, f"{path.name} mixes two versions"
    return 1


def _model(path: Path, version: int) -> tuple[Path, Path]:
    """A layer whose weights all equal `version`: in one file, and with the data in a second one."""
    import onnx

    from tests.onnx.helpers import layer

    model = layer((1, 64, 8, 8), (64, 16, 4, 4), strides=[2, 2])
    for tensor in model.graph.initializer:
        shape = tuple(tensor.dims)
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(shape, version, np.float32), tensor.name))
    path.write_bytes(model.SerializeToString())
    two = path.with_name(f"two-{path.name}")
    onnx.save_model(model, two, save_as_external_data=True, location=f"{two.name}.data", size_threshold=0)
    return path, two
