"""A rewrite rule: two functions, of which one matches and the other computes.

How a rule is written (`fold_bias` is the example to copy): one file, whose docstring holds the algebra.
``match(node, context)`` examines the node and its context and returns either a frozen `Found` with everything
that the rewriting needs, or one short phrase that says what is missing. It decides by shapes, attributes and
whether values are constants, and reads numbers only if the result depends on them. ``apply(found, context)``
computes the new numbers, once, then makes nodes and replaces the old ones. `RULE` names
both, and ``tconv.onnx.rules.RULES`` has a line for it. Where ``match`` finds something, ``apply`` succeeds,
and the model's outputs stay the same up to float rounding; `Rule.rewrite` describes the one exception.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from tconv.errors import TconvError
from tconv.onnx.rules.context import Context, refers

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Rule"]

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Rule(Generic[_Found]):
    """One exact rewriting.

    Attributes:
        name: as the report and the command spell it, such as "fold-bias".
        op_types: operators of ONNX's own domain at which it starts.
        match: what there is to rewrite at this node, else the reason in one short phrase.
        apply: rewrites the model in place. It computes all numbers before it changes anything.
        oldest: the first opset in which what it writes has the meaning that it relies on.
    """

    name: str
    op_types: tuple[str, ...]
    match: Callable[[ir.Node, Context], _Found | str]
    apply: Callable[[_Found, Context], None]
    oldest: int = 7

    def find(self, node: ir.Node, context: Context) -> _Found | str:
        """The result of `match`; never raises: what the identities of `tconv.algebra` refuse is a reason.

        So is an opset in which operators that rules write have another meaning: before 7 Add does not
        broadcast and Reshape or Split take their numbers differently; before 9 Constant, which a function has
        instead of initializers, holds no integers.
        """
        if refers(node):
            return "an attribute is a parameter of its function"
        # A function has Constant nodes in place of initializers, if the rule needs any.
        opset, oldest = context.opset(node), self.oldest
        if context.in_function(node) and oldest == 7:
            oldest = 9
        if opset < oldest:
            return f"opset {opset} is older than {oldest}"
        try:
            return self.match(node, context)
        except TconvError as fault:
            return str(fault)

    def rewrite(self, found: _Found, context: Context) -> str | None:
        """Apply the rule to a match; if new numbers exceed their dtype, return the reason and change nothing.

        Half precision may overflow. This is known only when the numbers are computed.
        """
        try:
            self.apply(found, context)
        except TconvError as fault:
            return str(fault)
        return None
