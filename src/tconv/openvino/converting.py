"""Layers of a model replaced by the engine's nodes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tconv.arguments import checked
from tconv.errors import TconvError, clean, printable
from tconv.geometry.normalize import shown
from tconv.models.openvino import core
from tconv.openvino.layers import find, in_bodies
from tconv.planning import Layout

if TYPE_CHECKING:
    import openvino

__all__ = ["convert", "names", "opened", "reasons", "replaced", "told"]


@checked
def convert(model: Any, layout: Layout = "channels_last") -> openvino.Model:
    """A copy of a model whose transposed convolutions the engine computes, plain matrix products excepted.

    A bias that follows a layer, and an activation that the engine has, become part of it. The result lives in
    this process: its nodes call Python, so that `openvino.save_model` cannot write it for others.

    Args:
        model: an `openvino.Model`, or the path of a file that `openvino.Core.read_model` reads.
        layout: in which the engine's nodes read and write. OpenVINO's own convolutions keep channels last in
            memory, beside which "channels_first" needs copies; it fits where the neighbours keep it.

    Raises:
        TconvError: no model, or a file that OpenVINO cannot read.
    """
    given = opened(model)
    return replaced(given, dict.fromkeys(names(given), layout))


@checked
def reasons(model: Any) -> dict[str, str]:
    """Why layers stay OpenVINO's: every transposed convolution by name, "" for those that `convert` replaces.

    Layers inside branches and loops are named with what is around them: "If_1/then/up", "Loop_2/body/up".

    Args:
        model: as `convert` takes it.

    Raises:
        TconvError: as `convert` raises it.
    """
    given = opened(model)
    product = "it is a plain matrix product, which is left to OpenVINO"
    said = {found.name: found.reason or product * found.is_product for found in find(given)}
    for name, kind in in_bodies(given):
        said[name] = f"it is inside the operator {kind}, which is not entered; a model without that would fit"
    return said


def names(model: openvino.Model) -> list[str]:
    """The names of the layers that the engine can compute, without plain matrix products."""
    return [found.name for found in find(model) if not found.reason and not found.is_product]


def opened(model: Any) -> openvino.Model:
    """A model, read if it is a path."""
    import openvino

    if isinstance(model, openvino.Model):
        return model
    if not isinstance(model, str | os.PathLike):
        raise TconvError(f"model={shown(model)}; an openvino.Model or the path of a file would fit")
    path = os.fspath(model)
    if not os.path.isfile(path):
        raise TconvError(f"{clean(path)}: there is no such file")
    try:
        return core().read_model(path)
    except Exception as fault:  # OpenVINO's exceptions have no common base
        raise TconvError(f"OpenVINO cannot read {clean(path)}: {told(fault)}") from None


def replaced(model: openvino.Model, layouts: Mapping[str, Layout]) -> openvino.Model:
    """A copy of a model in which the engine computes the layers with these names, in these layouts."""
    from tconv.openvino.operator import output_for

    made = model.clone()
    for found in find(made):
        if found.name in layouts:
            layout = "channels_first" if found.is_widened else layouts[found.name]
            found.last.output(0).replace(output_for(found, layout))
    made.validate_nodes_and_infer_types()
    return made


def told(fault: Exception) -> str:
    """What OpenVINO says, in one line, without the lines that name its source files."""
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return printable(" ".join(line for line in lines if not line.startswith("Exception from")) or lines[0])[
        :300
    ]
