"""From the arguments of a call to a plan, cached under its shapes and options."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.normalize import shown, whole
from tconv.planning import Activation, Layout, MapName, Plan, plan

__all__ = [
    "Options",
    "PlannedCall",
    "geometry_of",
    "moved_first",
    "moved_last",
    "planned_call",
    "planned_gradient",
]


def frozen(name: str, value: Any) -> Any:
    """`value` with lists as tuples and numbers as ints.

    Raises:
        TconvError: a number that is not an int.
    """
    if isinstance(value, list | tuple):
        return tuple(frozen(name, entry) for entry in value)
    return value if value is None or isinstance(value, str) else whole(name, value)


_NUMBERS = ("stride", "padding", "output_padding", "dilation", "groups", "size")


class Options(NamedTuple):
    """The options of a layer, without its arrays; hashable."""

    stride: Any = 1
    padding: Any = 0
    output_padding: Any = 0
    dilation: Any = 1
    groups: int = 1
    size: Any = None  #: output_size of conv_transpose, input_size of conv
    activation: Activation = None
    algorithm: str = "auto"
    layout: Layout = "channels_first"

    @classmethod
    def of(cls, *values: Any) -> Options:
        """The caller's values as a cache key: tuples for lists, and no 2.0 or True that equals an int."""
        options = cls(*values)
        numbers = {name: frozen(name, getattr(options, name)) for name in _NUMBERS}
        activation = options.activation
        activation = tuple(activation) if isinstance(activation, list) else activation
        return options._replace(activation=activation, **numbers)

    def check(self) -> None:
        """Say which option is no name, where a call could not be looked up.

        Raises:
            TconvError: an activation or an algorithm of a kind that nothing can be looked up by.
        """
        for name in ("activation", "algorithm"):
            value = getattr(self, name)
            try:
                hash(value)
            except TypeError:
                raise TconvError(f"{name}={shown(value)} is unknown; a name would fit") from None


def moved_first(shape: tuple[int, ...], axes: int) -> tuple[int, ...]:
    """A channels_last shape in channels_first order."""
    return (*shape[: -1 - axes], shape[-1], *shape[-1 - axes : -1])


def moved_last(shape: tuple[int, ...], axes: int) -> tuple[int, ...]:
    """A channels_first shape in channels_last order."""
    return (*shape[: -1 - axes], *shape[-axes:], shape[-1 - axes])


class PlannedCall(NamedTuple):
    """A plan with the shape of its output, which has no batch axis where the caller gave none."""

    plan: Plan
    shape: tuple[int, ...]
    channels: int  #: of the output


def geometry_of(
    map: MapName, shape: tuple[int, ...], weight_shape: tuple[int, ...], options: Options
) -> tuple[Geometry, bool]:
    """The Geometry that `map` has for a source of `shape`, and whether the source has a batch axis."""
    axes = len(weight_shape) - 2
    if not 1 <= axes <= 3:
        raise TconvError(
            f"weight has shape {weight_shape}; (in, out/groups, *kernel) with 1 to 3 kernel axes would fit"
        )
    if len(shape) not in (axes + 1, axes + 2):
        raise TconvError(
            f"input has shape {shape} for a weight of shape {weight_shape}; "
            f"{axes + 2} axes, or {axes + 1} without a batch axis, would fit"
        )
    batched = len(shape) == axes + 2
    batch, channels, *sizes = shape if batched else (1, *shape)
    groups = options.groups
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise TconvError(f"groups={shown(groups)}; an int of at least 1 would fit")
    expected = weight_shape[0] if map == "conv_transpose" else weight_shape[1] * groups
    if channels != expected:
        raise TconvError(
            f"input has {channels} channels (shape {shape}), but weight of shape {weight_shape} "
            f"with groups={groups} takes {expected}"
        )
    common: dict[str, Any] = {
        "batch": batch,
        "in_channels": weight_shape[0],
        "out_channels": weight_shape[1] * groups,
        "kernel": tuple(weight_shape[2:]),
        "stride": options.stride,
        "padding": options.padding,
        "dilation": options.dilation,
        "groups": groups,
    }
    if map != "conv_transpose":
        return Geometry.for_output(output=tuple(sizes), input_size=options.size, **common), batched
    geometry = Geometry.make(
        input=tuple(sizes), output_padding=options.output_padding, output_size=options.size, **common
    )
    return geometry, batched


@lru_cache(maxsize=4096)
def planned_call(
    map: MapName,
    code: str,
    shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    options: Options,
    prepared: bool = False,
) -> PlannedCall:
    """The plan of a call, cached under its shapes and options.

    `shape` and the output's shape are in the order of `options.layout`. `prepared`: weights are packed once.
    """
    axes = len(weight_shape) - 2
    last = options.layout == "channels_last" and len(shape) in (axes + 1, axes + 2)
    if last:
        shape = moved_first(shape, axes)
    geometry, batched = geometry_of(map, shape, weight_shape, options)
    chosen = plan(
        geometry,
        map,
        dtype=code,
        algorithm=options.algorithm,
        activation=options.activation,
        layout=options.layout,
        prepared=prepared,
    )
    full = geometry.output_shape if map == "conv_transpose" else geometry.input_shape
    output = full if batched else full[1:]
    return PlannedCall(chosen, moved_last(output, axes) if last else output, full[1])


@lru_cache(maxsize=4096)
def planned_gradient(
    code: str, x_shape: tuple[int, ...], y_shape: tuple[int, ...], kernel: Any, options: Options
) -> PlannedCall:
    """The plan of a weight gradient, cached under its shapes and options.

    Shapes are in the order of `options.layout`.
    """
    if options.layout == "channels_last":
        x_shape, y_shape = (moved_first(shape, len(shape) - 2) for shape in (x_shape, y_shape))
    geometry = Geometry.make(
        batch=x_shape[0],
        in_channels=x_shape[1],
        out_channels=y_shape[1],
        input=x_shape[2:],
        kernel=kernel,
        stride=options.stride,
        padding=options.padding,
        dilation=options.dilation,
        groups=options.groups,
        output_size=y_shape[2:],
    )
    chosen = plan(geometry, "weight_gradient", dtype=code, algorithm=options.algorithm, layout=options.layout)
    return PlannedCall(chosen, geometry.weight_shape, geometry.in_channels)
