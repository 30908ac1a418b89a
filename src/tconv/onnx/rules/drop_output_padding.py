"""output_padding is taken off the pads at the end, or off taps of zero that are added there.

The output has (i-1)s - lo - hi + d(k-1) + 1 + o cells: o keeps what hi crops, so (hi, o) and (hi - o, 0)
are the same layer. Where o is more than hi, e = ceil((o - hi) / d) taps of zero after the kernel's last
make the full output longer by e d cells that no input reaches, of which hi - o + e d are cropped: what is
left there is the bias alone, as output padding has it. ONNX has no padding below 0, which would say it
without these zeros.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from tconv.algebra.arrays import Array
from tconv.algebra.zeros import append_taps
from tconv.onnx.rules.explicit import pads_of, read_attributes, written
from tconv.onnx.rules.layer import label, matching, renewed
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class _Match(NamedTuple):
    attributes: dict[str, Any]
    weight: Array | None  #: where taps are added


def _match(node: ir.Node, context: Context) -> _Match | str:
    told = read_attributes(node, context)
    if isinstance(told, str):
        return told
    if not any(told.output_padding):
        return "it has no output_padding"
    pads = pads_of(told)
    if isinstance(pads, str):
        return pads
    behind = [hi - o for (_, hi), o in zip(pads, told.output_padding, strict=True)]
    taps = [max(-(hi // d), 0) for hi, d in zip(behind, told.dilation, strict=True)]
    kernel = tuple(k + e for k, e in zip(told.kernel, taps, strict=True))
    weight = context.constant(node.inputs[1]) if any(taps) else None
    if any(taps):
        if weight is None:
            return "taps of zero would be added, and its weights are computed"
        weight = append_taps(weight, taps)
    longer = replace(told, kernel=kernel, output_padding=(0,) * told.axes)
    left = [hi + e * d for hi, e, d in zip(behind, taps, told.dilation, strict=True)]
    return _Match(written(longer, tuple((lo, hi) for (lo, _), hi in zip(pads, left, strict=True))), weight)


def _rewrite(node: ir.Node, context: Context, found: _Match) -> None:
    inputs = list(node.inputs)
    if found.weight is not None:
        inputs[1] = context.make_constant(node, found.weight, f"{label(node)}_weight")
    context.replace([node], [renewed(node, context, inputs, found.attributes)])


RULE = matching(
    "drop-output-padding",
    "output_padding is taken off the pads, or off taps of zero at the end",
    ["ConvTranspose"],
    _match,
    _rewrite,
)
