"""Conditions in a forward that only constants and numbers of its module decide."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

__all__ = ["Unknown", "evaluated", "is_constant"]

_CONSTANTS = (bool, int, float, str, tuple, type(None), torch.dtype)

_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class Unknown(Exception):
    """A condition that is not evaluated."""


def is_constant(value: Any) -> bool:
    """Whether a value is a number, a text or the like, or a tuple of them."""
    if isinstance(value, tuple):
        return all(map(is_constant, value))
    return isinstance(value, _CONSTANTS)


def evaluated(test: ast.expr, module: nn.Module, itself: str | None) -> Any:
    """The value of a condition of constants, numbers of the module, which is called `itself`, and `is None`.

    >>> test = ast.parse("self.p == 0.5 and not self.training", mode="eval").body
    >>> evaluated(test, nn.Dropout(0.5).eval(), "self")
    True

    Raises:
        Unknown: it is of another kind, or a property decides it.
    """
    if isinstance(test, ast.Constant):
        return test.value
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return not evaluated(test.operand, module, itself)
    if isinstance(test, ast.BoolOp):
        each = [bool(evaluated(value, module, itself)) for value in test.values]
        return all(each) if isinstance(test.op, ast.And) else any(each)
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        compare = _COMPARED.get(type(test.ops[0]))
        right = test.comparators[0]
        if isinstance(test.ops[0], ast.Is | ast.IsNot) and ast.unparse(right) == "None":
            return (_object(test.left, module, itself) is None) == isinstance(test.ops[0], ast.Is)
        if compare is not None:
            return compare(evaluated(test.left, module, itself), evaluated(right, module, itself))
    value = _object(test, module, itself)
    if not is_constant(value):
        raise Unknown
    return value


def _object(node: ast.expr, module: nn.Module, itself: str | None) -> Any:
    """The object of an attribute of the module."""
    if isinstance(node, ast.Name) and node.id == itself:
        return module
    if isinstance(node, ast.Attribute):
        holder = _object(node.value, module, itself)
        if isinstance(getattr(type(holder), node.attr, None), property):
            raise Unknown  # it may compute anything
        return getattr(holder, node.attr, None)
    raise Unknown
