"""Calls of torch.nn.functional.conv_transpose{1,2,3}d on a parameter, as layers."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, fx, nn
from torch.nn import functional

__all__ = ["FUNCTIONS", "CalledLayer", "called_layer"]

FUNCTIONS: dict[Any, int] = {
    functional.conv_transpose1d: 1,
    functional.conv_transpose2d: 2,
    functional.conv_transpose3d: 3,
}

_NAMES = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")


class CalledLayer:
    """A call on a weight, and maybe a bias, that a module holds; it has what a layer has."""

    padding_mode = "zeros"
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    output_padding: tuple[int, ...]
    dilation: tuple[int, ...]
    _modules: ClassVar[dict[str, Any]] = {}
    _forward_pre_hooks: ClassVar[dict[int, Any]] = {}
    _forward_hooks = _backward_hooks = _backward_pre_hooks = _forward_pre_hooks

    def __init__(
        self, function: Any, holders: dict[str, tuple[nn.Module, str]], options: dict[str, Any]
    ) -> None:
        """`holders`: the module and the attribute of "weight" and "bias"."""
        self.function, self._holders, self._options = function, holders, options
        self._axes = FUNCTIONS[function]
        for name in ("stride", "padding", "output_padding", "dilation"):
            value = options.get(name, 1 if name in ("stride", "dilation") else 0)
            each = tuple(value) if isinstance(value, tuple | list) else (value,)
            setattr(self, name, each * self._axes if len(each) == 1 else each)
        self.groups = options.get("groups", 1)

    def __call__(self, x: Tensor) -> Tensor:
        """What the forward computes."""
        bias = self.bias
        made: Tensor = self.function(x, self.weight, bias, **self._options)
        return made

    def _held(self, name: str) -> Any:
        holder = self._holders.get(name)
        return None if holder is None else getattr(*holder)

    @property
    def weight(self) -> Any:
        """(c_in, c_out/groups, *kernel), as the module holds it now."""
        return self._held("weight")

    @property
    def bias(self) -> Any:
        """(c_out,), or None."""
        return self._held("bias")

    @property
    def _parameters(self) -> dict[str, Any]:
        return {"weight": self.weight, "bias": self.bias}

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """That of the weight."""
        return tuple(self.weight.shape[2:])

    @property
    def in_channels(self) -> int:
        """That of the weight."""
        return int(self.weight.shape[0])

    @property
    def out_channels(self) -> int:
        """That of the weight."""
        return int(self.weight.shape[1]) * int(self.groups)

    @property
    def training(self) -> bool:
        """That of the module."""
        return self._holders["weight"][0].training


def called_layer(module: nn.Module, node: fx.Node) -> CalledLayer | None:
    """The layer that a node of a forward's graph is; None if its weight is not simply held by a module."""
    if node.op != "call_function" or node.target not in FUNCTIONS or len(node.args) > len(_NAMES):
        return None
    given = {**dict(zip(_NAMES, node.args, strict=False)), **node.kwargs}
    holders = {}
    for name in ("weight", "bias"):
        source = given.pop(name, None)
        if source is None and name == "bias":
            continue
        if not isinstance(source, fx.Node) or source.op != "get_attr":
            return None
        path, _, attribute = str(source.target).rpartition(".")
        holder = module.get_submodule(path)
        if not isinstance(getattr(holder, attribute, None), Tensor):
            return None
        holders[name] = holder, attribute
    if not isinstance(given.pop("input", None), fx.Node):
        return None
    found = CalledLayer(node.target, holders, given)
    fits = found.weight.dim() == FUNCTIONS[node.target] + 2 and len(node.all_input_nodes) == 1 + len(holders)
    return found if fits and _whole(found) else None


def _whole(layer: CalledLayer) -> bool:
    every = (*layer.stride, *layer.padding, *layer.output_padding, *layer.dilation, layer.groups)
    return all(type(number) is int for number in every)
