"""The call that XLA is to run: one map on one Geometry, as text that any process can read."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import NamedTuple

from tconv.geometry import Geometry
from tconv.ops.call_cache import moved_last
from tconv.planning import Activation, Layout, MapName, Plan, plan

__all__ = ["MapCall", "plan_of"]


class MapCall(NamedTuple):
    """A map on a Geometry; a parameter of the primitives, so hashable."""

    map: MapName
    geometry: Geometry
    layout: Layout = "channels_first"
    activation: Activation = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The output's shape, in the order of `layout`."""
        g = self.geometry
        if self.map == "weight_gradient":
            return g.weight_shape
        shape = g.output_shape if self.map == "conv_transpose" else g.input_shape
        return moved_last(shape, g.axes) if self.layout == "channels_last" else shape

    def text(self, dtype: str) -> str:
        """The text that `plan_of` reads; `dtype` is tconv's name of a dtype.

        >>> MapCall("conv", Geometry.parse("n1 c1>1 i3 k2")).text("f32")
        '["conv", "n1 c1>1 i3 k2", "channels_first", null, "f32"]'
        """
        fields = [self.map, str(self.geometry), self.layout, self.activation, dtype]
        return json.dumps(fields, default=float)  # NumPy's numbers in an activation


@lru_cache(maxsize=4096)
def _read(text: str | bytes) -> tuple[MapCall, str]:
    map, geometry, layout, activation, dtype = json.loads(text)
    named = tuple(activation) if isinstance(activation, list) else activation
    return MapCall(map, Geometry.parse(geometry), layout, named), dtype


def plan_of(text: str | bytes) -> Plan:
    """The plan for a job's text.

    Raises:
        TconvError: as `tconv.plan` does.

    >>> plan_of(MapCall("conv", Geometry.parse("n1 c1>1 i3 k2")).text("f32")).map
    'conv'
    """
    job, dtype = _read(text)
    # Looked up every time: `tconv.plan(..., measure=True)` may know a faster plan by now.
    return plan(
        job.geometry, job.map, dtype=dtype, layout=job.layout, activation=job.activation, prepared=False
    )
