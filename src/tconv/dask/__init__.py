"""The maps on dask arrays: answers larger than memory, computed block by block, on one machine or many.

Each block of the answer is one call of the engine on the part of the input that reaches it. Its padding,
which may be uneven and negative, crops to the outputs of that block, so that nothing is computed to be
trimmed, and blocks smaller than the kernel fit.

>>> import dask.array as da
>>> import numpy as np
>>> x = da.ones((1, 1, 6), chunks=(1, 1, 2), dtype="int32")
>>> y = conv_transpose(x, np.ones((1, 1, 4), np.int32), stride=2, padding=1)
>>> y.chunks[2], y.compute()[0, 0]
((4, 4, 4), array([1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1], dtype=int32))
"""

from __future__ import annotations

try:
    import dask.array  # noqa: F401
except ImportError as fault:
    raise ImportError("tconv.dask needs dask 2024.8 or newer: pip install 'tconv[dask]'") from fault

from tconv.dask.maps import conv, conv_transpose

__all__ = ["conv", "conv_transpose"]
