"""Groups removed, depthwise layers split: random layers, compared with ONNX Runtime's outputs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from tconv import filters
from tests.onnx.helpers import whole
from tests.onnx.rules.helpers import OPSETS, Problem, built, operators, problem, reasons, rewritten

#: How the borders are said, the opset, and whether sizes are open; output_shape says little of open ones.
WAYS = [
    (how, opset, dynamic)
    for how, opset in zip(("pads", "SAME_UPPER", "output_shape", "pads"), OPSETS, strict=True)
    for dynamic in (False, True)
]
every_kind = pytest.mark.parametrize(("axes", "groups"), [(a, g) for a in (1, 2, 3) for g in (2, 4)])


def drawn(axes: int, groups: int, seed: int, weigh: Any = None) -> Iterator[tuple[Problem, dict[str, Any]]]:
    """Problems with padding written in every way, weights from `weigh(rng, kernel)` if that is given."""
    rng = np.random.default_rng([seed, axes, groups])
    for how, opset, dynamic in WAYS:
        said: dict[str, Any] = {"auto_pad": how} if how.startswith("SAME") else {}
        if how == "output_shape" and not dynamic:
            said = {"output_shape": [7] * axes, "strides": [1] * axes}
        weight = None if weigh is None else weigh(rng, tuple(int(k) for k in rng.integers(2, 5, axes)))
        given = problem(rng, axes, groups, dynamic=dynamic, weight=weight, **said)
        yield given, {"opset": opset, "as_nodes": dynamic}


@every_kind
def test_groups_become_layers(axes: int, groups: int) -> None:
    for given, way in drawn(axes, groups, 0):
        left = operators(rewritten(built(given, **way), "split-groups", *given.feeds))
        assert left == ["Split", *["ConvTranspose"] * groups, "Concat"]


@every_kind
def test_groups_become_one(axes: int, groups: int) -> None:
    for given, way in drawn(axes, groups, 1):
        made = built(given, **way)
        assert operators(rewritten(made, "dense-groups", *given.feeds)) == ["ConvTranspose"]
        assert made.graph[-1].attributes.get_int("group") == 1


@every_kind
def test_groups_of_equal_weights_become_a_larger_batch(axes: int, groups: int) -> None:
    def alike(rng: np.random.Generator, kernel: tuple[int, ...]) -> np.ndarray:
        return np.tile(whole(rng, 4 // groups, 8 // groups, *kernel), (groups, 1, *(1,) * axes))

    kinds = set()
    for given, way in drawn(axes, groups, 2, alike):
        bias = given.constants.get("b", np.zeros(8)).reshape(groups, -1)
        if way["opset"] == 18 and "b" in given.constants:
            bias[:] = bias[0]
        left = operators(rewritten(built(given, **way), "groups-to-batch", *given.feeds))
        assert left[:3] == ["Reshape", "ConvTranspose", "Reshape"]
        assert left[3:] == ([] if (bias == bias[0]).all() else ["Add"])
        kinds.add((len(left), "b" in given.constants))
    assert {(3, False), (4, True)} <= kinds


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("channels", [(4, 4), (4, 8), (1, 3)])
def test_separable_filters_become_a_layer_an_axis(axes: int, channels: tuple[int, int]) -> None:
    """Exact, since the lines hold powers of two and are divided by their largest."""

    def separable(rng: np.random.Generator, kernel: tuple[int, ...]) -> np.ndarray:
        lines = [
            rng.choice([-2, -1, 1, 2], (*lead, *(k if a == b else 1 for b in range(axes))))
            for a, k in enumerate(kernel)
        ]
        return reduce(np.multiply, lines).astype(np.float32)

    lead = (channels[0], channels[1] // channels[0])
    rng = np.random.default_rng([axes, *channels])
    for how, opset, dynamic in WAYS:
        said: dict[str, Any] = {"auto_pad": how} if how.startswith("SAME") else {}
        kernel = tuple(int(k) for k in rng.integers(2, 4, axes))
        given = problem(
            rng, axes, channels[0], channels=channels, dynamic=dynamic, weight=separable(rng, kernel), **said
        )
        made = built(given, opset=opset, as_nodes=dynamic)
        assert operators(rewritten(made, "split-depthwise", *given.feeds)) == ["ConvTranspose"] * axes


@pytest.mark.parametrize("kernel", [(3, 1, 2), (1, 3, 2), (3, 2, 1)])
def test_an_axis_of_one_tap_goes_with_the_last_layer(kernel: tuple[int, ...]) -> None:
    weight = np.float32(np.multiply.outer([1, 2, 1], [2, -4]).reshape(1, 1, *kernel))
    given = problem(
        np.random.default_rng(0),
        3,
        channels=(1, 1),
        weight=weight,
        strides=[2, 3, 2],
        output_padding=[1, 2, 0],
    )
    assert operators(rewritten(built(given), "split-depthwise", *given.feeds)) == ["ConvTranspose"] * 2


@pytest.mark.parametrize("name", sorted(filters.FILTERS))
def test_interpolation_filters_become_a_layer_an_axis(name: str) -> None:
    rng = np.random.default_rng(0)
    weight = np.tile(np.float32(filters.make(name, 3, 2)), (5, 1, 1, 1))
    k = weight.shape[-1]
    given = problem(
        rng, 2, 5, channels=(5, 5), weight=weight, strides=[3, 3], pads=[k // 3] * 4, dilations=[1, 1],
        output_padding=[0, 0],
    )  # fmt: skip
    left = operators(rewritten(built(given), "split-depthwise", *given.feeds, close=1e-5))
    assert left == ["ConvTranspose", "ConvTranspose"]


@pytest.mark.parametrize("rule", ["split-groups", "dense-groups", "groups-to-batch", "split-depthwise"])
def test_options_that_no_runtime_takes_are_left(rule: str) -> None:
    weight = np.ones((2, 1, 3, 3), np.float32)
    given = problem(
        np.random.default_rng(0), 2, 2, channels=(2, 2), weight=weight, strides=[2, 2], dilations=[1, 1],
        output_padding=[5, 0],
    )  # fmt: skip
    said = "it would need an output_padding of (5, 0) with strides (2, 2), which ONNX cannot say"
    assert reasons(built(given), rule) == [said]


@pytest.mark.parametrize(
    ("rule", "groups", "change", "reason"),
    [
        ("split-groups", 1, "", "it has one group"),
        ("split-groups", 32, "", "its 32 groups would be more than 16 layers"),
        ("dense-groups", 1, "", "it has one group"),
        ("groups-to-batch", 1, "", "it has one group"),
        ("groups-to-batch", 2, "one", "its groups have different weights"),
        ("split-depthwise", 16, "", "it has 16 groups for 32 channels"),
        ("split-depthwise", 32, "line", "its kernel has one axis"),
        (
            "split-depthwise",
            32,
            "one",
            "filters (3, 3) are not outer products of one filter per axis: the remainder is 0.5; "
            "separable filters would fit",
        ),
        ("split-depthwise", 32, "open", "its padding depends on sizes that are not known"),
    ],
)
def test_why_groups_stay(rule: str, groups: int, change: str, reason: str) -> None:
    weight = np.ones((32, 32 // groups, *((3, 1) if change == "line" else (3, 3))), np.float32)
    if change == "one":
        weight[0, 0, 1, 1] = 2
    said = {"output_shape": [9, 9]} if change == "open" else {}
    rng = np.random.default_rng(0)
    given = problem(rng, 2, groups, channels=(32, 32), weight=weight, dynamic=bool(said), **said)
    assert reasons(built(given), rule) == [reason]


def test_a_dense_weight_beyond_reason_is_not_made() -> None:
    """8192 depthwise channels: 1.5 MiB would become 12 GB."""
    weight = np.ones((8192, 1, 7, 7), np.float32)
    given = problem(np.random.default_rng(0), 2, 8192, channels=(8192, 8192), weight=weight, bias=False)
    assert reasons(built(given), "dense-groups") == [
        "3,288,334,336 weights for 401,408 now; up to 67,108,864 would fit"
    ]
