"""One axis of a transposed convolution, as integers.

Indices: `i` an input, `t` a kernel tap, `u = i * stride + t * dilation` the full (uncropped) output that
this pair reaches, and `o = u - lo` the output after cropping.  Several axes are the product of single ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Axis", "Phase", "range_text", "reach"]


class Phase(NamedTuple):
    """The sub-filter that makes the full outputs `u = q * stride + residue`.

    `taps` holds `(tap, distance)` pairs with `tap * dilation == distance * stride + residue`, so that output
    `u` reads `input[q - distance]` through `kernel[tap]`.  A phase may be empty: its outputs are bias alone.
    """

    residue: int
    taps: tuple[tuple[int, int], ...]


def reach(kernel: int, dilation: int) -> int:
    """How many outputs the dilated kernel spans: d(k-1) + 1."""
    return dilation * (kernel - 1) + 1


@lru_cache(maxsize=256)
def _phases(kernel: int, stride: int, dilation: int) -> tuple[Phase, ...]:
    taps: list[list[tuple[int, int]]] = [[] for _ in range(stride)]
    for tap in range(kernel):
        distance, residue = divmod(tap * dilation, stride)
        taps[residue].append((tap, distance))
    return tuple(Phase(residue, tuple(of_residue)) for residue, of_residue in enumerate(taps))


class Axis(NamedTuple):
    """The problem along one axis; `lo` and `hi` are the outputs cropped at either end (negative: added)."""

    input: int
    kernel: int
    stride: int
    lo: int
    hi: int
    output_padding: int
    dilation: int

    @property
    def output(self) -> int:
        """(i-1)s - lo - hi + d(k-1) + 1 + o (Dumoulin & Visin 2016, relationship 14, with dilation)."""
        return self.smallest_output + self.output_padding

    @property
    def smallest_output(self) -> int:
        """The output size without output padding."""
        return (self.input - 1) * self.stride - self.lo - self.hi + reach(self.kernel, self.dilation)

    @property
    def padding_choices(self) -> int:
        """How many output paddings are allowed, 0 to this minus one: max(stride, dilation), as in PyTorch."""
        return max(self.stride, self.dilation)

    def input_sizes_for(self, output: int) -> tuple[int, ...]:
        """Every input size that reaches `output` with some allowed output padding, in rising order.

        With dilation <= stride there is at most one: the size of the convolution's output.
        """
        # Output sizes that one input reaches start at first + i * stride, padding_choices of them.
        first = self._replace(input=0).smallest_output
        smallest = max(1, -((first + self.padding_choices - 1 - output) // self.stride))
        return tuple(range(smallest, (output - first) // self.stride + 1))

    def phases(self) -> tuple[Phase, ...]:
        """One `Phase` for each residue 0 .. stride-1."""
        return _phases(self.kernel, self.stride, self.dilation)

    @property
    def evenness(self) -> tuple[int, int]:
        """The fewest and the most taps that reach outputs away from the borders."""
        if self.input == 1:
            return int(self.dilation == 1 or self.kernel == 1), 1
        taps = [len(phase.taps) for phase in self.phases()]
        return min(taps), max(taps)

    def zeros_around(self) -> tuple[int, int]:
        """Zeros before and after the inputs that make it a stride-1 convolution; negative ones crop."""
        margin = reach(self.kernel, self.dilation) - 1
        return margin - self.lo, margin - self.hi + self.output_padding

    def taps_of_output(self, o: int) -> tuple[tuple[int, int], ...]:
        """The `(input, tap)` pairs that add up to output `o`, by rising tap."""
        q, residue = divmod(o + self.lo, self.stride)
        taps = self.phases()[residue].taps
        return tuple((q - far, tap) for tap, far in taps if 0 <= q - far < self.input)

    def outputs_of_input(self, i: int) -> tuple[tuple[int, int], ...]:
        """The `(output, tap)` pairs over which input `i` is spread, by rising tap; cropped ones left out."""
        spread = ((i * self.stride + tap * self.dilation - self.lo, tap) for tap in range(self.kernel))
        return tuple((o, tap) for o, tap in spread if 0 <= o < self.output)

    def inputs_of_tap(self, tap: int) -> range:
        """The inputs whose product with `tap` lands inside the output."""
        start = self.lo - tap * self.dilation  # the first inside output, less what the tap adds
        first = max(0, -(-start // self.stride))
        last = min(self.input - 1, (start + self.output - 1) // self.stride)
        return range(first, max(first, last + 1))

    def coverage(self) -> tuple[int, ...]:
        """How many taps reach each output."""
        # A tap covers every stride-th output from its first to its last, so note where its run begins
        # and ends, and sum along the stride: kernel + output steps instead of kernel * input.
        change = [0] * (self.output + self.stride)
        for tap in range(self.kernel):
            inputs = self.inputs_of_tap(tap)
            if inputs:
                shift = tap * self.dilation - self.lo
                change[inputs.start * self.stride + shift] += 1
                change[inputs.stop * self.stride + shift] -= 1
        for o in range(self.stride, self.output):
            change[o] += change[o - self.stride]
        return tuple(change[: self.output])

    def products(self) -> int:
        """How many (input, tap) pairs land inside the output; the sum of `coverage()`."""
        return sum(len(self.inputs_of_tap(tap)) for tap in range(self.kernel))


def range_text(sizes: Sequence[int]) -> str:
    """A run of whole numbers in words: `7`, `7 or 8`, `7 to 12`."""
    first, last = sizes[0], sizes[-1]
    if first == last:
        return str(first)
    return f"{first} or {last}" if last == first + 1 else f"{first} to {last}"
