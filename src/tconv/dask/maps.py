"""The maps as graphs: a task for each block of the answer, and one for each part of a chunk that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import isnan
from operator import getitem
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from tconv import ops
from tconv.dask.cuts import Cut, Piece, cuts, pieces
from tconv.errors import TconvError
from tconv.geometry.normalize import Padding, PerAxis
from tconv.ops.arrays import Array, operand
from tconv.ops.call_cache import Options, geometry_of, moved_first, planned_call
from tconv.ops.execute import bias_operand, check_layout, same_dtype
from tconv.planning import Activation, Layout, MapName

__all__ = ["conv", "conv_transpose"]


def conv_transpose(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    output_size: PerAxis | None = None,
    activation: Activation = None,
    layout: Layout = "channels_first",
    algorithm: str = "auto",
) -> da.Array:
    """`tconv.conv_transpose` of a dask array, which is computed block by block when the answer is.

    Integers equal those of the whole array to the last bit. Floats are sums of the same products, but each
    block has a plan of its own, and plans may add in different orders, so that the last bits may depend on
    the chunks and on the machine. With algorithm="reference" (plain loops, one order of sums) they
    equal those of the whole, at the price of speed.

    Args:
        x: (n, c_in, *input), or (c_in, *input); any chunks. Channels that are cut are rechunked first.
        weight: (c_in, c_out/groups, *kernel), a NumPy array or one with __dlpack__, of the dtype of `x`.
        bias: (c_out,), or None; the other options are those of `tconv.conv_transpose`.

    Returns:
        A dask array (n, c_out, *output) of the dtype of `x`, with a block over each chunk of `x` whose
        outputs are not cropped. Its chunks are `stride` times as large, except at the ends, and where the
        padding is far from half of what neighbours overlap. Gradients are not recorded.

    Raises:
        TconvError: arguments that do not fit, at once; the message says what would.

    >>> x = da.ones((1, 2, 5, 7), chunks=(1, 1, 2, 3), dtype="float32")
    >>> conv_transpose(x, np.ones((2, 3, 4, 4), np.float32), stride=2, padding=1).chunks
    ((1,), (3,), (4, 4, 2), (6, 6, 2))
    """
    return _map(
        *("conv_transpose", x, weight, bias),
        Options.of(
            stride, padding, output_padding, dilation, groups, output_size, activation, algorithm, layout
        ),
    )


def conv(
    y: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    input_size: PerAxis | None = None,
    activation: Activation = None,
    layout: Layout = "channels_first",
    algorithm: str = "auto",
) -> da.Array:
    """`tconv.conv` of a dask array; what is said of `conv_transpose` holds.

    >>> y = da.arange(6, chunks=1).reshape(1, 1, 6)  # chunks smaller than the kernel
    >>> conv(y, np.ones((1, 1, 3), y.dtype), padding=1).compute()
    array([[[ 1,  3,  6,  9, 12,  9]]])
    """
    return _map(
        *("conv", y, weight, bias),
        Options.of(stride, padding, 0, dilation, groups, input_size, activation, algorithm, layout),
    )


def _map(map: MapName, x: Any, weight: Any, bias: Any, options: Options) -> da.Array:
    check_layout(options.layout)
    options.check()
    name = "x" if map == "conv_transpose" else "y"
    _check_array(name, x)
    # A weight that PyTorch or JAX owns becomes NumPy's: it travels to the workers.
    like, read = operand(name, np.empty(0, x.dtype)), operand("weight", weight)
    same_dtype(name, like, "weight", read)
    kernel = read.array.view(x.dtype)
    axes = kernel.ndim - 2
    shape = x.shape
    last = options.layout == "channels_last" and len(shape) in (axes + 1, axes + 2)
    geometry, batched = geometry_of(map, moved_first(shape, axes) if last else shape, kernel.shape, options)
    channels = geometry.out_channels if map == "conv_transpose" else geometry.in_channels
    added = bias_operand(bias, channels, like)
    if added is not None:
        added = added.view(x.dtype)
    x = x.rechunk({(-1 if last else int(batched)): -1})

    space = range(int(batched), int(batched) + axes) if last else range(int(batched) + 1, x.ndim)
    along = [cuts(geometry.axis(a), map, x.chunks[at]) for a, at in enumerate(space)]
    call = options._replace(stride=geometry.stride, dilation=geometry.dilation, output_padding=0, size=None)
    first = [shape[at] for at in range(x.ndim)]
    for at, cut in zip(space, along, strict=True):
        first[at] = len(cut[0].source)
    # The first block's plan: an option without a meaning is refused now, not by a worker.
    planned_call(
        map,
        *(like.code, tuple(first), kernel.shape),
        call._replace(padding=tuple(cut[0].padding for cut in along)),
    )

    out = f"tconv-{map}-{tokenize(x.name, kernel, added, options)}"
    chunks = list(x.chunks)
    chunks[-1 if last else int(batched)] = (channels,)
    for at, cut in zip(space, along, strict=True):
        chunks[at] = tuple(len(one.result) for one in cut)
    graph = _graph(out, x, map, (kernel, added), call, dict(zip(space, along, strict=True)))
    whole = HighLevelGraph.from_collections(out, graph, dependencies=[x])
    array: Any = da.Array  # dask has no annotations there
    answer: da.Array = array(whole, out, tuple(chunks), meta=np.empty((0,) * x.ndim, x.dtype))
    return answer


def _check_array(name: str, x: Any) -> None:
    if not isinstance(x, da.Array):
        raise TconvError(
            f"{name} is a {type(x).__name__}; a dask array, as dask.array.from_array makes one, would fit"
        )
    kind = type(x._meta)
    if kind is not np.ndarray:
        raise TconvError(f"{name} has blocks of {kind.__name__}; NumPy arrays would fit")
    if any(isnan(size) for sizes in x.chunks for size in sizes):
        raise TconvError(
            f"{name} has chunks of unknown sizes; those that {name}.compute_chunk_sizes() finds would fit"
        )


def _graph(
    out: str,
    x: da.Array,
    map: MapName,
    numbers: tuple[Array, Array | None],
    call: Options,
    along: dict[int, list[Cut]],
) -> dict[Any, Any]:
    """A task for each block; pieces of chunks are tasks, so that no more than them is sent to a worker."""
    weight, bias = (f"{out}-weight", f"{out}-bias")
    graph: dict[Any, Any] = {weight: numbers[0], bias: numbers[1]}
    ranges: list[list[tuple[tuple[int, int] | None, list[Piece]]]] = []
    for at, sizes in enumerate(x.chunks):
        if at in along:
            ranges.append([(cut.padding, list(pieces(cut.source, sizes))) for cut in along[at]])
        else:
            ranges.append([(None, [Piece(number, None)]) for number in range(len(sizes))])
    for index in product(*(range(len(each)) for each in ranges)):
        chosen = [each[number] for each, number in zip(ranges, index, strict=True)]
        padding = tuple(sides for sides, _ in chosen if sides is not None)
        sources = _nested(out, x.name, graph, [parts for _, parts in chosen], ())
        graph[(out, *index)] = (_block, map, sources, weight, bias, call._replace(padding=padding))
    return graph


def _nested(
    out: str, source: str, graph: dict[Any, Any], axes: Sequence[list[Piece]], taken: tuple[Piece, ...]
) -> Any:
    """Keys of all pieces, as lists in lists, one level an axis."""
    if axes:
        return [_nested(out, source, graph, axes[1:], (*taken, piece)) for piece in axes[0]]
    key = (source, *(piece.chunk for piece in taken))
    if all(piece.part is None for piece in taken):
        return key
    parts = tuple(piece.part or slice(None) for piece in taken)
    text = "_".join(f"{part.start}:{part.stop}" if part.stop else "" for part in parts)
    piece_key = (f"{out}-part", *key[1:], text)
    graph[piece_key] = (getitem, key, parts)
    return piece_key


def _block(map: MapName, sources: Any, weight: Array, bias: Array | None, call: Options) -> Array:
    found = list(_flat(sources))
    x = found[0] if len(found) == 1 else np.block(sources)
    answer: Array = getattr(ops, map)(
        *(x, weight, bias),
        stride=call.stride,
        padding=call.padding,
        dilation=call.dilation,
        groups=call.groups,
        activation=call.activation,
        layout=call.layout,
        algorithm=call.algorithm,
    )
    return answer


def _flat(sources: Any) -> Iterator[Any]:
    if isinstance(sources, list):
        for each in sources:
            yield from _flat(each)
    else:
        yield sources
