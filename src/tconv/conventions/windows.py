"""The part of the full output that a call gives, the part that is needed, and the lines that pad or crop.

A window is (lo, hi) on each axis: how many cells of the full output, (input-1) * stride + reach, are
cropped at either end; negative numbers stand for cells beyond it, which are zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from tconv.geometry import Geometry

__all__ = ["bridge", "channels_last_lines", "crop_lines", "crops", "full_sizes", "pads", "wanted"]

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


def crop_lines(after: Sides, leading: int) -> list[str]:
    """The line that crops an array `y`, if any; `leading` axes stand before the spatial ones."""
    return [f"y = y{_slices(after, leading)}"] if any(map(any, crops(after))) else []


def channels_last_lines(after: Sides, pad: str) -> list[str]:
    """The lines that pad and crop an array `y` with channels last; `pad` is a function as np.pad."""
    grown = [f"y = {pad}(y, {((0, 0), *pads(after), (0, 0))})"] if any(map(any, pads(after))) else []
    return [*grown, *crop_lines(after, 1)]
