"""Which layers the engine wins: each is timed in the whole model, as it stands and as the engine's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tconv.models.onnx.nodes import name_of
from tconv.onnx.engine.estimate import engine_wins
from tconv.onnx.rewriting.feeds import Feeds
from tconv.onnx.rewriting.goals import ENGINE
from tconv.onnx.rewriting.measuring import Timed
from tconv.onnx.rewriting.runner import Runner
from tconv.onnx.rewriting.speed import NOWHERE, Move, Trial
from tconv.onnx.rules import Context
from tconv.timing import LOOKS, Paired

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
    """A trial for each layer: ONNX Runtime's time for it against the engine's, kept if that is shorter.

    Both models run in turns, under ONNX Runtime's profiler. An activation that the engine fuses counts as
    part of its own time alone, so that each layer wins by itself.
    """
    named = model.clone()
    places: dict[str, tuple[str, str]] = {}
    for where, node in Context(named).nodes():
        if node.op_type == "ConvTranspose" and not node.domain:
            # Unique names, by which the profile tells layers apart.
            name = f"tconv.{len(places)}"
            places[name], node.name = (where, name_of(node)), name
    made = named.clone()
    fired = {s.node for s in Move(ENGINE).apply(made) if s.reason is None and s.rule == "to-engine"}
    moves = {name: Move(ENGINE, place) for name, place in places.items()}
    if not fired:
        return tuple(Trial((move,), 0, None, note=NOWHERE) for move in moves.values())
    tell("timing each layer, as it is and in the engine")
    runner.load("as it is", named, profiled=True)
    runner.load("engine", made, profiled=True)
    found = runner.layers(("as it is", "engine"), feeds.arrays, seconds=seconds, turns=_LEAST, most=_MOST)
    trials = []
    for name, move in moves.items():
        before, after = (found[side].get(name, []) for side in ("as it is", "engine"))
        if name not in fired:
            trials.append(Trial((move,), 0, None, note=NOWHERE))
        elif len(before) != len(after) or not before:
            trials.append(Trial((move,), 1, None, note="it does not run with these inputs"))
        else:
            both = Timed.of(Paired(before, after))
            trials.append(Trial((move,), 1, both, kept=both.gain > 1))
    return tuple(trials)


def estimated(model: ir.Model) -> tuple[Move, ...]:
    """A move for each layer that the engine would win by estimate, without running anything."""
    context = Context(model)
    return tuple(
        Move(ENGINE, (where, name_of(node)))
        for where, node in context.nodes()
        if node.op_type == "ConvTranspose" and not node.domain and engine_wins(node, context)
    )
