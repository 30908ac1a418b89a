"""A layer of a model: its geometry, its weights, and what is not known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tconv.algebra.arrays import Array
from tconv.conventions.onnx_options import ConvOptions
from tconv.errors import TconvError, clean
from tconv.geometry import Geometry
from tconv.geometry.normalize import Sides

__all__ = ["STAND_IN", "ModelLayer", "Origin", "stand_in"]

_PHASES, _LARGEST = 1 << 16, 1 << 20
_FAR = 1e100  # squares of weights must be finite
STAND_IN = 16  # inputs per axis, where a model leaves the size open: enough to have an inside


class Origin(NamedTuple):
    """Where a layer is in the file, before functions are inlined."""

    where: str = "graph"
    name: str = ""  #: the node's
    number: int = -1  #: the node's index among all nodes


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelLayer:
    """One transposed or ordinary convolution.

    `geometry` is always that of a transposed convolution. For an ordinary one (`conv`) it is the transpose:
    the map that computes the gradient of the convolution's input.
    """

    name: str  #: in ONNX no other layer has it
    geometry: Geometry | None  #: None if not even the weights' shape is known
    weight: Array | None = None  #: (in, out/groups, *kernel) of the geometry; None if computed or an input
    bias: Array | None = None
    conv: bool = False
    sized: bool = True  #: False: the model leaves sizes open and the geometry holds placeholders
    why: str = ""  #: what is not known, if anything
    where: str = "graph"  #: or the branch, loop, function or module that contains it
    input: tuple[int | None, ...] = ()  #: (batch, channels, *sizes) as far as known
    options: ConvOptions | None = None  #: as ONNX has them; None in other formats, or if not known
    channels: tuple[int, int] | None = None  #: in and out, if the shape of the weights is known
    dtype: str = ""  #: NumPy's name, or bfloat16; "" if neither weights nor input have one
    origin: Origin = field(default_factory=Origin)
    operator: str = ""  #: ONNX's; the engine's is tconv::ConvTranspose, "with Relu" if that is part of it
    quantized: Mapping[str, str] = field(default_factory=dict)
    """Of "weights", "bias", "input" and "output" those that are integers in the file, and their scales."""
    node: Any = None  #: of onnx-ir, in the model with inferred sizes

    def geometry_at(self, sizes: tuple[int, ...], batch: int = 1) -> Geometry:
        """The problem of a transposed convolution in ONNX at chosen input sizes.

        Raises:
            TconvError: the weights' shape is not known, or such an input has no output.
        """
        if self.options is None or self.channels is None:
            raise TconvError(f"{clean(self.name)}: {self.why}")
        return self.options.geometry(self.channels, sizes, batch)

    def checked(self) -> ModelLayer:
        """This layer, if its weights are finite and of the right shape; bfloat16 becomes float32.

        Raises:
            TconvError: they are not; or there are too many phases or taps to examine one by one.
        """
        g = self.known
        ends = [abs(end) for pair in g.padding for end in pair]
        if prod(g.stride) > _PHASES or max(*g.kernel, *g.dilation, *ends) > _LARGEST:
            raise TconvError(
                f"{g}: too large to examine every phase and tap; strides of {_PHASES} in all, and kernels, "
                f"dilations and paddings of {_LARGEST} would fit"
            )
        if self.weight is None:
            return self
        weight = self.weight.astype(np.float32) if self.weight.dtype.kind == "V" else self.weight
        self.check_numbers(weight)
        wanted, found = g.weight_shape, weight.shape
        if found != wanted:
            swapped = found[:2] == wanted[1::-1] and found[2:] == wanted[2:]
            hint = "; its first two axes are swapped, as in a convolution" if swapped else ""
            raise TconvError(f"{self.name}: weight has shape {found} and {g} needs {wanted}{hint}")
        return replace(self, weight=weight)

    @property
    def told(self) -> str:
        """What a report says of its node beside the problem: the engine's operator, and what is quantized."""
        held = "; ".join(f"{part} {what}" for part, what in self.quantized.items())
        said = [f"{self.operator}, tconv's engine"] if "::" in self.operator else []
        return "; ".join([*said, *([f"quantized: {held}"] if held else [])])

    @property
    def known(self) -> Geometry:
        """The geometry of a layer that has one."""
        assert self.geometry is not None, self.name
        return self.geometry

    def check_numbers(self, weight: Array) -> None:
        """Check that weights of this layer, of any shape, can be used in computations.

        Raises:
            TconvError: they are not numbers, or NaN, infinite or far too large.
        """
        if weight.dtype.kind not in "biufc":
            raise TconvError(f"{self.name}: weight has dtype {weight.dtype}; numbers would fit")
        bad = weight.size - int(np.isfinite(weight).sum())
        if bad:
            raise TconvError(f"{self.name}: {bad} of {weight.size} weights are NaN or infinite")
        largest = float(np.abs(weight).max(initial=0))
        if largest > _FAR:
            raise TconvError(f"{self.name}: weights of up to {largest:.3g}; up to {_FAR:g} would fit")


def stand_in(stride: tuple[int, ...], sides: Sides) -> tuple[int, ...]:
    """Placeholder input sizes for a layer with unknown ones: large enough to leave outputs after cropping.

    >>> stand_in((2, 2), ((1, 1), (0, 40)))
    (17, 36)
    """
    return tuple(STAND_IN + max(0, lo + hi) // max(s, 1) for s, (lo, hi) in zip(stride, sides, strict=True))
