"""Exported programs of PyTorch (.pt2, torch.export.save)."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from tconv.algebra.arrays import Array
from tconv.diagnosis.graph import Graph, Node
from tconv.diagnosis.layers import ModelLayer, stand_in
from tconv.diagnosis.readers.convolutions import conv_layer
from tconv.diagnosis.readers.source import Source, only
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.normalize import padding_pairs

__all__ = ["read"]

_POINTWISE = frozenset(
    [
        "relu",
        "relu_",
        "leaky_relu",
        "leaky_relu_",
        "prelu",
        "elu",
        "gelu",
        "silu",
        "silu_",
        "mish",
        "hardswish",
        "hardtanh",
        "sigmoid",
        "tanh",
        "dropout",
        "clamp",
        "clone",
        "contiguous",
        "to",
        "alias",
        "detach",
    ]
)
_JOINS = frozenset(("add", "add_", "mul", "sub", "cat", "concat"))


def read(
    path: Path,
    *,
    layers: Mapping[str, Geometry | None],
    problem: Geometry | None,
    sizes: Mapping[str, tuple[int, ...]],
) -> Source:
    """All transposed convolutions, PyTorch's and tconv's own, and the convolutions around them."""
    import torch

    import tconv.torch  # noqa: F401  # registers the operators that a saved program may name

    try:
        with _loading():
            program = torch.export.load(path)
    except Exception as fault:  # the loader raises whatever the archive makes it stumble over
        lines = str(fault).strip().splitlines() or [type(fault).__name__]
        raise TconvError(f"{path} is no whole exported program: {lines[0][:150]}") from fault
    graph, keys = _graph(program)
    known = list(graph.layers())
    if not any(not layer.conv for layer in known):
        raise TconvError(f"{path}: no transposed convolution with weights of its own in it")

    def save(file: IO[bytes], weights: Mapping[str, Array]) -> None:
        # A program of its own is changed, since the weights of this one are those under diagnosis.
        with _loading():
            changed = torch.export.load(path)
        with torch.no_grad():
            for name, weight in weights.items():
                changed.state_dict[keys[name]].copy_(torch.from_numpy(weight))
        whole = io.BytesIO()  # of any other kind of file it complains
        torch.export.save(changed, whole)
        file.write(whole.getvalue())

    return Source(layers=only(known, layers, str(path)), graph=graph, save=save)


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """Hold PyTorch's loader to tensors and plain containers, where it would unpickle anything.

    Its log is held, too: of a file that is cut short it prints tracebacks, and then raises as well.
    """
    log, name = logging.getLogger("torch.export"), "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    was_disabled, log.disabled = log.disabled, True
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        log.disabled = was_disabled
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _graph(program: Any) -> tuple[Graph, dict[str, str]]:
    """The nodes, and the name in the state dict of each layer's weight."""
    signature = program.graph_signature
    held = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    state = {name: program.state_dict[key] for name, key in held.items() if key in program.state_dict}
    constants = {name: _numbers(tensor) for name, tensor in state.items()}
    nodes, keys = [], {}
    outputs: list[str] = []
    for node in program.graph.nodes:
        if node.op == "output":
            outputs += [entry.name for entry in node.all_input_nodes]
        if node.op != "call_function":
            continue
        given = _bound(node)
        op = str(node.target).split(".")[-2] if "." in str(node.target) else str(node.target)
        weight = getattr(given.get("weight"), "name", None)
        name = held.get(weight or "", node.name).removesuffix(".weight")
        made = _kind(op, name, given, constants)
        inputs = tuple(entry.name for entry in node.all_input_nodes)
        if made is None:
            computed = [entry for entry in inputs if entry not in constants]
            joins = (
                op in _JOINS and given.get("dim", 1) % node.meta["val"].dim() == 1
            )  # along other axes sizes need not meet
            if op in _POINTWISE or (joins and len(computed) == 1):
                made = "pointwise", {}
            else:
                made = ("join" if joins else "other"), {}
        kind, options = made
        if "layer" in options:
            keys[name] = held[weight or ""]
        nodes.append(Node(kind=kind, name=node.name, inputs=inputs, outputs=(node.name,), options=options))
    return Graph(nodes, constants, outputs), keys


def _numbers(tensor: Any) -> Array:
    import torch

    held = tensor.detach()
    array: Array = (held.float() if held.dtype == torch.bfloat16 else held).contiguous().numpy()
    return array


