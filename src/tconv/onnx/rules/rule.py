"""What a rewrite rule is: two functions, of which one looks and the other computes.

How a rule is written (`fold_bias` is the example to copy): one file, whose docstring holds the algebra.
``match(node, context)`` looks around the node and returns either a `Found`, frozen, with all that the
rewriting needs, or one short phrase that says what is missing. It decides by shapes, attributes and whether
values are constants, and reads numbers only where the answer depends on them. ``apply(found, context)``
computes the new numbers, once, then makes nodes and puts them in the place of the old ones. `RULE` names
both, and ``tconv.onnx.rules.RULES`` has a line for it. Where ``match`` finds something, ``apply`` succeeds,
and the model's answers stay the same up to float rounding; the one exception is told at `Rule.rewrite`.
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
        match: what there is to rewrite at this node, else the reason why nothing, one short phrase.
        apply: rewrites the model in place. It computes all numbers before it changes anything.
    """

    name: str
    op_types: tuple[str, ...]
    match: Callable[[ir.Node, Context], _Found | str]
    apply: Callable[[_Found, Context], None]

    def find(self, node: ir.Node, context: Context) -> _Found | str:
        """What `match` says; never raises, since what the identities of `tconv.algebra` refuse is a reason.

        So is an opset in which operators that rules write mean something else: before 7 Add does not
        broadcast and Reshape or Split take their numbers otherwise; before 9 Constant, which a function has
        in place of initializers, holds no integers.
        """
        if refers(node):
            return "an attribute is a parameter of its function"
        opset, oldest = context.opset(node), 9 if context.in_function(node) else 7
        if opset < oldest:
            return f"opset {opset} is older than {oldest}"
        try:
            return self.match(node, context)
        except TconvError as fault:
            return str(fault)

    def rewrite(self, found: _Found, context: Context) -> str | None:
        """Apply the rule to what was found; if new numbers are beyond their dtype, the reason, and no change.

        Half precision may overflow so. It is known only when the numbers are computed.
        """
        try:
            self.apply(found, context)
        except TconvError as fault:
            return str(fault)
        return None
