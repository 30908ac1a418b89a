"""A piece of a model for each rule."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper

from tconv import algebra, filters
from tests.onnx.helpers import whole


class Piece(NamedTuple):
    """Nodes from `x` to `y` through `mid`, if there are two; every other name is a constant."""

    nodes: list[tuple[str, list[str], str, dict]]
    held: dict[str, np.ndarray]
    shape: tuple[int, ...] = (1, 4, 5, 4)


_RNG = np.random.default_rng(0)
_W = {"w": whole(_RNG, 4, 2, 3, 3), "b": whole(_RNG, 4)}  # two groups
_LINE = np.float32([1, 2, -4])
_ALIKE = {"w": np.float32(np.tile(np.multiply.outer(_LINE, _LINE), (4, 1, 1, 1))), "b": whole(_RNG, 4)}
_SCALE = {"c": whole(_RNG, 4, 1, 1)}
_NORM = {
    "gamma": whole(_RNG, 4),
    "beta": whole(_RNG, 4),
    "mean": whole(_RNG, 4),
    "var": np.float32([1, 4, 0.25, 1]),
}
_UP = ("ConvTranspose", ["x", "w", "b"])


def _layer(held: dict, **said: object) -> tuple[list, dict]:
    return [(*_UP, "y", {"group": 4 // held["w"].shape[1], **said})], held


def _then(node: tuple, numbers: dict) -> tuple[list, dict]:
    return [(*_UP, "mid", {"group": 2, "strides": [2, 2]}), (*node[:2], "y", node[2])], _W | numbers


_OF_NUMBERS_AND_OPTIONS: dict[str, tuple[list, dict]] = {
    "fold-batchnorm": _then(
        ("BatchNormalization", ["mid", "gamma", "beta", "mean", "var"], {"epsilon": 0.0}), _NORM
    ),
    "fold-scale": _then(("Mul", ["c", "mid"], {}), _SCALE),
    "fold-bias": _then(("Sub", ["c", "mid"], {}), _SCALE),
    "fold-input-scale": (
        [("Div", ["x", "c"], "mid", {}), ("ConvTranspose", ["mid", "w", "b"], "y", {"group": 2})],
        _W | {"c": np.float32(0.5)},
    ),
    "fold-input-shift": (
        [("Add", ["c", "x"], "mid", {}), ("Conv", ["mid", "v"], "y", {"group": 2})],
        {"v": whole(_RNG, 6, 2, 3, 2), **_SCALE},
    ),
    "flip-stride-one": _layer(_W, pads=[3, 0, 1, 4]),
    "kernel-is-stride": _layer(_W, strides=[3, 4], pads=[1, 0, 0, 0]),
    "split-depthwise": _layer(_ALIKE, strides=[2, 2]),
    "groups-to-batch": _layer(_ALIKE, strides=[2, 2]),
    "split-groups": _layer(_W, strides=[2, 2]),
    "dense-groups": _layer(_W, strides=[2, 2]),
    "explicit-pads": _layer(_W, strides=[2, 2], auto_pad="SAME_LOWER"),
    "drop-output-padding": _layer(_W, strides=[2, 2], pads=[0, 0, 1, 0], output_padding=[1, 1]),
    "symmetric-pads": _layer(_W, strides=[2, 2], pads=[0, 1, 2, 0]),
    "spread-dilation": _layer(_W, strides=[2, 2], dilations=[1, 2]),
}


def _two(first, second, held) -> Piece:
    return Piece([(*first[:2], "mid", first[2]), (*second[:2], "y", second[2])], held)


_DRAWN = np.random.default_rng(0)
_CONV = {"w": whole(_DRAWN, 8, 4, 3, 3), "b": whole(_DRAWN, 8)}
_SAME = {"pads": [1, 1, 1, 1]}
_UP = {"w": whole(_DRAWN, 4, 3, 4, 4), "b": whole(_DRAWN, 3)}
_LAYER = Piece([("ConvTranspose", ["x", "w", "b"], "y", _SAME | {"strides": [2, 2]})], _UP)
_BILINEAR = np.broadcast_to(filters.bilinear(2, 2), (4, 1, 4, 4)).astype(np.float32)
_SCALES = np.float32([1, 1, 2, 2])
_ONCE = np.array([0, 0, 1, 1, 0, 0, 1, 1])

#: Rule -> a piece at which it applies.
PIECES = {
    "merge-nearest": _two(
        ("Resize", ["x", "", "s"], {}), ("Conv", ["mid", "w", "b"], _SAME), _CONV | {"s": _SCALES}
    ),
    "nearest-depth-to-space": _two(
        ("Resize", ["x", "", "s"], {}), ("Conv", ["mid", "w", "b"], _SAME), _CONV | {"s": _SCALES}
    ),
    "split-nearest": _LAYER._replace(
        held=_UP | {"w": algebra.merge_nearest(whole(_DRAWN, 3, 4, 3, 3), 2).weight.astype(np.float32)}
    ),
    "conv-depth-to-space": _LAYER,
    "conv-depth-to-space-cropped": _LAYER,
    "depth-to-space-conv": _two(
        ("Conv", ["x", "w", "b"], _SAME), ("DepthToSpace", ["mid"], {"blocksize": 2}), _CONV
    ),
    "linear-resize": Piece([("Resize", ["x", "", "s"], "y", {"mode": "linear"})], {"s": _SCALES}),
    "to-linear-resize": _two(
        ("Pad", ["x", "p"], {"mode": "edge"}),
        ("ConvTranspose", ["mid", "w"], {"strides": [2, 2], "pads": [3] * 4, "group": 4}),
        {"p": _ONCE, "w": _BILINEAR},
    ),
    "to-engine": _LAYER,
    "hard-swish": Piece(
        [
            ("Add", ["x", "three"], "a", {}),
            ("Clip", ["a", "zero", "six"], "c", {}),
            ("Mul", ["x", "c"], "m", {}),
            ("Div", ["m", "six"], "y", {}),
        ],
        {"zero": np.float32(0), "three": np.float32(3), "six": np.float32(6)},
    ),
    "inverse-stft": Piece(
        [("ConvTranspose", ["x", "w", "b"], "y", {"strides": [16]})],
        {"w": whole(_DRAWN, 4, 1, 64), "b": whole(_DRAWN, 1)},
        (1, 4, 5),
    ),
} | {name: Piece(*piece) for name, piece in _OF_NUMBERS_AND_OPTIONS.items()}

#: Rules that change options alone, so that numbers may be computed.
OPTIONS_ALONE = {"explicit-pads", "symmetric-pads", "to-engine"}


def nodes_of(piece: Piece, mark: str = "", source: str = "x") -> list[onnx.NodeProto]:
    """The nodes of a piece, with `mark` after the names of its values, reading `source`."""
    rename = {"x": source, "mid": f"mid{mark}"}
    return [
        helper.make_node(
            op, [rename.get(name, name) for name in inputs], [f"{out}{mark}"], f"{op}{mark}", **said
        )
        for op, inputs, out, said in piece.nodes
    ]


def open_shape(piece: Piece) -> dict[str, list[int | str]]:
    return {"x": ["n", piece.shape[1], *"hw"[: len(piece.shape) - 2]]}
