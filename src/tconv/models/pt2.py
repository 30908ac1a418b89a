"""Exported programs of PyTorch (.pt2, torch.export.save)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from tconv.algebra.arrays import Array
from tconv.errors import TconvError, clean
from tconv.geometry import Geometry
from tconv.geometry.normalize import padding_pairs
from tconv.models.convolutions import conv_layer
from tconv.models.graph import Graph, Node
from tconv.models.layer import ModelLayer, stand_in
from tconv.models.model import Model, only
from tconv.models.programs import Call, Program, Ref, load

__all__ = ["read"]

_POINTWISE = frozenset(
    [
        "relu", "relu_", "leaky_relu", "leaky_relu_", "prelu", "elu", "gelu", "silu", "silu_", "mish",
        "hardswish", "hardtanh", "sigmoid", "tanh", "dropout", "clamp", "clone", "contiguous", "to", "alias",
        "detach",
    ]
)  # fmt: skip
#: Joins, and the axis along which they join if the program does not say.
_JOINS: Mapping[str, int] = MappingProxyType({"add": 1, "add_": 1, "mul": 1, "sub": 1, "cat": 0, "concat": 0})

#: The defaults in PyTorch's schemas for arguments that a program leaves out.
_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1, "dim": 0}
)


def read(path: Path, *, layers: Mapping[str, Geometry | None]) -> Model:
    """All transposed convolutions, of PyTorch and of tconv, and the convolutions around them."""
    program = load(path)
    try:
        graph, keys = _graph(program)
    except TconvError as fault:
        raise TconvError(f"{path}: {fault}") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as fault:
        raise TconvError(f"{path} is not a complete exported program: {clean(fault, 150)}") from None
    known = list(graph.layers())
    if not any(not layer.conv for layer in known):
        raise TconvError(f"{path}: it has no transposed convolution with constant weights")

    def save(file: IO[bytes], weights: Mapping[str, Array]) -> None:
        program.save(file, {keys[name]: weight for name, weight in weights.items()})

    return Model(source=str(path), layers=only(known, layers, str(path)), graph=graph, save=save)


def _graph(program: Program) -> tuple[Graph, dict[str, str]]:
    """The nodes, and the name of each layer's weight in the state dict."""
    nodes, keys, claimed = [], {}, 0
    for call in program.calls:
        kind, options = _read_call(program, call)
        if "layer" in options:
            claimed += options["layer"].weight.nbytes
            if claimed > program.most:  # each is examined separately, though many may be the same
                raise TconvError(f"its layers share weights so often that they come to {claimed} bytes")
            keys[options["layer"].name] = program.keys[call.given["weight"].name]
        nodes.append(
            Node(
                kind=kind,
                name=call.name,
                inputs=call.inputs,
                outputs=call.outputs or (call.name,),
                options=options,
            )
        )
    return Graph(nodes, program.weights, program.outputs), keys


def _read_call(program: Program, call: Call) -> tuple[str, dict[str, Any]]:
    """Kind and options of a call's node."""
    read_kind = _KINDS.get(call.op)
    made = read_kind(program, call) if read_kind else None
    if made is not None:
        return made  # type: ignore[no-any-return]
    computed = [name for name in call.inputs if name not in program.weights]
    joins = False
    if call.op in _JOINS:
        # Along other axes sizes need not match.
        axis, rank = call.given.get("dim", _JOINS[call.op]), len(program.shapes[call.outputs[0]])
        joins = axis % max(rank, 1) == 1
    if call.op in _POINTWISE or (joins and len(computed) == 1):
        return "pointwise", {}
    return ("join" if joins else "other"), {}


def _option(call: Call, name: str) -> Any:
    return call.given.get(name, _DEFAULTS[name])


def _weight(program: Program, call: Call) -> tuple[str, Array] | None:
    """A layer's name and weight; None if the weight is computed."""
    held = call.given["weight"]
    if not isinstance(held, Ref) or held.name not in program.weights:
        return None
    weight, name = program.weights[held.name], program.keys[held.name].removesuffix(".weight")
    if not 3 <= weight.ndim <= 5:
        raise TconvError(f"{clean(name)}: weight has {weight.ndim} axes; 3 to 5 would fit")
    return name, weight


