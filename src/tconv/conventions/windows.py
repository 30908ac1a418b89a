"""Which part of the full output a call gives, which part is wanted, and the lines that bridge the two.

A window is (lo, hi) on each axis: how many cells of the full output, (input-1) * stride + reach, are cut
off at either end; negative ones stand for cells beyond it, where nothing arrives and all is zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from tconv.geometry import Geometry

__all__ = ["array_lines", "bridge", "crops", "full_sizes", "pads", "wanted"]

Sides = tuple[tuple[int, int], ...]


def full_sizes(geometry: Geometry) -> tuple[int, ...]:
    """The sizes of the full output, before anything is cropped or added."""
    axes = (geometry.axis(a)._replace(lo=0, hi=0) for a in range(geometry.axes))
    return tuple(axis.smallest_output for axis in axes)


def wanted(geometry: Geometry) -> Sides:
    """The window of a Geometry: output padding is a smaller hi."""
    return tuple((lo, hi - o) for (lo, hi), o in zip(geometry.padding, geometry.output_padding, strict=True))


def bridge(given: Sequence[tuple[int, int]], want: Sides) -> Sides:
    """The cells to add at either end of each axis of what a call gives; negative ones are cropped."""
    return tuple((has[0] - window[0], has[1] - window[1]) for has, window in zip(given, want, strict=True))


def pads(after: Sides) -> Sides:
    """The cells that a bridge adds; they come first, so that a crop may reach into them."""
    return tuple((max(lo, 0), max(hi, 0)) for lo, hi in after)


def crops(after: Sides) -> Sides:
    """The cells that a bridge takes away, as positive numbers."""
    return tuple((max(-lo, 0), max(-hi, 0)) for lo, hi in after)


def _slices(after: Sides, leading: int) -> str:
    """A Python subscript that crops; `leading` axes stand before the spatial ones.

    >>> _slices(((-1, 0), (0, -2)), leading=1)
    '[:, 1:, :-2]'
    """
    cut = [f"{lo or ''}:{-hi if hi else ''}" for lo, hi in crops(after)]
    return f"[{', '.join([':'] * leading + cut)}]"


def array_lines(after: Sides, data_first: int, pad: str) -> list[str]:
    """The lines that pad and crop an array `y` by `after`; `pad` is a function of NumPy's signature."""
    lines = []
    if any(side for pair in pads(after) for side in pair):
        before, behind = ([(0, 0)] * 2, []) if data_first == 2 else ([(0, 0)], [(0, 0)])
        lines.append(f"y = {pad}(y, {(*before, *pads(after), *behind)})")
    if any(side for pair in crops(after) for side in pair):
        lines.append(f"y = y{_slices(after, data_first)}")
    return lines
