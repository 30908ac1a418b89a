"""How a value is written, the same for every renderer."""

from __future__ import annotations

from fractions import Fraction
from math import isinf

from tconv.documents.document import Cell, Mark
from tconv.errors import printable

__all__ = ["shown"]


def shown(value: Cell, none: str = "-") -> str:
    """A value as text: thousands separated, fractions as decimals of at most six digits.

    >>> shown(1048576), shown(Fraction(9, 16)), shown(Fraction(1, 3)), shown(float("inf")), shown((0, 1))
    ('1,048,576', '0.5625', '0.333333', 'infinite', '(0, 1)')
    """
    if isinstance(value, Mark):
        value = value.value
    if value is None:
        return none
    if isinstance(value, str | tuple):
        return printable(value)
    if isinstance(value, float) and isinf(value):
        return "infinite"
    exact = Fraction(value)
    return f"{int(exact):,}" if exact.denominator == 1 and abs(exact) < 10**12 else f"{float(exact):.6g}"
