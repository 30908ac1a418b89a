"""The task that a process times, and the layer that an engine builds for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeAlias

from tconv.geometry import Geometry
from tconv.planning import Activation
from tconv.testing import Array, Arrays, integer_arrays

__all__ = ["DTYPES", "TOLERANCE", "Builder", "Task", "Work"]

#: How far an output may differ from tconv's, as a share of the largest magnitude, where it is not equal.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12, "complex64": 1e-5, "float16": 2e-3, "bfloat16": 1.6e-2}
DTYPES = tuple(TOLERANCE)


@dataclass(frozen=True, slots=True)
class Task:
    """One layer and how to call it."""

    geometry: Geometry
    dtype: str = "float32"
    threads: int = 1
    layout: str = "channels_first"
    activation: Activation = None
    grad: bool = False  #: a training step, not only the forward pass
    new_lengths: bool = False  #: every call has a new input length

    def as_json(self) -> dict[str, Any]:
        """What `read` reads."""
        facts = {name: value for name, value in asdict(self).items() if name != "geometry"}
        return {"problem": str(self.geometry), **facts}

    @classmethod
    def read(cls, request: Mapping[str, Any]) -> Task:
        """The task of a request."""
        facts = {name: request[name] for name in cls.__slots__ if name != "geometry"}
        if isinstance(facts["activation"], list):
            facts["activation"] = tuple(facts["activation"])
        return cls(Geometry.parse(request["problem"]), **facts)

    def arrays(self) -> Arrays:
        """Small whole numbers, the same in every process; bfloat16 is that of ml_dtypes."""
        if self.dtype == "bfloat16":
            import ml_dtypes

            return integer_arrays(self.geometry, ml_dtypes.bfloat16, seed=0)
        return integer_arrays(self.geometry, self.dtype, seed=0)


class Work(NamedTuple):
    """A layer that is ready to be called."""

    note: str  #: what runs it
    call: Callable[[Any], Any]  #: what is timed
    native: Callable[[Array], Any]  #: an input as the engine takes it, made before timing starts
    answers: Callable[[Any], list[Array]]  #: the results of `call`, as arrays with channels first


Builder: TypeAlias = Callable[[Task, Arrays], Work]
