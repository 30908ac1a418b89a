"""Activations that exporters compose of several nodes: the formula that the nodes compute, in any order.

Behind a layer's output x each value is followed as a(x) + b(x) t(p(x)), with polynomials a, b and p and one
function t, as far as it is one. x Sigmoid(x) is SiLU, x (1 + Erf(x / sqrt 2)) / 2 is GELU, however the
factors are distributed. GELU by tanh is from Hendrycks & Gimpel (2016), section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, pi, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.polynomial.polynomial import polyadd, polymul

from tconv.onnx.rules.context import Context, refers

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["composed"]

_MOST = 16  #: nodes that are followed; the longest known activation has 9
_DEGREE = 3

_Poly = tuple[float, ...]  #: coefficients from the constant on, without zeros at the end; of zero one
_ZERO: _Poly = (0.0,)
_X: _Poly = (0.0, 1.0)
_HALF: _Poly = (0.0, 0.5)
_TANH = sqrt(2 / pi)


class _Formula(NamedTuple):
    """a(x) + b(x) t(p(x)); without a function b is zero."""

    a: _Poly
    b: _Poly = _ZERO
    function: str = ""
    p: _Poly = _ZERO


_KNOWN = {
    "Silu": _Formula(_ZERO, _X, "Sigmoid", _X),
    "HardSwish": _Formula(_ZERO, _X, "HardSigmoid", _X),
    "Mish": _Formula(_ZERO, _X, "Tanh of Softplus", _X),
    "Gelu": _Formula(_HALF, _HALF, "Erf", (0.0, sqrt(0.5))),
    "GeluTanh": _Formula(_HALF, _HALF, "Tanh", (0.0, _TANH, 0.0, _TANH * 0.044715)),
}


def composed(x: ir.Value, context: Context, short: bool) -> tuple[str, tuple[ir.Node, ...]] | None:
    """The activation of `x` that its readers compute, with its nodes in the order of the data flow.

    Only these nodes read `x` and what is between it and the activation. `short`: in half precision, in which
    constants are less exact.
    """
    formulas, nodes = {x: _Formula(_X)}, []
    reached = [x]
    for value in reached:
        for node in dict.fromkeys(use.node for use in value.uses()):
            if node in nodes or node.graph is not _graph(x) or len(node.outputs) != 1:
                continue
            formula = _formula(node, formulas, context, short)
            if formula is None:
                continue
            nodes.append(node)
            formulas[node.outputs[0]] = formula
            reached.append(node.outputs[0])
            name = next((name for name, known in _KNOWN.items() if _same(formula, known, short)), None)
            needed = _between(x, node, nodes) if name else None
            if name and needed:
                return name, needed
            if len(nodes) == _MOST:
                return None
    return None


def _graph(value: ir.Value) -> ir.Graph | ir.Function | None:
    producer = value.producer()
    return None if producer is None else producer.graph


def _between(x: ir.Value, last: ir.Node, nodes: list[ir.Node]) -> tuple[ir.Node, ...] | None:
    """The nodes that `last` needs, itself too, if they alone read what is between; else None."""
    needed = [last]
    for node in needed:
        sources = (value.producer() for value in node.inputs if value is not None and value is not x)
        needed += [source for source in dict.fromkeys(sources) if source in nodes and source not in needed]
    for value in (x, *(node.outputs[0] for node in needed if node is not last)):
        if value.is_graph_output() or any(use.node not in needed for use in value.uses()):
            return None
    return tuple(node for node in nodes if node in needed)


def _formula(
    node: ir.Node, formulas: Mapping[ir.Value, _Formula], context: Context, short: bool
) -> _Formula | None:
    """What a node computes; None if that is not known, or not yet."""
    if node.domain or refers(node):
        return None
    operands = [_operand(value, formulas, context) for value in node.inputs]
    if not operands or None in operands:
        return None
    one, *others = (operand for operand in operands if operand is not None)
    if len(others) > 1:
        return None
    if not others:
        return _applied(node, one, short)
    (two,) = others
    if node.op_type in ("Add", "Sub"):
        return _sum(one, two if node.op_type == "Add" else _product(two, _Formula((-1.0,))))
    if node.op_type == "Mul":
        return _product(one, two)
    number = two.a[0] if len(two.a) == 1 and not two.function else None
    if node.op_type == "Div" and number and isfinite(1 / number):
        return _product(one, _Formula((1 / number,)))
    if node.op_type == "Pow" and number in (2, 3):
        square = _product(one, one)
        return square if number == 2 else _product(square, one)
    return None


def _operand(
    value: ir.Value | None, formulas: Mapping[ir.Value, _Formula], context: Context
) -> _Formula | None:
    """A value that is known, or a constant of one element without axes that would broadcast the other."""
    if value in formulas:
        return formulas[value]  # type: ignore[index]
    if context.constant_shape(value) not in ((), (1,)):
        return None
    numbers = context.numbers(value)
    if numbers.dtype.kind in "cOSU":  # complex numbers and text, of which no activation is made
        return None
    number = float(numbers.reshape(-1)[0])
    return _Formula((number,)) if isfinite(number) else None


def _applied(node: ir.Node, of: _Formula, short: bool) -> _Formula | None:
    """A function of one value."""
    name = node.op_type
    if name == "Tanh" and (of.a, of.b, of.function) == (_ZERO, (1.0,), "Softplus"):
        return of._replace(function="Tanh of Softplus")
    if of.function:
        return None
    if name == "HardSigmoid":
        said = node.attributes.get_float("alpha", 0.2), node.attributes.get_float("beta", 0.5)
        if not _near(said[0], 1 / 6, short) or said[1] != 0.5:
            return None
    elif name not in ("Erf", "Sigmoid", "Softplus", "Tanh"):
        return None
    return _Formula(_ZERO, (1.0,), name, of.a)


def _sum(one: _Formula, two: _Formula | None) -> _Formula | None:
    if two is None or (one.function and two.function and one[2:] != two[2:]):
        return None
    gate = one if one.function else two
    return _Formula(_poly(polyadd(one.a, two.a)), _poly(polyadd(one.b, two.b)), gate.function, gate.p)


def _product(one: _Formula | None, two: _Formula | None) -> _Formula | None:
    if one is None or two is None or (one.function and two.function):
        return None
    gate, factor = (one, two) if one.function else (two, one)
    a, b = (_poly(polymul(part, factor.a)) for part in (gate.a, gate.b))
    return None if max(len(a), len(b)) > _DEGREE + 1 else _Formula(a, b, gate.function, gate.p)


def _poly(coefficients: Any) -> _Poly:
    return tuple(map(float, coefficients))


def _same(one: _Formula, two: _Formula, short: bool) -> bool:
    return one.function == two.function and all(
        len(a) == len(b) and all(_near(number, exact, short) for number, exact in zip(a, b, strict=True))
        for a, b in ((one.a, two.a), (one.b, two.b), (one.p, two.p))
    )


def _near(number: float, exact: float, short: bool) -> bool:
    """Equal, as far as the model's dtype holds the number; attributes are float32."""
    return abs(number - exact) <= abs(exact) * (2.0**-8 if short else 2.0**-22)