def _sizes(program: Program, value: Any, axes: int) -> tuple[int | None, ...]:
    """Sizes of an input's axes; an open size, which export keeps as a symbol, is None."""
    return program.shapes[value.name][-axes:]


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, tuple) else (value,)
    return numbers * axes if len(numbers) == 1 else numbers


def _any_conv(program: Program, call: Call) -> Any:
    if call.given.get("transposed"):
        return _transposed(program, call)
    found = _weight(program, call)
    if found is None:
        return None
    name, weight = found
    axes = weight.ndim - 2
    stride, dilation = (_per_axis(_option(call, option), axes) for option in ("stride", "dilation"))
    padding = _option(call, "padding")
    sides: Any = padding if isinstance(padding, str) else [(p, p) for p in _per_axis(padding, axes)]
    if padding == "same":  # PyTorch puts the odd cell at the end, and allows only stride 1
        sides = [
            ((d * (k - 1)) // 2, d * (k - 1) - (d * (k - 1)) // 2)
            for k, d in zip(weight.shape[2:], dilation, strict=True)
        ]
    return conv_layer(
        name,
        weight,
        sizes=_sizes(program, call.given["input"], axes),
        stride=stride,
        padding=padding_pairs(sides, weight.shape[2:], stride, dilation),
        dilation=dilation,
        groups=_option(call, "groups"),
    )


def _transposed(program: Program, call: Call) -> Any:
    named = _weight(program, call)
    if named is None:
        return None
    name, weight = named
    axes, groups = weight.ndim - 2, _option(call, "groups")
    stride, padding, extra, dilation = (
        _per_axis(_option(call, option), axes)
        for option in ("stride", "padding", "output_padding", "dilation")
    )
    source = call.given["input"] if "input" in call.given else call.given["x"]
    found = _sizes(program, source, axes)
    # tconv's operator has one number per axis, or all starts and then all ends.
    sides = tuple(zip(padding[:axes], padding[-axes:], strict=True))
    guess = stand_in(stride, sides)
    shape = program.shapes[source.name]
    batch = shape[0] if len(shape) == axes + 2 else 1
    geometry = Geometry.make(
        batch=batch or 1,
        in_channels=weight.shape[0], out_channels=weight.shape[1] * groups,
        input=tuple(size or stand for size, stand in zip(found, guess, strict=True)), kernel=weight.shape[2:],
        stride=stride, padding=sides, output_padding=extra, dilation=dilation, groups=groups,
    )  # fmt: skip
    layer = ModelLayer(name=name, geometry=geometry, weight=weight, sized=None not in found)
    return "transposed", {"layer": layer}


def _norm(program: Program, call: Call) -> Any:
    return None if call.given.get("training") else ("norm", {"epsilon": call.given["eps"]})


def _nearest(program: Program, call: Call) -> Any:
    given = call.given
    source = given["input"] if "input" in given else given["self"]
    scales = given.get("scale_factors") or [given.get(f"scales{end}") for end in ("", "_d", "_h", "_w")]
    found = [scale for scale in scales if scale is not None]
    if (
        len(found) != len(program.shapes[source.name]) - 2
        or any(scale % 1 for scale in found)
        or max(found) < 2
    ):
        return None
    return "nearest", {"factor": tuple(int(scale) for scale in found)}


def _slice(program: Program, call: Call) -> Any:
    rank = len(program.shapes[call.given["self"].name])
    return ("crop", {}) if _option(call, "dim") % rank >= 2 else None


_KINDS: Mapping[str, Any] = MappingProxyType(
    {
        **{f"conv_transpose{axes}d": _transposed for axes in (1, 2, 3)},
        "conv_transpose": _transposed,
        **{f"conv{axes}d": _any_conv for axes in (1, 2, 3)},
        "convolution": _any_conv,
        "batch_norm": _norm,
        "_native_batch_norm_legit_no_training": _norm,
        **{f"upsample_nearest{axes}d": _nearest for axes in (1, 2, 3)},
        "slice": _slice,
        "pad": lambda *_: ("pad", {}),
        "constant_pad_nd": lambda *_: ("pad", {}),
    }
)
