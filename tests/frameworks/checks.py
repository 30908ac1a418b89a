"""One problem through a framework: the written code is executed, or its own call read, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from tconv.conventions import Call, read, weight_from, weight_to, write
from tconv.geometry import Geometry
from tconv.testing import assert_same, integer_arrays
from tconv.views import scatter

#: Runs the lines of a `Call` on arrays in the framework's layout and gives y in that layout.
Run = Callable[[str, np.ndarray, np.ndarray], np.ndarray]


def data_to(x: np.ndarray, channels_last: bool) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)) if channels_last else x


def data_from(y: np.ndarray, channels_last: bool) -> np.ndarray:
    return np.moveaxis(np.asarray(y), -1, 1) if channels_last else np.asarray(y)


def written(
    framework: str,
    geometries: Iterable[Geometry],
    run: Run,
    *,
    channels_last: bool,
    covers: Callable[[Geometry, Call], bool] = lambda geometry, call: True,
) -> int:
    """How many geometries the framework computes as `views` does, from the code written for them."""
    count = 0
    for geometry in geometries:
        call = write(framework, geometry)
        if not covers(geometry, call):
            continue
        arrays = integer_arrays(geometry, "float32", seed=count)
        weight = weight_to(framework, arrays.weight, geometry)
        assert_same(weight_from(framework, weight, geometry), arrays.weight)
        try:
            made = run(call.code, data_to(arrays.x, channels_last), np.ascontiguousarray(weight))
            assert_same(data_from(made, channels_last), scatter(arrays.x, arrays.weight, geometry))
        except Exception as error:
            raise AssertionError(f"{geometry}\n{call.code}") from error
        count += 1
    return count


def was_read(
    framework: str,
    text: str,
    run: Callable[[np.ndarray, np.ndarray], np.ndarray],
    *,
    channels_last: bool,
    seed: int,
    **beside: object,
) -> Geometry:
    """Read a call, run that very call on the framework, and compare with `views` of what was read."""
    try:
        reading = read(framework, text, **beside)
        geometry = reading.geometry
        arrays = integer_arrays(geometry, "float32", seed=seed)
        weight = reading.layout.to_theirs(arrays.weight, geometry)
        assert_same(reading.weight(weight), arrays.weight)
        made = run(data_to(arrays.x, channels_last), np.ascontiguousarray(weight))
        assert_same(data_from(made, channels_last), scatter(arrays.x, arrays.weight, geometry))
    except Exception as error:
        raise AssertionError(f"{framework}: {text} {beside}") from error
    return geometry
