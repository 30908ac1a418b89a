"""A line of Python, parsed without running it: the name that is called, and literal arguments."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tconv.errors import TconvError, unknown
from tconv.geometry.normalize import shown

__all__ = ["ABSENT", "Function", "Named", "Parsed", "Shaped", "parse"]

LONGEST = 4000  # characters; a call has a few hundred
MAKERS = frozenset({"empty", "full", "normal", "ones", "rand", "randint", "randn", "uniform", "zeros"})


@dataclass(frozen=True, slots=True, repr=False)
class Named:
    """An argument that is not a literal: `x`, `w`, `tf.nn.relu`; kept as text."""

    text: str

    def __repr__(self) -> str:
        """As it stood in the call."""
        return self.text


@dataclass(frozen=True, slots=True)
class Shaped:
    """An array created in the call, such as `jnp.ones((3, 3, 8, 4))`, whose shape is known."""

    shape: tuple[int, ...]


ABSENT = Named("")


@dataclass(frozen=True, slots=True)
class Parsed:
    """One call: `f(*args, **options)`, and the arguments of a second call, `f(...)(x, **applied)`."""

    text: str
    name: str
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    applied: Mapping[str, Any]
    applied_args: tuple[Any, ...]

    @property
    def last_name(self) -> str:
        """The name without the modules before it."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Function:
    """The signature of a framework's function: its parameters in order, `*` before those by keyword alone."""

    axes: int
    parameters: tuple[str, ...]

    def bind(self, call: Parsed) -> dict[str, Any]:
        """Parameter -> argument, as Python would bind them; those left out are ABSENT."""
        names = [name for name in self.parameters if name != "*"]
        positional = (
            self.parameters[: self.parameters.index("*")] if "*" in self.parameters else self.parameters
        )
        if len(call.args) > len(positional):
            raise TconvError(
                f"{call.name} takes {len(positional)} arguments by position, not {len(call.args)}: "
                f"{', '.join(positional)}"
            )
        bound = dict(zip(positional, call.args, strict=False))
        for name, value in call.options.items():
            if name not in names:
                raise unknown(f"{call.name}: argument", name, names)
            if name in bound:
                raise TconvError(f"{call.name} is given {name!r} twice, by position and by name")
            bound[name] = value
        return {name: bound.get(name, ABSENT) for name in names}


def parse(text: str) -> Parsed:
    """The one call in a line such as `y = nn.ConvTranspose2d(8, 4, 3)(x)`; nothing is evaluated."""
    if not isinstance(text, str):
        raise TconvError(f"{shown(text)} is not a call, which is text, such as nn.ConvTranspose2d(8, 4, 3)")
    if len(text) > LONGEST:
        raise TconvError(f"a call of {len(text)} characters; at most {LONGEST} would fit")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the text's own mistakes
            return _parsed(text, ast.parse(text.strip()).body)
    except TconvError:
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise TconvError(
            f"{shown(text)} is not a line of Python; a call such as f(3, stride=2) would fit"
        ) from None


def _parsed(text: str, statements: list[ast.stmt]) -> Parsed:
    only = statements[0] if len(statements) == 1 else None
    node = only.value if isinstance(only, ast.Expr | ast.Assign | ast.AnnAssign | ast.Return) else None
    applied: ast.Call | None = None
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Call):
        applied, node = node, node.func
    if not isinstance(node, ast.Call):
        raise TconvError(f"{shown(text)} is not one call; a call such as f(3, stride=2) would fit")
    return Parsed(
        text,
        _dotted(node.func, text),
        tuple(_value(argument, text) for argument in node.args),
        _options(node, text),
        _options(applied, text) if applied else {},
        tuple(_value(argument, text) for argument in applied.args) if applied else (),
    )


def _options(call: ast.Call, text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise TconvError(
                f"{shown(text)}: **{shown(ast.unparse(keyword.value))} hides options; write them out"
            )
        options[keyword.arg] = _value(keyword.value, text)
    return options


def _dotted(node: ast.expr, text: str) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, text)}.{node.attr}"
    raise TconvError(f"{shown(text)}: {shown(ast.unparse(node))} is not the name of a function")


def _value(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Constant) and not isinstance(node.value, bytes | complex):
        return node.value
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_value(entry, text) for entry in node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(node.operand, text)
        if isinstance(number, int | float) and not isinstance(number, bool):
            return -number
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        return _array(node, text)
    if isinstance(node, ast.Starred):
        raise TconvError(f"{shown(text)}: {shown(ast.unparse(node))} hides arguments; write them out")
    return Named(ast.unparse(node))


def _array(node: ast.Call, text: str) -> Shaped | Named:
    """`np.ones((3, 3))` and `torch.randn(3, 3)` have a known shape; any other call is a name."""
    if _dotted(node.func, text).rpartition(".")[2] not in MAKERS:
        return Named(ast.unparse(node))
    values = [_value(argument, text) for argument in node.args]
    sizes = next((value for value in values if isinstance(value, tuple)), tuple(values))
    if not sizes or not all(isinstance(size, int) and size > 0 for size in sizes):
        return Named(ast.unparse(node))
    return Shaped(sizes)
