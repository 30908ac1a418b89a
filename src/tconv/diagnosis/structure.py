"""Findings in a model's graph: the operators before and after a layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tconv import algebra
from tconv.diagnosis.findings import Finding
from tconv.errors import clean
from tconv.geometry import Geometry
from tconv.models.graph import Graph, Node

__all__ = ["of_graph"]


def of_graph(graph: Graph) -> Iterator[Finding]:
    """T301 and T401 to T403."""
    for node in graph.nodes:
        if node.kind == "transposed":
            yield from _joins(graph, node)
            yield from _norm(graph, node)
        elif node.kind == "nearest":
            yield from _merge(graph, node)


def _joins(graph: Graph, node: Node) -> Iterator[Finding]:
    """A layer whose output, or whose skip connection, is cropped or padded before they are joined."""
    layer, at = node.options["layer"].name, node
    changed: Node | None = None
    passed: set[str] = set()  # a broken file may hold a cycle
    while (user := graph.only_user(at)) is not None and user.name not in passed:
        passed.add(user.name)
        if user.kind == "join":
            partners = [graph.source(name) for name in user.inputs if name not in at.outputs]
            cut = [p for p in partners if p is not None and p.kind in ("crop", "pad")]
            if changed is not None or cut:
                yield _meets(layer, changed, cut, user)
            return
        if user.kind in ("crop", "pad"):
            changed = user
        elif user.kind not in ("pointwise", "norm", "quantized"):
            return
        at = user


_DONE = {"crop": "cropped", "pad": "padded"}


def _meets(layer: str, changed: Node | None, cut: list[Node], join: Node) -> Finding:
    said = [f"its output is {_DONE[changed.kind]} ({clean(changed.name)})"] if changed else []
    said += [f"the other input is {_DONE[node.kind]} ({clean(node.name)})" for node in cut]
    return Finding(
        code="T301",
        layer=layer,
        text=f"{' and '.join(said)} before both are joined ({clean(join.name)})",
        evidence={
            "join": join.name,
            "output_changed_by": changed.name if changed else None,
            "partner_changed_by": [node.name for node in cut],
        },
        fix="choose padding and output_padding (or output_size) so that the sizes match; "
        "tconv diagnose PROBLEM --skip SIZE says which",
    )


def _norm(graph: Graph, node: Node) -> Iterator[Finding]:
    """BatchNorm right after the layer, or after a constant that is added as its bias."""
    layer, after = node.options["layer"], graph.only_user(node)
    bias = after if after is not None and after.options.get("bias") else None
    if bias is not None:
        after = graph.only_user(bias)
    if after is None or after.kind != "norm" or not all(name in graph.constants for name in after.inputs[1:]):
        return
    groups = layer.known.groups
    between = ", after the bias," if bias is not None else ""
    yield Finding(
        code="T403" if groups > 1 else "T402",
        layer=layer.name,
        text=f"followed{between} by {clean(after.name)}, {layer.known.out_channels} channels"
        + (f" in {groups} groups" if groups > 1 else ""),
        evidence={"norm": after.name, "groups": groups, "channels": layer.known.out_channels},
        fix="tconv.algebra.fold_batchnorm(weight, bias, ..., groups=...) gives one equal layer",
    )


def _merge(graph: Graph, node: Node) -> Iterator[Finding]:
    """Nearest upsampling that only convolutions of stride 1 read, quantized between them or not."""
    after = graph.next(node)  # each value is repeated, so it may as well be rounded before
    if after is None or after.kind != "conv":
        return
    layer = after.options["layer"]
    stride, padding, dilation = (after.options[name] for name in ("stride", "padding", "dilation"))
    if set(stride) != {1} or layer.weight is None or len(stride) != len(node.options["factor"]):
        return
    g = layer.known
    # The shape alone is needed: in half precision the sums might be out of range.
    wide = layer.weight.astype(np.result_type(layer.weight.dtype, np.float32))
    merged = algebra.merge_nearest(wide, node.options["factor"], padding, dilation, g.groups)
    small = tuple(max(1, size // f) for size, f in zip(g.output, merged.stride, strict=True))
    one = Geometry.make(
        in_channels=g.out_channels, out_channels=g.in_channels, input=small, groups=g.groups,
        kernel=merged.weight.shape[2:], stride=merged.stride, padding=merged.padding,
    )  # fmt: skip
    two = replace(g, batch=1).macs_exact
    yield Finding(
        code="T401",
        layer=layer.name,
        text=f"nearest upsampling by {'x'.join(map(str, merged.stride))} ({clean(node.name)}), then a "
        "convolution: "
        f"{two:,} multiplications where one layer takes {one.macs_exact:,}, {two / one.macs_exact:.2f} times "
        "as many",
        evidence={
            "upsampling": node.name, "multiplications": two, "multiplications_merged": one.macs_exact,
            "merged": str(one), "sizes_known": layer.sized,
        },
        fix=f"tconv.algebra.merge_nearest gives the transposed layer {one}, also exact at the borders",
    )  # fmt: skip
