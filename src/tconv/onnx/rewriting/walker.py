"""Rules applied to a model until none applies any more."""

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
    """The result of one rule at one node.

    Attributes:
        rule: its name.
        node: the node's name when the rule was tried, else that of its first output.
        where: "graph", or the branch, loop or function that contains it.
        reason: None if the rule applied, else why not.
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
    """Rewrite `model` in place: every rule wherever it applies, in rounds, until nothing changes.

    Args:
        wanted: returns whether a rule may be tried at a place ("graph", ...) and a node.

    Returns:
        The rewritings in order, then for the remaining nodes why no rule applies.
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
    raise TconvError(f"the rules {names} undo each other; fewer rules at once would fit")


def _round(context: Context, rules: tuple[Rule[Any], ...], wanted: _Wanted) -> tuple[list[Step], list[Step]]:
    fired: list[Step] = []
    refused: list[Step] = []
    for rule in rules:
        for where, node in context.nodes():
            if node.domain or node.op_type not in rule.op_types or node.graph is None:
                continue  # another operator, or a node that this rule has just removed
            if not wanted(rule, where, node):
                continue
            name = name_of(node)
            found = rule.find(node, context)
            reason = found if isinstance(found, str) else rule.rewrite(found, context)
            (refused if reason else fired).append(Step(rule.name, name, where, reason))
    return fired, refused
