"""One reader of ONNX for every command: checks the file, inlines functions, infers sizes, finds layers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tconv.algebra.arrays import Array
from tconv.errors import TconvError, clean, said
from tconv.models.layer import Origin
from tconv.models.model import Model
from tconv.models.onnx import file
from tconv.models.onnx.engine_nodes import as_onnx
from tconv.models.onnx.kinds import graph_of
from tconv.models.onnx.layers import ORIGIN, convolutions
from tconv.models.onnx.nodes import is_layer, name_of, quiet, walk
from tconv.models.onnx.shapes import infer, set_sizes
from tconv.models.onnx.weights import put

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["of_ir", "read"]

_MOST = 10_000  # layers: each takes some milliseconds


def read(
    path: str | os.PathLike[str],
    *,
    sizes: Mapping[str, int] | None = None,
    input: Mapping[str, tuple[int, ...]] | None = None,
) -> Model:
    """The model in a file; `sizes` of axes and shapes of `input` are set where the file leaves them open.

    Raises:
        TconvError: a file that `tconv.models.onnx.file.read` refuses; weights, attributes and shapes that
            contradict each other, also after inference; names of sizes that are not there.
    """
    return of_ir(file.read(path), os.fspath(path), sizes=sizes, input=input)


def of_ir(
    held: ir.Model,
    source: str,
    *,
    sizes: Mapping[str, int] | None = None,
    input: Mapping[str, tuple[int, ...]] | None = None,
) -> Model:
    """The Model of an `onnx_ir.Model`, which is not changed."""
    with quiet():
        convolutions(held)  # raises first for a faulty layer, with its name in the file
        sized = held.clone()
        for index, (node, where) in enumerate(walk(sized)):
            node.meta[ORIGIN] = Origin(where, name_of(node), index)
        set_sizes(sized, sizes or {}, input or {})
        sized, notes = _inlined(sized)
        count = sum(is_layer(node) for node, _ in walk(sized))
        if count > _MOST:
            raise TconvError(f"{clean(source, 300)}: {count:,} convolutions; up to {_MOST:,} can be examined")
        as_onnx(sized)
        infer(sized)
        layers = tuple(convolutions(sized))
        graph = graph_of(sized, layers)

    def save(to: IO[bytes], weights: Mapping[str, Array]) -> None:
        changed = held.clone()
        put(changed, {layer: weights[layer.name] for layer in layers if layer.name in weights})
        to.write(file.in_one_piece(changed, Path(source)))

    return Model(
        source=source,
        layers=layers,
        graph=graph,
        inputs={
            str(value.name): tuple(
                size if isinstance(size, int) else size.value for size in value.shape or ()
            )
            for value in held.graph.inputs
            if value.const_value is None
        },
        save=save,
        notes=notes,
        onnx=held,
        sized=sized,
    )


def _inlined(model: ir.Model) -> tuple[ir.Model, tuple[str, ...]]:
    """The model with its functions inlined, or notes that say why that failed."""
    from onnx_ir.passes.common import InlinePass

    if not model.functions:
        return model, ()
    copy = model.clone()
    try:
        InlinePass()(copy)
    except (ValueError, NotImplementedError) as fault:  # for example another opset inside
        return model, (f"functions are not inlined: {said(fault)}",)
    return copy, ()
