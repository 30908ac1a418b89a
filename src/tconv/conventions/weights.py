"""Weight layouts: the order of the axes, whether the kernel is flipped, and how groups share an axis."""

from __future__ import annotations

from typing import Any, NamedTuple

from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.normalize import shown

__all__ = ["Layout"]


class Layout(NamedTuple):
    """The axes of a weight array as letters: `i` in, `o` out, and `0`, `1`, `2` the kernel's axes in order.

    `flipped` kernels are turned by 180 degrees.  Each of g groups has its own slice of both channel axes, so
    an array can have in * out/g or in/g * out channels; `groups_out` says that it is the latter.
    """

    axes: str
    flipped: bool = False
    groups_out: bool = False

    def to_theirs(self, weight: Any, geometry: Geometry) -> Any:
        """An array (in, out/groups, *kernel) in this layout."""
        array = _expect(weight, geometry.weight_shape, geometry)
        if self.groups_out and geometry.groups > 1:
            array = _exchange(array, geometry, geometry.in_channels, geometry.weight_shape[1])
        if self.flipped:
            array = _flip(array, tuple(range(2, 2 + geometry.axes)))
        return _transpose(array, self._order())

    def from_theirs(self, weight: Any, geometry: Geometry) -> Any:
        """An array of this layout as (in, out/groups, *kernel)."""
        order = self._order()
        array = _expect(weight, self.shape(geometry), geometry)
        array = _transpose(array, tuple(order.index(a) for a in range(len(order))))
        if self.flipped:
            array = _flip(array, tuple(range(2, 2 + geometry.axes)))
        if self.groups_out and geometry.groups > 1:
            array = _exchange(array, geometry, geometry.in_channels // geometry.groups, geometry.out_channels)
        return array

    def shape(self, geometry: Geometry) -> tuple[int, ...]:
        """The array's shape in this layout."""
        channels = geometry.weight_shape[:2]
        if self.groups_out:
            channels = geometry.in_channels // geometry.groups, geometry.out_channels
        sizes = (*channels, *geometry.kernel)
        return tuple(sizes[a] for a in self._order())

    def _order(self) -> tuple[int, ...]:
        return tuple("io012".index(letter) for letter in self.axes)


def _exchange(array: Any, geometry: Geometry, rows: int, columns: int) -> Any:
    """(rows, columns, *kernel) with the groups moved from one channel axis to the other."""
    g, kernel = geometry.groups, geometry.kernel
    rest = tuple(range(3, 3 + len(kernel)))
    if rows == geometry.in_channels:  # (g, in/g, out/g) -> (in/g, g, out/g)
        split, order, joined = (g, rows // g, columns), (1, 0, 2), (rows // g, g * columns)
    else:  # (in/g, g, out/g) -> (g, in/g, out/g)
        split, order, joined = (rows, g, columns // g), (1, 0, 2), (g * rows, columns // g)
    return _transpose(array.reshape((*split, *kernel)), (*order, *rest)).reshape((*joined, *kernel))


def _transpose(array: Any, order: tuple[int, ...]) -> Any:
    if order == tuple(range(len(order))):
        return array
    # PyTorch's `transpose` exchanges two axes; its `permute` is NumPy's `transpose`.
    return array.permute(order) if hasattr(array, "permute") else array.transpose(order)


def _flip(array: Any, axes: tuple[int, ...]) -> Any:
    if hasattr(array, "flip"):  # PyTorch has no steps below 0
        return array.flip(axes)
    return array[tuple(slice(None, None, -1 if a in axes else 1) for a in range(len(array.shape)))]


def _expect(weight: Any, shape: tuple[int, ...], geometry: Geometry) -> Any:
    if not hasattr(weight, "reshape") or not hasattr(weight, "transpose"):
        raise TconvError(
            f"weights of type {type(weight).__name__} cannot be converted; "
            "give an array of NumPy, PyTorch or JAX"
        )
    if tuple(weight.shape) != shape:
        raise TconvError(
            f"{geometry}: weights of shape {shown(tuple(weight.shape))}; these weights have shape {shape}"
        )
    return weight
