"""Rules applied to a model until none of them fires any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from tconv.errors import TconvError
from tconv.models.onnx.nodes import name_of
from tconv.onnx.rules import Context, Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Step", "apply_rules"]

_ROUNDS = 100
_Wanted: TypeAlias = "Callable[[Rule[Any], str, ir.Node], bool]"


class Step(NamedTuple):
    """What became of one rule at one node.

    Attributes:
        rule: its name.
        node: the node's name, as it was when the rule looked at it, else that of its first output.
        where: "graph", or the branch, loop or function that holds it.
        reason: None where the rule fired, else why it did not.
    """

    rule: str
    node: str
    where: str
    reason: str | None


def apply_rules(
    model: ir.Model,
    rules: Iterable[Rule[Any]],
    wanted: _Wanted = lambda rule, where, node: True,
) -> list[Step]:
    """Rewrite `model` in place: every rule wherever it fires, round by round, until nothing changes.

    Args:
        wanted: says of a rule, a place ("graph", ...) and a node whether the rule may look at it.

    Returns:
        The rewritings in the order they were done, then for what remains why no rule fires.
    """
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    chosen = tuple(rules)
    context = Context(model)
    done: list[Step] = []
    for _ in range(_ROUNDS):
        fired, refused = _round(context, chosen, wanted)
        done += fired
        if not fired:
            if done:
                RemoveUnusedNodesPass()(model)
            return done + refused
    names = ", ".join(sorted({step.rule for step in fired}))
    raise TconvError(f"the rules {names} undo each other; fewer of them at once would fit")


def _round(context: Context, rules: tuple[Rule[Any], ...], wanted: _Wanted) -> tuple[list[Step], list[Step]]:
    fired: list[Step] = []
    refused: list[Step] = []
    for rule in rules:
        for where, node in context.nodes():
            if node.domain or node.op_type not in rule.op_types or node.graph is None:
                continue  # another operator, or a node that this rule took away a moment ago
            if not wanted(rule, where, node):
                continue
            name = name_of(node)
            found = rule.find(node, context)
            reason = found if isinstance(found, str) else rule.rewrite(found, context)
            (refused if reason else fired).append(Step(rule.name, name, where, reason))
    return fired, refused
