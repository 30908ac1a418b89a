"""The transposed convolution by five equal definitions in NumPy, and its two companion maps.

Each view takes `x` of shape (n, c_in, *input), `weight` of shape (c_in, c_out/g, *kernel) and a `Geometry`,
and returns `y` of shape (n, c_out, *output).  They are written for clarity, not for speed:
every dtype of NumPy is computed in its own width (Python's integers, dtype object, exactly), nothing is
conjugated, and no view depends on the engine's planning.

- `scatter`  each input stamps its multiple of the kernel on the output (the oracle of all tests)
- `zeros`    insert zeros between the inputs, turn the kernel by 180 degrees, and slide it with stride 1
- `matrix`   the transpose of the sparse matrix of a convolution
- `col2im`   the gradient of a convolution, as Caffe computes it
- `phases`   interleaved stride-1 correlations of the original input, no zero inserted

`gather` is the convolution that this transposes (the adjoint map, output -> input) and `correlate` the
gradient of the weights; both by definition.

>>> import numpy as np
>>> from tconv.geometry import Geometry
>>> x = np.array([1.0, 10.0]).reshape(1, 1, 2)
>>> w = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3)
>>> g = Geometry.parse("n1 c1>1 i2 k3 s2")
>>> scatter(x, w, g)[0, 0]  # 1, 2, 3 and 10, 20, 30 overlap in the middle
array([ 1.,  2., 13., 20., 30.])
>>> all(np.array_equal(view(x, w, g), scatter(x, w, g)) for view in VIEWS.values())
True
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from tconv.views.arrays import Array
from tconv.views.columns import col2im
from tconv.views.polyphase import phases
from tconv.views.sparse_matrix import apply_triplets, matrix, triplets
from tconv.views.stamp import correlate, gather, scatter
from tconv.views.zero_insertion import zeros

__all__ = [
    "VIEWS",
    "apply_triplets",
    "col2im",
    "correlate",
    "gather",
    "matrix",
    "phases",
    "scatter",
    "triplets",
    "zeros",
]

#: Name -> view; a view added here is tested with the others.
VIEWS: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {"scatter": scatter, "zeros": zeros, "matrix": matrix, "col2im": col2im, "phases": phases}
)
