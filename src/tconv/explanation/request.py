"""What is explained, and what all sections share: cells, letters for taps, short lists."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import TypeVar

from tconv.errors import TconvError
from tconv.geometry import Axis, Geometry
from tconv.geometry.normalize import per_axis

__all__ = ["TAPS", "Request", "alike", "at", "lettered", "listed", "merged", "tap_name"]

T = TypeVar("T", bound=Hashable)

#: Cells along one axis, or taps, that an explanation counts one by one.
LIMIT = 1_000_000

# Without letters such as l, o, x and y, which look like 1 and 0 or name the arrays.
_LETTERS = "abcdefghijkmnpqrstuvwzABCDEFGHJKLMNPQRSTUVWZ"
TAPS = len(_LETTERS)


@dataclass(frozen=True, slots=True)
class Request:
    """A geometry, and the two cells that are followed through it."""

    geometry: Geometry
    output: tuple[int, ...]
    input: tuple[int, ...]

    @classmethod
    def of(cls, geometry: Geometry, output: object, input_cell: object) -> Request:
        """Check the cells, or choose them: nearest to the middle among those with the most taps."""
        g = geometry
        for a in range(g.axes):
            for name, size in (
                ("input", g.input[a]),
                ("output", g.output[a]),
                ("kernel", g.kernel[a]),
                ("stride", g.stride[a]),
            ):
                if size > LIMIT:
                    raise TconvError(
                        f"{g}: {name} {size} on axis {a} is too large to count cell by cell; "
                        f"at most {LIMIT} would fit"
                    )
        return cls(
            g,
            _cell(g, "output", output, g.output, g.taps_of_output),
            _cell(g, "input", input_cell, g.input, g.outputs_of_input),
        )


def _cell(
    g: Geometry,
    name: str,
    given: object,
    sizes: tuple[int, ...],
    reached: Callable[[int, int], Sequence[object]],
) -> tuple[int, ...]:
    if given is None:
        telling = []
        for a, size in enumerate(sizes):
            counts = {i: len(reached(a, i)) for i in _near_the_middle(size, g.kernel[a])}
            telling.append(max(counts, key=counts.__getitem__))
        return tuple(telling)
    cell = per_axis(f"{name} cell", [given] if isinstance(given, int) else given, g.axes)
    for a, index in enumerate(cell):
        reached(a, index)  # raises for an index that is not there
    return cell


def _near_the_middle(size: int, kernel: int) -> list[int]:
    """Indices by increasing distance from the middle, the lower one first; few where each has many taps."""
    middle = (size - 1) // 2
    most = max(1, min(64, LIMIT // kernel))
    near = range(max(0, middle - most), min(size, middle + most + 1))
    return sorted(near, key=lambda i: abs(2 * i - size + 1))


def at(cell: Sequence[int]) -> str:
    """`3,4` of (3, 4)."""
    return ",".join(map(str, cell))


def tap_name(geometry: Geometry, tap: Sequence[int]) -> str:
    """A letter where the kernel is small enough, else `w[r,c]`.

    >>> tap_name(Geometry.parse("n1 c1>1 i2x2 k3"), (1, 0)), tap_name(Geometry.parse("n1 c1>1 i2 k64"), (9,))
    ('d', 'w[9]')
    """
    if not lettered(geometry):
        return f"w[{at(tap)}]"
    flat = 0
    for size, index in zip(geometry.kernel, tap, strict=True):
        flat = flat * size + index
    return _LETTERS[flat]


def lettered(geometry: Geometry) -> bool:
    """Whether the kernel has few enough taps for letters."""
    return prod(geometry.kernel) <= TAPS


def listed(items: Iterable[object], count: int, most: int = 8, joint: str = ", ") -> str:
    """The first `most` of `count` items on a line, and the total if it is larger."""
    text = joint.join(map(str, islice(items, most)))
    return text if count <= most else f"{text}{joint}... ({count:,} in all)"


def alike(geometry: Geometry) -> list[tuple[str, Axis]]:
    """The axes, those with the same numbers merged: `axis 0`, `axes 0 and 1`.

    >>> [name for name, axis in alike(Geometry.parse("n1 c1>1 i2x3x2 k3"))]
    ['axes 0 and 2', 'axis 1']
    """
    return merged([geometry.axis(a) for a in range(geometry.axes)])


def merged(axes: Sequence[T]) -> list[tuple[str, T]]:
    """What is said of each axis, under the names of the axes; axes with the same content are merged."""
    groups: dict[T, list[int]] = {}
    for a, content in enumerate(axes):
        groups.setdefault(content, []).append(a)
    return [(_axes(indices), content) for content, indices in groups.items()]


def _axes(indices: list[int]) -> str:
    if len(indices) == 1:
        return f"axis {indices[0]}"
    return f"axes {', '.join(map(str, indices[:-1]))} and {indices[-1]}"
