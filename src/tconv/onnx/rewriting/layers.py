"""Which layers the engine wins: each is timed in the whole model, as it stands and as the engine's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

from tconv.conventions.onnx_options import ConvOptions
from tconv.models.onnx.constants import root_of
from tconv.models.onnx.nodes import ENGINE_DOMAIN, name_of
from tconv.onnx.rewriting.feeds import Feeds
from tconv.onnx.rewriting.goals import ENGINE
from tconv.onnx.rewriting.measuring import Timed
from tconv.onnx.rewriting.runner import Runner
from tconv.onnx.rewriting.speed import NOWHERE, Move, Trial
from tconv.onnx.rules import Context
from tconv.onnx.rules.options import read_attributes
from tconv.timing import LOOKS, MARGIN, Paired

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["estimated", "timed"]

#: Turns of both models, at least and at most; the profile of a run is kept in memory until the last.
_LEAST, _MOST = 7, LOOKS[-1]


def timed(
    model: ir.Model,
    runner: Runner,
    feeds: Feeds,
    *,
    seconds: float,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Trial, ...]:
    """A trial for each layer: ONNX Runtime's time for it against the engine's, kept if that is 5 % less.

    The median of the turns decides: the engine is expected to win, and the whole model is timed afterwards.

    Both models run in turns, under ONNX Runtime's profiler. The time of a layer includes that of the nodes
    after it that the engine's node replaces.
    """
    named = model.clone()
    places: dict[str, tuple[str, str]] = {}
    for number, (where, node) in enumerate(Context(named).nodes()):
        place = where, name_of(node)
        node.name = f"tconv.{number}"  # unique, for the profile
        if node.op_type == "ConvTranspose" and not node.domain:
            places[node.name] = place
    made = named.clone()
    Move(ENGINE).apply(made)
    left = {str(node.name): node.domain for _, node in Context(made).nodes()}
    layers = {
        str(node.name): _replaced(node, left)
        for _, node in Context(named).nodes()
        if node.name in places and left.get(str(node.name)) == ENGINE_DOMAIN
    }
    tell("timing each layer, as it is and in the engine")
    every = [name for names in layers.values() for name in names]
    found: dict[str, dict[str, list[float]]] = {}
    if layers:
        runner.load("as it is", named, profiled=True)
        runner.load("engine", made, profiled=True)
        nodes = {"as it is": every, "engine": list(layers)}
        found = runner.nodes(nodes, feeds.arrays, seconds=seconds, turns=_LEAST, most=_MOST)
    return tuple(_trial(Move(ENGINE, place), layers.get(name), found, name) for name, place in places.items())


def _replaced(layer: ir.Node, left: Mapping[str, str]) -> list[str]:
    """The names of a layer, and of nodes around it that are not `left` in the other model.

    Those are conversions of its weights, and the nodes after it.
    """
    gone = [str(layer.name)]
    for value in layer.inputs[1:]:  # ONNX Runtime dequantizes weights at each run
        gone += [name for step in root_of(value)[1] if (name := str(step.name)) not in left]
    reached = [layer]
    while reached:
        for use in reached.pop().outputs[0].uses():
            name = str(use.node.name)
            if name not in left and name not in gone:
                gone.append(name)
                reached.append(use.node)
    return gone


def _trial(
    move: Move, names: Sequence[str] | None, found: Mapping[str, Mapping[str, list[float]]], name: str
) -> Trial:
    if names is None:
        return Trial((move,), 0, None, note=NOWHERE)
    after = found["engine"][name]
    # Nodes that ONNX Runtime itself folds away take no time.
    parts = [times for part in names if len(times := found["as it is"][part]) == len(after)]
    before = [sum(times) for times in zip(*parts, strict=True)]
    if not before or not after or len(found["as it is"][name]) != len(after):
        return Trial((move,), 1, None, note="it does not run with these inputs")
    both = Timed.of(Paired(before, after))
    return Trial((move,), 1, both, kept=both.gain > MARGIN)


def estimated(model: ir.Model) -> tuple[Move, ...]:
    """A move for each layer that the engine is expected to win, without running anything.

    Those are all but plain matrix products: with kernels of one tap and strides of 1, ONNX Runtime needs no
    buffer of columns. Of the 55 layers of `tconv bench` the engine was faster on each.
    """
    context = Context(model)
    return tuple(
        Move(ENGINE, (where, name_of(node)))
        for where, node in context.nodes()
        if node.op_type == "ConvTranspose" and not node.domain and not _is_product(node, context)
    )


def _is_product(node: ir.Node, context: Context) -> bool:
    told = read_attributes(node, context)
    return isinstance(told, ConvOptions) and prod(told.kernel) == prod(told.stride) == 1
