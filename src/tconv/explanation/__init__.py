"""What a layer does, derived from its integers: sizes, cells, phases, coverage, work, frameworks' calls.

`explain` makes an `Explanation` once; it prints itself as text, Markdown or plain data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy.typing as npt

from tconv.documents import Section
from tconv.errors import TconvError, unknown
from tconv.explanation import cells, counts, frameworks, sizes
from tconv.explanation.numbers import read
from tconv.explanation.request import Request
from tconv.explanation.result import Explanation
from tconv.explanation.steps import STEPS
from tconv.explanation.trace import Trace
from tconv.geometry import Geometry
from tconv.geometry.normalize import shown

__all__ = ["SECTIONS", "Explanation", "explain"]

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
