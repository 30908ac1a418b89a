"""What `tconv rewrite` could do: every rule is matched at every node; nothing is computed or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tconv.models.onnx.nodes import name_of
from tconv.onnx.rules import RULES, Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["would_rewrite"]


def would_rewrite(model: ir.Model) -> dict[tuple[str, str], dict[str, str | None]]:
    """(place, node) -> rule -> None if it applies to the unchanged model, else why not."""
    context = Context(model)
    found: dict[tuple[str, str], dict[str, str | None]] = {}
    for where, node in context.nodes():
        for name, rule in RULES.items():
            if node.domain in ("", "ai.onnx") and node.op_type in rule.op_types:
                answer = rule.find(node, context)
                reason = answer if isinstance(answer, str) else None
                found.setdefault((where, name_of(node)), {})[name] = reason
    return found
