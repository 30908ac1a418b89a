"""Whether the engine would win a layer against ONNX Runtime, by estimate: nothing is run.

ONNX Runtime computes a matrix product into a buffer of columns and adds those to the output. Its product is
counted at the most that the CPU multiplies, the buffer as written and read once from the far cache. The
engine's time is that of its plan. So the estimate favours ONNX Runtime; layers of sizes that are not known
are the engine's.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.onnx.rules.options import read_attributes
from tconv.planning import plan
from tconv.planning.cost import machine

if TYPE_CHECKING:
    import onnx_ir as ir

    from tconv.onnx.rules import Context

__all__ = ["engine_wins", "runtime_cycles"]

#: Bytes that one core moves in a cycle, to and from the far cache.
_MOVED = 8.0


def runtime_cycles(geometry: Geometry, isa: str) -> float:
    """The least cycles of one core in which ONNX Runtime computes a layer of float32."""
    facts = machine(isa, "f32")
    columns = geometry.batch * geometry.out_channels * prod(geometry.input) * prod(geometry.kernel)
    # One tap at every stride is a plain product: its columns are the output.
    direct = all(k == s == 1 for k, s in zip(geometry.kernel, geometry.stride, strict=True))
    return geometry.macs / (facts.lanes * facts.record.ports.multiply) + (
        0.0 if direct else columns * 4 * 2 / _MOVED
    )


def engine_wins(node: ir.Node, context: Context) -> bool:
    """Whether the plan for a node costs less than ONNX Runtime's computation of it."""
    options = read_attributes(node, context)
    x, weight = context.sizes(node.inputs[0]), context.sizes(node.inputs[1])
    if isinstance(options, str) or None in x or None in weight or len(x) != len(weight) or len(x) < 3:
        return True
    shape, kernel = tuple(size or 0 for size in x), tuple(size or 0 for size in weight)
    try:
        geometry = options.geometry((kernel[0], kernel[1] * options.groups), shape[2:], shape[0])
        made = plan(geometry)
    except TconvError:
        return True  # the node says what is wrong with it when it runs
    return made.cost < runtime_cycles(geometry, made.isa)
