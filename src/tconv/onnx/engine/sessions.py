"""Sessions of ONNX Runtime whose transposed convolutions are the engine's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tconv.arguments import checked
from tconv.errors import TconvError
from tconv.geometry.normalize import shown
from tconv.models.onnx.file import write
from tconv.models.onnx.reader import read
from tconv.onnx.engine import register
from tconv.onnx.rewriting.layers import estimated

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["session"]


@checked
def session(
    path: str | os.PathLike[str],
    options: Any = None,
    providers: Any = None,
) -> onnxruntime.InferenceSession:
    """A session of a model whose layers run in the engine, where it wins by estimate.

    A file that `tconv rewrite --for engine` has written, whose layers were timed, is opened as it is. `path`
    is never changed.

    Args:
        path: an ONNX file, rewritten before or not.
        options: an `onnxruntime.SessionOptions`, which gets the operator; None: default ones.
        providers: as `onnxruntime.InferenceSession` takes them; None: the CPU.

    Raises:
        TconvError: a file that cannot be read, or that ONNX Runtime refuses.
    """
    import tempfile

    import onnxruntime

    options = onnxruntime.SessionOptions() if options is None else options
    register(options)
    if not isinstance(providers, list | tuple | None):
        raise TconvError(f"providers={shown(providers)}; a list of ONNX Runtime's providers would fit")
    providers = ["CPUExecutionProvider"] if providers is None else list(providers)
    model = read(path).onnx
    made = model.clone()
    steps = [step for move in estimated(model) for step in move.apply(made)]
    try:
        if all(step.reason for step in steps):
            return onnxruntime.InferenceSession(os.fspath(path), options, providers=providers)
        with tempfile.TemporaryDirectory(prefix="tconv-") as folder:
            write(made, file := Path(folder, "model.onnx"))
            return onnxruntime.InferenceSession(str(file), options, providers=providers)
    except Exception as fault:  # ONNX Runtime's exceptions have no common base
        if isinstance(fault, TconvError):
            raise
        raise TconvError(f"ONNX Runtime cannot run {path}: {' '.join(str(fault).split())[:300]}") from None
