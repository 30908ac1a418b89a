"""What a layer does, derived from its integers: sizes, cells, phases, coverage, work, frameworks' calls.

`explain` makes an `Explanation` of one layer, `explain_stack` of several in a row; it prints itself as text,
Markdown or plain data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy.typing as npt

from tconv.documents import Section, counted
from tconv.errors import TconvError, unknown
from tconv.explanation import cells, counts, frameworks, sizes
from tconv.explanation.numbers import read
from tconv.explanation.request import Request
from tconv.explanation.result import Explanation
from tconv.explanation.stack import Stack
from tconv.explanation.stack_sections import STACK_SECTIONS
from tconv.explanation.steps import STEPS
from tconv.explanation.trace import Trace
from tconv.geometry import Geometry
from tconv.geometry.normalize import shown

__all__ = ["SECTIONS", "STACK_SECTIONS", "Explanation", "explain", "explain_stack"]

#: Name -> the function that makes the section.
SECTIONS: Mapping[str, Callable[[Request], Section]] = MappingProxyType(
    {
        "size": sizes.size,
        "zeros": sizes.zeros,
        "cells": cells.cells,
        "phases": cells.phases,
        "coverage": counts.coverage,
        "work": counts.work,
        "matrix": counts.matrix,
        "frameworks": frameworks.frameworks,
    }
)


def explain(
    geometry: Geometry,
    *,
    output: int | Sequence[int] | None = None,
    input_cell: int | Sequence[int] | None = None,
    values: tuple[npt.ArrayLike | str, npt.ArrayLike | str] | None = None,
    only: str | Sequence[str] | None = None,
) -> Explanation:
    """Explain one transposed convolution: its size, the inputs and taps of each cell, its coverage and cost.

    `output` and `input_cell` choose the cells that are followed, one index per axis; by default a cell near
    the middle with many taps is taken.  `values` are an input (n, c_in, *input) and a weight (c_in, c_out/g,
    *kernel), where leading axes of length 1 may be left out: arrays, or what the command line takes
    ("1,2;3,4", "count", "ones", "bilinear", a .npy file).  The five views of `tconv.views` are computed with
    them, step by step and without rounding.  `only` selects sections by name, such as "size,coverage".  An
    unknown name, and a cell that is not there, raise `TconvError`.

    >>> import tconv
    >>> g = tconv.Geometry.parse("n1 c1>1 i2x2 k3 s2 p0:1")
    >>> print(tconv.explain(g, values=([[1, 2], [3, 4]], "ones"), only=["values-answer"]))
    n1 c1>1 i2x2 k3 s2 p0:1
    <BLANKLINE>
    Five times the same
    -------------------
      view     way                        outputs  their sum
      scatter  stamp                           16         55
      zeros    inserted zeros                  16         55
      matrix   matrix                          16         55
      col2im   gradient of a convolution       16         55
      phases   phases                          16         55
    <BLANKLINE>
      scatter     zeros       matrix      col2im      phases
      1 1  3 2    1 1  3 2    1 1  3 2    1 1  3 2    1 1  3 2
      1 1  3 2    1 1  3 2    1 1  3 2    1 1  3 2    1 1  3 2
      4 4 10 6    4 4 10 6    4 4 10 6    4 4 10 6    4 4 10 6
      3 3  7 4    3 3  7 4    3 3  7 4    3 3  7 4    3 3  7 4
    <BLANKLINE>
      All 16 outputs of the five are equal, without any rounding.
    """
    if not isinstance(geometry, Geometry):
        raise TconvError(f"explain({shown(geometry)}): not a Geometry; tconv.Geometry.parse(text) makes one")
    request = Request.of(geometry, output, input_cell)
    makers: dict[str, Callable[[], Section]] = {
        name: partial(make, request) for name, make in SECTIONS.items()
    }
    if values is not None:
        if not isinstance(values, tuple | list) or len(values) != 2:
            raise TconvError(f"values={shown(values)}; a pair of an input and a weight would fit")
        followed = Trace.of(request, read(geometry, *values))
        makers |= {name: partial(make, followed) for name, make in STEPS.items()}
    return Explanation(str(geometry), tuple(makers[name]() for name in _chosen(only, [*makers])))


def explain_stack(
    problems: Sequence[Geometry | str],
    *,
    output: int | Sequence[int] | None = None,
    input_cell: int | Sequence[int] | None = None,
    only: str | Sequence[str] | None = None,
) -> Explanation:
    """Explain several layers in a row: sizes, receptive fields, alignment, total coverage, cost.

    `problems` are the layers in their order, as text or as geometries.  A later text may leave out n, c and
    i, which are then those of the output before it; what is given must agree with that output.  `output` and
    `input_cell` choose the cells that are followed back and onwards, by default those in the middle.  `only`
    selects sections by name, such as "size,coverage".  Layers that do not follow each other, an unknown name,
    and a cell that is not there raise `TconvError`; the message says what would fit.

    >>> print(explain_stack(["n1 c8>4 i7x7 k4 s2 p1", "k4 s2 p1"], only="size"))
    2 layers, 7x7 to 28x28
    <BLANKLINE>
    Sizes
    -----
      layer    problem                  input  output
      layer 1  n1 c8>4 i7x7 k4 s2 p1      7x7   14x14
      layer 2  n1 c4>4 i14x14 k4 s2 p1  14x14   28x28
    <BLANKLINE>
      All layers together, with their common stride, kernel and crop:
      output = (input - 1) * stride - lo - hi + kernel
      axes 0 and 1: (7 - 1) * 4 - 3 - 3 + 10 = 28
      On axes 0 and 1 the output is the input times 4.
    """
    stack = Stack.of(problems, output, input_cell)
    first, last = ("x".join(map(str, sizes)) for sizes in (stack.layers[0].input, stack.layers[-1].output))
    return Explanation(
        " | ".join(map(str, stack.layers)),
        tuple(STACK_SECTIONS[name](stack) for name in _chosen(only, [*STACK_SECTIONS])),
        f"{counted(len(stack.layers), 'layer')}, {first} to {last}",
    )


def _chosen(only: str | Sequence[str] | None, known: list[str]) -> list[str]:
    """The sections to make; `values` stands for all sections that compute with numbers."""
    if only is None:
        return known
    wanted = only.split(",") if isinstance(only, str) else only
    if not isinstance(wanted, list | tuple):
        raise TconvError(f"only={shown(only)}; names of sections would fit: {', '.join(known)}")
    for name in wanted:
        if not isinstance(name, str) or name not in known:
            raise unknown("section", name, known)
    return [name for name in known if name in wanted or ("values" in wanted and name.startswith("values-"))]
