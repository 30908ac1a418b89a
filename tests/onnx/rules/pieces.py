"""A piece of a model for each rule on numbers and options: nodes from x to y, perhaps through mid."""

from __future__ import annotations

import numpy as np

from tests.onnx.helpers import whole

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


OF_NUMBERS_AND_OPTIONS: dict[str, tuple[list, dict]] = {
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

#: Rules that change options alone, so that numbers may be computed.
OPTIONS_ALONE = {"explicit-pads", "symmetric-pads"}
