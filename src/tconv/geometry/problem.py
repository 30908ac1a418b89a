"""`Geometry`: every integer of one transposed convolution, checked once, immutable."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import NamedTuple

from tconv.errors import TconvError
from tconv.geometry import spelling
from tconv.geometry.axis import Phase, range_text
from tconv.geometry.checks import check
from tconv.geometry.normalize import (
    Padding,
    PerAxis,
    Sides,
    conv_output,
    padding_pairs,
    per_axis,
    shown,
    whole,
)
from tconv.geometry.options import Options

__all__ = ["Geometry", "ZeroInsertion"]


class ZeroInsertion(NamedTuple):
    """How to reach the same output with a stride-1 convolution (Dumoulin & Visin 2016, chapter 4).

    Insert `between[a]` zeros between neighbouring inputs of axis a and `around[a]` zeros (before, after)
    around them (a negative number crops), turn the kernel by 180 degrees, dilate it by `dilation[a]`, and
    correlate.
    """

    between: tuple[int, ...]
    around: Sides
    dilation: tuple[int, ...]


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Geometry(Options):
    """One transposed convolution as integers: it maps `input_shape` to `output_shape`.

    Build it with `make` or `parse`.  Tuples have one entry per spatial axis (1 to 3 axes); `padding` is
    (lo, hi), the outputs cropped at either end, and negative values extend the output.  Everything is checked
    on construction; invalid values raise `TconvError`.

    >>> g = Geometry.parse("n1 c1>1 i3x3 k4 s2 p1")  # FCN's bilinear 2x
    >>> g.output  # (3-1)*2 - 1 - 1 + (4-1) + 1
    (6, 6)
    >>> g.coverage()[0]
    (1, 2, 2, 2, 2, 1)
    """

    #: Spatial sizes of the output, (i-1)s - lo - hi + d(k-1) + 1 + o on each axis.
    output: tuple[int, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse integers that are not a transposed convolution."""
        check(self)
        object.__setattr__(self, "output", tuple(self.axis(a).output for a in range(self.axes)))

    @classmethod
    def make(
        cls,
        *,
        batch: int = 1,
        in_channels: int,
        out_channels: int,
        input: PerAxis,
        kernel: PerAxis,
        stride: PerAxis = 1,
        padding: Padding = 0,
        output_padding: PerAxis = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        output_size: PerAxis | None = None,
    ) -> Geometry:
        """Build a Geometry from options as callers write them: one int for every axis, or one per axis.

        `input` determines the number of axes (an int: one).  `padding` also takes one (lo, hi) pair per axis;
        "valid" (0); and "same", where the output is input * stride.  `output_size` chooses the
        output_padding that gives this size.  Ints must be ints: True and 2.0 are refused.

        >>> Geometry.make(in_channels=3, out_channels=8, input=(5, 7), kernel=3, stride=2, padding="same")
        Geometry.parse('n1 c3>8 i5x7 k3 s2 p0:1')
        >>> Geometry.make(in_channels=1, out_channels=1, input=4, kernel=3, stride=2, output_size=10)
        Geometry.parse('n1 c1>1 i4 k3 s2 o1')
        """
        axes = len(input) if isinstance(input, tuple | list) else 1
        sizes = per_axis("kernel", kernel, axes)
        strides = per_axis("stride", stride, axes)
        dilations = per_axis("dilation", dilation, axes)
        extra = per_axis("output_padding", output_padding, axes)
        if output_size is not None:
            if any(extra):
                raise TconvError(
                    f"output_size={shown(output_size)} and output_padding={shown(output_padding)} "
                    "both choose the output's size; give one of them"
                )
            # The largest output exists whenever the wanted one does.
            extra = tuple(max(s, d, 1) - 1 for s, d in zip(strides, dilations, strict=True))
        geometry = cls(
            batch=whole("batch", batch),
            in_channels=whole("in_channels", in_channels),
            out_channels=whole("out_channels", out_channels),
            input=per_axis("input", input, axes),
            kernel=sizes,
            stride=strides,
            padding=padding_pairs(padding, sizes, strides, dilations),
            output_padding=extra,
            dilation=dilations,
            groups=whole("groups", groups),
        )
        if output_size is None:
            return geometry
        return replace(geometry, output_padding=geometry.output_padding_for(output_size))

    @classmethod
    def for_output(
        cls,
        *,
        batch: int = 1,
        in_channels: int,
        out_channels: int,
        output: PerAxis,
        kernel: PerAxis,
        stride: PerAxis = 1,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        input_size: PerAxis | None = None,
    ) -> Geometry:
        """Build the Geometry whose output has these sizes: the transpose of a convolution of `output`.

        The input has the size that this convolution gives, floor((output + lo + hi - d(k-1) - 1) / s) + 1,
        unless `input_size` is another size that reaches `output` (which exists only where dilation > stride).
        `in_channels` and `out_channels` are those of the transposed layer.

        >>> Geometry.for_output(in_channels=8, out_channels=3, output=10, kernel=3, stride=2)
        Geometry.parse('n1 c8>3 i4 k3 s2 o1')
        """
        axes = len(output) if isinstance(output, tuple | list) else 1
        wanted = per_axis("output", output, axes)
        if input_size is None:
            input_size = conv_output(wanted, kernel, stride, padding, dilation)
        return cls.make(
            batch=batch,
            in_channels=in_channels,
            out_channels=out_channels,
            input=per_axis("input_size", input_size, axes),
            kernel=kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            output_size=wanted,
        )

    @classmethod
    def parse(cls, text: str, *, after: Geometry | None = None) -> Geometry:
        """Read the spelling that `str` writes; its words may come in any order.

        n batch, c in>out channels, i input sizes, k kernel, s stride, p padding (lo:hi where the sides
        differ), o output padding, d dilation, g groups.  One number stands for every axis.  The defaults are
        n1 s1 p0 o0 d1 g1.

        `after` is the layer before: n, c and i that are left out are those of its output (and as many
        channels go out as come in).

        >>> first = Geometry.parse("c4>2 i5x6 k3x5 s2 p1:2 g2")
        >>> str(first), str(Geometry.parse("k4 s2 p1", after=first))
        ('n1 c4>2 i5x6 k3x5 s2 p1:2 g2', 'n1 c2>2 i8x12 k4 s2 p1')
        """
        if after is None:
            return cls.make(**spelling.read(text))
        through = after.out_channels
        left_out = {"batch": after.batch, "channels": (through, through), "input": list(after.output)}
        return cls.make(**spelling.read(text, left_out))

    def __str__(self) -> str:
        """The spelling that `parse` reads."""
        return spelling.write(self)

    def __repr__(self) -> str:
        """An expression that builds this Geometry."""
        return f"Geometry.parse({str(self)!r})"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(batch, in_channels, *input)."""
        return (self.batch, self.in_channels, *self.input)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(batch, out_channels, *output)."""
        return (self.batch, self.out_channels, *self.output)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(in_channels, out_channels / groups, *kernel), as in PyTorch, ONNX and Caffe."""
        return (self.in_channels, self.out_channels // self.groups, *self.kernel)

    def input_sizes_for(self, output: PerAxis) -> tuple[tuple[int, ...], ...]:
        """For each axis the input sizes that reach `output` with these options and some output padding.

        >>> Geometry.parse("n1 c1>1 i4 k3 s2").input_sizes_for(10)  # a convolution of 10 with k3 s2 gives 4
        ((4,),)
        >>> Geometry.parse("n1 c1>1 i4 k3 d2").input_sizes_for(7)  # output padding 1 or 0
        ((2, 3),)
        """
        wanted = per_axis("output", output, self.axes)
        return tuple(self.axis(a).input_sizes_for(size) for a, size in enumerate(wanted))

    def output_padding_for(self, size: PerAxis) -> tuple[int, ...]:
        """The output padding that makes the output `size` from this input.

        >>> Geometry.parse("n1 c1>1 i4 k3 s2").output_padding_for(10)
        (1,)
        """
        chosen = []
        for a, wanted in enumerate(per_axis("output_size", size, self.axes)):
            axis = self.axis(a)
            sizes = range(axis.smallest_output, axis.smallest_output + axis.padding_choices)
            if wanted not in sizes:
                reached = range(max(1, sizes.start), sizes.stop)
                raise TconvError(
                    f"{spelling.write(self, leave_out='o')}: output size {wanted} on axis {a} cannot be "
                    f"reached from input size {axis.input}; {range_text(reached)} can"
                )
            chosen.append(wanted - sizes.start)
        return tuple(chosen)

    def phases(self, axis: int) -> tuple[Phase, ...]:
        """The `stride` phases of the full (uncropped) output along `axis`, with their (tap, distance) pairs.

        With h = gcd(stride, dilation) only residues divisible by h have taps, every (stride/h)-th of them.

        >>> Geometry.parse("n1 c1>1 i4 k3 s2").phases(0)
        (Phase(residue=0, taps=((0, 0), (2, 1))), Phase(residue=1, taps=((1, 0),)))
        """
        return self.axis(axis).phases()

    def taps_of_output(self, axis: int, o: int) -> tuple[tuple[int, int], ...]:
        """The (input index, tap) pairs that add up to output index `o` along `axis`, by rising tap.

        >>> Geometry.parse("n1 c1>1 i4 k3 s2").taps_of_output(0, 2)
        ((1, 0), (0, 2))
        """
        along = self.axis(axis)
        self._check_index("output", o, along.output, axis)
        return along.taps_of_output(o)

    def outputs_of_input(self, axis: int, i: int) -> tuple[tuple[int, int], ...]:
        """The (output index, tap) pairs that input index `i` is spread to along `axis`, without cropped ones.

        >>> Geometry.parse("n1 c1>1 i4 k3 s2 p1").outputs_of_input(0, 0)
        ((0, 1), (1, 2))
        """
        along = self.axis(axis)
        self._check_index("input", i, along.input, axis)
        return along.outputs_of_input(i)

    def _check_index(self, name: str, index: int, size: int, axis: int) -> None:
        if not 0 <= whole(f"{name} index", index) < size:
            raise TconvError(f"{self}: no {name} {index} on axis {axis}; {range_text(range(size))} would fit")

    def coverage(self) -> tuple[tuple[int, ...], ...]:
        """How many taps reach each output index, axis by axis; a position's coverage is their product.

        Uneven coverage shows as a checkerboard (Odena, Dumoulin, Olah 2016).

        >>> Geometry.parse("n1 c1>1 i3 k3 s2").coverage()
        ((1, 1, 2, 1, 2, 1, 1),)
        """
        return tuple(self.axis(a).coverage() for a in range(self.axes))

    @property
    def evenness(self) -> tuple[int, int]:
        """The fewest and the most taps that reach outputs away from the borders: equal ones are even.

        The numbers of the axes are multiplied. Along an axis with one input nothing overlaps, so one tap
        reaches each output of its stamp, and none the gaps of a dilated one.

        >>> Geometry.parse("n1 c1>1 i4x4 k3 s2").evenness, Geometry.parse("n1 c1>1 i4x1 k3 s2").evenness
        ((1, 4), (1, 2))
        """
        ends = [self.axis(a).evenness for a in range(self.axes)]
        return prod(least for least, _ in ends), prod(most for _, most in ends)

    @property
    def macs(self) -> int:
        """Nominal multiply-accumulates, for any stride: n * c_in * prod(input) * c_out/g * prod(kernel)."""
        return prod(self.input_shape) * prod(self.weight_shape[1:])

    @property
    def macs_exact(self) -> int:
        """Multiply-accumulates that land inside the output: the coverage map's sum for every channel pair.

        >>> g = Geometry.parse("n1 c1>1 i4x4 k3")
        >>> g.macs, g.macs_exact, Geometry.parse("n1 c1>1 i4x4 k3 p1").macs_exact  # (4*3)^2 and (4*3 - 2)^2
        (144, 144, 100)
        """
        pairs = self.batch * self.in_channels * self.weight_shape[1]
        return pairs * prod(self.axis(a).products() for a in range(self.axes))

    def zero_insertion(self) -> ZeroInsertion:
        """The recipe that reaches the same output by inserting zeros and convolving with stride 1.

        >>> Geometry.parse("n1 c1>1 i2x2 k3 s2 p1").zero_insertion()
        ZeroInsertion(between=(1, 1), around=((1, 1), (1, 1)), dilation=(1, 1))
        """
        axes = [self.axis(a) for a in range(self.axes)]
        return ZeroInsertion(
            between=tuple(axis.stride - 1 for axis in axes),
            around=tuple(axis.zeros_around() for axis in axes),
            dilation=self.dilation,
        )
