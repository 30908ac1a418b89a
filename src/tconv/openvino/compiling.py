"""Compiled models in which the engine computes the layers that it is faster at."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tconv.arguments import checked
from tconv.errors import TconvError, clean
from tconv.geometry.normalize import shown
from tconv.models.openvino import core
from tconv.openvino.converting import convert, names, opened, replaced, told
from tconv.planning import LAYOUTS, Layout
from tconv.timing import FASTER, SCREENING, Paired, in_turns

if TYPE_CHECKING:
    import openvino

__all__ = ["compile_model"]


@checked
def compile_model(
    model: Any,
    config: Any = None,
    *,
    inputs: Any = None,
    seconds: float = 20.0,
) -> openvino.CompiledModel:
    """A model compiled for the CPU, in which the engine computes the layers that make it faster.

    The whole model runs in turns with OpenVINO's own, with the engine in all layers, in either layout; else
    in one layer more at a time. What is not clearly faster (5 % in the median, in turns that agree) stays
    OpenVINO's. A warning says which layers stay so because the seconds were too few to time the model.

    Args:
        model: as `tconv.openvino.convert` takes it.
        config: properties of the CPU plugin, as `openvino.compile_model` takes them.
        inputs: arrays of an example to time with, in the model's order or by the names of its inputs; random
            ones by default, where the sizes are known.
        seconds: about how long timing may take; with 0 nothing is timed and the engine computes every layer
            but plain matrix products.

    Raises:
        TconvError: a model that OpenVINO cannot read, compile or run; `inputs` that are missing; CACHE_DIR.
    """
    if not isinstance(config, Mapping | None):
        raise TconvError(f"config={shown(config)}; a mapping of properties would fit")
    if not isinstance(inputs, list | tuple | Mapping | None):
        raise TconvError(
            f"inputs={shown(inputs)}; a list of arrays, or a mapping of names to them, would fit"
        )
    config = dict(config or {})
    if config.get("CACHE_DIR"):
        raise TconvError("CACHE_DIR: the engine's nodes call Python and cannot be cached; leave it out")
    given = opened(model)
    layers = names(given)
    if seconds <= 0 or not layers:
        return _compiled(convert(given) if layers else given, config)
    feeds = _feeds(given, inputs)
    best = _compiled(given, config)
    untimed: set[str] = set(layers)
    kept: dict[str, Layout] = {}
    singles = [{name: layout} for name in layers for layout in LAYOUTS]
    steps = [(dict.fromkeys(layers, layout), seconds / 4) for layout in LAYOUTS]
    steps += [(step, seconds / 2 / len(singles)) for step in singles]
    for step, share in steps:
        if len(step) == 1 and len(kept) == len(layers):
            break  # all of them together are faster
        tried = _compiled(replaced(given, kept | step), config)
        faster = _faster(best, tried, feeds, share)
        untimed -= set() if faster is None else set(step)
        if faster:
            best, kept = tried, kept | step
    if untimed:
        said = ", ".join(sorted(map(clean, untimed)))
        warnings.warn(
            f"seconds={seconds:g} are too few to time the model with the engine in {said}: OpenVINO's layers "
            "stay there; more seconds would fit",
            RuntimeWarning,
            stacklevel=3,
        )
    return best


def _compiled(model: Any, config: Mapping[str, Any]) -> openvino.CompiledModel:
    try:
        return core().compile_model(model, "CPU", dict(config))
    except Exception as fault:  # OpenVINO's exceptions have no common base
        raise TconvError(
            f"OpenVINO cannot compile {clean(model.get_friendly_name())}: {told(fault)}"
        ) from None


def _nothing() -> None:
    pass


def _faster(before: Any, after: Any, feeds: list[Any], seconds: float) -> bool | None:
    """Whether the second is clearly faster; None if the seconds do not suffice for a verdict."""
    requests = [compiled.create_infer_request() for compiled in (before, after)]
    try:
        times = in_turns([(_nothing, partial(request.infer, feeds)) for request in requests], seconds)
    except TconvError:
        raise
    except Exception as fault:
        raise TconvError(f"OpenVINO cannot run the model with these inputs: {told(fault)}") from None
    return Paired(*times).verdict(SCREENING) == FASTER if times[0] else None


def _feeds(model: Any, inputs: Any) -> list[Any]:
    """An array for each input of a model, in its order."""
    if inputs is None:
        return [_example(value) for value in model.inputs]
    if not isinstance(inputs, Mapping):
        return list(inputs)
    left, feeds, known = dict(inputs), [], []
    for value in model.inputs:
        called = sorted({value.get_node().get_friendly_name(), *value.get_names()})
        known.append(" or ".join(map(shown, called)))
        given = [left.pop(name) for name in called if name in left]
        if len(given) != 1:
            many = "several are" if given else "none is"
            raise TconvError(f"inputs: {many} called {known[-1]}; one would fit")
        feeds += given
    if left:
        asked, fit = ", ".join(map(shown, left)), ", ".join(known)
        raise TconvError(f"inputs: the model has no input {asked}; {fit} would fit")
    return feeds


def _example(value: Any) -> np.ndarray[Any, Any]:
    shape = value.get_partial_shape()
    if not shape.is_static:
        raise TconvError(
            f"input {shown(value.get_any_name())} has the shape {shape}; `inputs` with an example, or "
            "seconds=0, would fit"
        )
    sizes = tuple(shape.to_shape())
    dtype = value.get_element_type().to_dtype()
    rng = np.random.default_rng(0)
    return rng.standard_normal(sizes).astype(dtype) if dtype.kind == "f" else np.ones(sizes, dtype)
