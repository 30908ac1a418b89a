"""What a row costs by estimate, where timing gives no answer.

Ours is the plan's cost. PyTorch's transposed convolution is taken to multiply at a third of the peak of the
CPU's vectors, and to spend 10 cycles on each number of its input and output; a convolution multiplies at
three quarters of the peak; every separate pass over a tensor takes a cycle for each number that it reads or
writes. On the 55 layers of `tconv bench` (float32; estimates for AVX-512, times of a Xeon with AMX) the
ratio is within a factor of 2 of the measured one for 40, mostly below it, and above 1 for all, as measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from torch import Tensor

from tconv.planning import Plan
from tconv.planning.cost import machine
from tconv.torch.accelerate.chains import Chain
from tconv.torch.accelerate.rows import Row

__all__ = ["cycles", "ratio"]

_TRANSPOSED, _CONVOLUTION = 1 / 3, 3 / 4  #: shares of the peak
_SCATTERED, _MOVED = 10.0, 1.0  #: cycles for a number


def cycles(row: Row, x: Tensor) -> dict[int, float]:
    """The estimated cycles of each level of a row whose layer's input is `x`; empty where nothing is known.

    This packs the weights that its highest level needs, and runs nothing.
    """
    *_, most = row.levels
    plan = None if row.chain is None else row.chain.plan_for(row.given(x))
    if plan is None or row.chain is None:
        return {}
    chain = row.chain
    whole = chain if chain.following is None else chain.following.whole
    numbers = prod(plan.geometry.output_shape)
    apart = 2 * numbers * _MOVED * sum(part is not None for part in (whole.norm, whole.activation))
    return {
        0: _theirs(row, chain, plan) + apart,
        **({1: plan.cost + apart} if row.alone and len(row.levels) > 2 else {}),
        most: plan.cost,
    }


def ratio(known: Mapping[int, float], before: int, after: int) -> float | None:
    """How many times as fast a level is than another, by estimate."""
    return known[before] / known[after] if before in known and after in known else None


def _theirs(row: Row, chain: Chain, plan: Plan) -> float:
    """The layer before anything was done to it."""
    g, facts = plan.geometry, machine(plan.isa, plan.dtype)
    peak = facts.lanes * facts.record.ports.multiply
    inputs, outputs = prod(g.input_shape), prod(g.output_shape)
    if chain.factor is not None:
        layer, enlarged = chain.layer, inputs * prod(chain.factor)
        products: int = outputs * layer.in_channels // layer.groups * prod(layer.kernel_size)
        return products / (peak * _CONVOLUTION) + (inputs + 2 * enlarged + outputs) * _MOVED
    if row.swap is None:  # tconv's already: it packs at every call
        return plan.cost + prod(g.weight_shape) * facts.record.pack_phases
    return g.macs / (peak * _TRANSPOSED) + (inputs + outputs) * _SCATTERED
