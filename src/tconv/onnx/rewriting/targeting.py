"""A model rewritten until a runtime supports all of its transposed convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tconv.errors import clean
from tconv.models.onnx.nodes import name_of
from tconv.onnx.rewriting.goals import CAPABILITIES, Target, needs
from tconv.onnx.rewriting.walker import Step, apply_rules
from tconv.onnx.rules import RULES, Context, Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["fit", "unmet"]


def fit(model: ir.Model, goal: Target) -> list[Step]:
    """Rewrite `model` in place; a rule is tried only at layers that need the feature it removes."""
    steps: list[Step] = []
    for name in goal.lacks:
        for cure in CAPABILITIES[name].cures:
            context = Context(model)

            def asks(
                _: Rule[Any], __: str, node: ir.Node, wanted: str = name, around: Context = context
            ) -> bool:
                found = needs(node, around) if node.op_type == "ConvTranspose" else ()
                return found is None or wanted in found

            steps += apply_rules(model, [RULES[cure]], asks)
    fired = [step for step in steps if step.reason is None]
    return fired + [step for step in steps if step.reason is not None]


def unmet(model: ir.Model, goal: Target, steps: list[Step]) -> list[str]:
    """One line for every layer that the target still does not support, with why each rule did not help."""
    context = Context(model)
    lines = []
    for where, node in context.nodes():
        if node.op_type != "ConvTranspose" or node.domain:
            continue
        asked = needs(node, context)
        left = goal.lacks if asked is None else [name for name in goal.lacks if name in asked]
        if not left:
            continue
        place = "" if where == "graph" else f" in {where}"
        what = "unknown attributes" if asked is None else " and ".join(CAPABILITIES[n].what for n in left)
        cures = {cure for name in left for cure in CAPABILITIES[name].cures}
        reasons = {
            f"{step.rule}: {step.reason}"
            for step in steps
            if step.reason is not None
            and step.rule in cures
            and (step.node, step.where) == (name_of(node), where)
        }
        said = "; ".join(sorted(reasons)) or "no rule helps"
        lines.append(clean(f"{name_of(node)}{place} still has {what} ({said})", 1000))
    return lines