def _bound(node: Any) -> dict[str, Any]:
    """The operator's arguments by their names in its schema, defaults among them."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return {}
    given = {argument.name: argument.default_value for argument in schema.arguments}
    given.update({argument.name: value for argument, value in zip(schema.arguments, node.args, strict=False)})
    given.update(node.kwargs)
    return given


def _kind(
    op: str, name: str, given: Mapping[str, Any], constants: Mapping[str, Array]
) -> tuple[str, dict[str, Any]] | None:
    read_kind = _KINDS.get(op)
    return read_kind(name, given, constants) if read_kind else None


def _spatial(value: Any, axes: int) -> tuple[int | None, ...]:
    """Sizes of an input; an open one, which export keeps as a symbol, is None."""
    shape = value.meta["val"].shape[-axes:]
    return tuple(size if isinstance(size, int) else None for size in shape)


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    return numbers * axes if len(numbers) == 1 else numbers


def _any_conv(name: str, given: Mapping[str, Any], constants: Mapping[str, Array]) -> Any:
    weight = constants.get(getattr(given["weight"], "name", ""))
    if weight is None:
        return None
    if given.get("transposed"):
        return _transposed(name, given, constants)
    axes = weight.ndim - 2
    stride, dilation = _per_axis(given["stride"], axes), _per_axis(given["dilation"], axes)
    padding = given["padding"]
    sides: Any = padding if isinstance(padding, str) else [(p, p) for p in _per_axis(padding, axes)]
    if padding == "same":  # PyTorch puts the odd cell at the end, and allows stride 1 alone
        sides = [
            ((d * (k - 1)) // 2, d * (k - 1) - (d * (k - 1)) // 2)
            for k, d in zip(weight.shape[2:], dilation, strict=True)
        ]
    return conv_layer(
        name,
        weight,
        sizes=_spatial(given["input"], axes),
        stride=stride,
        padding=padding_pairs(sides, weight.shape[2:], stride, dilation),
        dilation=dilation,
        groups=given["groups"],
    )


def _transposed(name: str, given: Mapping[str, Any], constants: Mapping[str, Array]) -> Any:
    weight = constants.get(getattr(given["weight"], "name", ""))
    if weight is None:
        return None
    axes, groups = weight.ndim - 2, given["groups"]
    stride, padding, extra, dilation = (
        _per_axis(given[option], axes) for option in ("stride", "padding", "output_padding", "dilation")
    )
    source = given["input"] if "input" in given else given["x"]
    found = _spatial(source, axes)
    # tconv's operator has one number an axis, or those of the near ends and then those of the far ones.
    sides = tuple(zip(padding[:axes], padding[-axes:], strict=True))
    guess = stand_in(stride, sides)
    batch = source.meta["val"].shape[0] if source.meta["val"].dim() == axes + 2 else 1
    geometry = Geometry.make(
        batch=batch if isinstance(batch, int) else 1,
        in_channels=weight.shape[0], out_channels=weight.shape[1] * groups,
        input=tuple(size or stand for size, stand in zip(found, guess, strict=True)), kernel=weight.shape[2:],
        stride=stride, padding=sides, output_padding=extra, dilation=dilation, groups=groups,
    )  # fmt: skip
    layer = ModelLayer(name=name, geometry=geometry, weight=weight, sized=None not in found)
    return "transposed", {"layer": layer}


def _norm(name: str, given: Mapping[str, Any], constants: Mapping[str, Array]) -> Any:
    return None if given.get("training") else ("norm", {"epsilon": given["eps"]})


def _nearest(name: str, given: Mapping[str, Any], constants: Mapping[str, Array]) -> Any:
    axes = given["input"].meta["val"].dim() - 2
    scales = given.get("scale_factors") or [given.get(f"scales{end}") for end in ("", "_d", "_h", "_w")]
    found = [scale for scale in scales if scale is not None]
    if len(found) != axes or any(scale != int(scale) for scale in found) or max(found) < 2:
        return None
    return "nearest", {"factor": tuple(int(scale) for scale in found)}


def _slice(name: str, given: Mapping[str, Any], constants: Mapping[str, Array]) -> Any:
    rank = given["self"].meta["val"].dim()
    return ("crop", {}) if given["dim"] % rank >= 2 else None


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
