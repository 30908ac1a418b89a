"""Nearest upsampling and a convolution as one layer, and back, compared with ONNX Runtime's outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
ir = pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import helper  # noqa: E402

from tconv.algebra import merge_nearest  # noqa: E402
from tests.onnx.helpers import answers, model, op_types, whole  # noqa: E402
from tests.onnx.rules.helpers import reasons, rewritten  # noqa: E402

NAMES = {1: ["l"], 2: ["h", "w"], 3: ["d", "h", "w"]}


def upsample(opset: int, factors: Sequence[float], **said: object) -> tuple[list[onnx.NodeProto], dict]:
    """x -> u, resized as the opset writes it, and the constants that it takes."""
    scales = np.array([1, 1, *factors], np.float32)
    if opset < 9:
        return [helper.make_node("Upsample", ["x"], ["u"], scales=scales.tolist(), **said)], {}
    if opset == 9:
        return [helper.make_node("Upsample", ["x", "s"], ["u"], **said)], {"s": scales}
    if opset == 10:
        return [helper.make_node("Resize", ["x", "s"], ["u"], **said)], {"s": scales}
    region = "" if opset >= 13 else "r"
    held = {"s": scales} if opset >= 13 else {"s": scales, "r": np.zeros(0, np.float32)}
    return [helper.make_node("Resize", ["x", region, "s"], ["u"], name="up", **said)], held


def conv(**said: object) -> onnx.NodeProto:
    return helper.make_node("Conv", ["u", "w", "b"], ["y"], name="conv", **said)


def weights(seed: int, axes: int, kernel: int | Sequence[int], groups: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    kernel = (kernel,) * axes if isinstance(kernel, int) else kernel
    return {"w": whole(rng, 6, 4 // groups, *kernel), "b": whole(rng, 6)}


def image(seed: int, *sizes: int, batch: int = 2) -> dict[str, np.ndarray]:
    return {"x": whole(np.random.default_rng(seed), batch, 4, *sizes)}


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 18, 21])
def test_every_opset_and_rank_with_open_sizes(opset: int, axes: int, groups: int) -> None:
    factors = (2, 3, 1)[:axes]
    said = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"} if opset > 10 else {}
    nodes, held = upsample(opset, factors, mode="nearest", **said)
    made = model(
        [*nodes, conv(pads=[1] * 2 * axes, group=groups)],
        {"x": ["n", 4, *NAMES[axes]]}, ["y"], held | weights(axes, axes, 3, groups), opset=opset,
    )  # fmt: skip
    feeds = [image(1, *(5, 4, 3)[:axes]), image(2, *(1, 2, 2)[:axes], batch=1)]
    done = rewritten(made, "merge-nearest", *feeds)
    assert op_types(done) == ["ConvTranspose"]
    assert set(done.graph.initializers) == {"b", "conv_weight"}


MODES = [
    ("asymmetric", "floor", {2, 3, 4, 5}),
    ("asymmetric", "round_prefer_floor", {2}),
    ("half_pixel", "round_prefer_floor", {2, 3, 4, 5}),
    ("half_pixel", "round_prefer_ceil", {2, 3, 4, 5}),
    ("half_pixel_symmetric", "round_prefer_floor", {2, 3, 4, 5}),
    ("pytorch_half_pixel", "round_prefer_floor", {2, 3, 4, 5}),
    ("tf_half_pixel_for_nn", "floor", {2, 3, 4, 5}),
    ("asymmetric", "ceil", set()),
    ("asymmetric", "round_prefer_ceil", set()),
    ("half_pixel", "floor", set()),
    ("half_pixel", "ceil", set()),
    ("tf_half_pixel_for_nn", "round_prefer_floor", set()),
    ("align_corners", "round_prefer_floor", set()),
]


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
@pytest.mark.parametrize(("coordinates", "rounding", "fits"), MODES)
def test_exactly_the_modes_that_repeat(coordinates: str, rounding: str, fits: set[int], factor: int) -> None:
    """Whether ONNX Runtime repeats is observed, not taken from the table."""
    opset = 11 if coordinates == "tf_half_pixel_for_nn" else 19
    nodes, held = upsample(
        opset, (factor, 1), mode="nearest", coordinate_transformation_mode=coordinates, nearest_mode=rounding
    )
    held |= weights(3, 2, 3)
    made = model([*nodes, conv()], {"x": ["n", 4, "h", "w"]}, ["y"], held, opset=opset)
    feeds = image(4, 7, 4)
    if factor in fits:
        assert op_types(rewritten(made, "merge-nearest", feeds)) == ["ConvTranspose"]
        return
    (reason,) = reasons(made, "merge-nearest")
    assert reason is not None
    assert coordinates in reason
    alone = model(nodes, {"x": ["n", 4, "h", "w"]}, ["u"], held, opset=opset)
    if coordinates == "align_corners" and factor == 2:
        return  # it does repeat, if rounding is kind
    assert not np.array_equal(answers(alone, feeds)[0], feeds["x"].repeat(factor, 2))


@pytest.mark.parametrize(
    ("kernel", "factors", "said"),
    [
        (1, (2, 2), {}),
        ((3, 2), (2, 3), {"pads": [2, 0, 1, 1]}),
        (3, (2, 2), {"dilations": [2, 1], "pads": [4, 0, 0, 2]}),
        (3, (2, 2), {"auto_pad": "SAME_UPPER"}),
        (4, (2, 4), {"auto_pad": "SAME_UPPER"}),
        (4, (2, 4), {"auto_pad": "SAME_LOWER"}),
        (4, (3, 1), {"auto_pad": "VALID"}),
        (2, (4, 4), {"pads": [0, 0, 2, 3]}),  # beyond the kernel behind: said as output padding
    ],
)
def test_padding_dilation_and_auto_pad(kernel, factors, said) -> None:
    nodes, held = upsample(18, factors)
    made = model([*nodes, conv(**said)], {"x": ["n", 4, "h", "w"]}, ["y"], held | weights(5, 2, kernel))
    feeds = image(6, 4, 5), image(7, 3, 6, batch=1)
    apart = made.clone()
    assert op_types(rewritten(made, "merge-nearest", *feeds)) == ["ConvTranspose"]
    if kernel in (1, 2):
        why = f"a kernel of {(kernel,) * 2} would become one of {(kernel,) * 2}"
        assert reasons(apart, "nearest-depth-to-space") == [why]
    else:
        assert op_types(rewritten(apart, "nearest-depth-to-space", *feeds))[0] == "Conv"


def test_fewer_products_and_more_padding_than_the_kernel() -> None:
    """k3 f2 reads 2 inputs per axis, k5 f3 reads 3; padding may reach beyond the kernel here."""
    for kernel, factors, pads, least in [(3, (2, 2), [4, 1, 0, 5], (2, 2)), (5, (3, 3), [2] * 4, (3, 3))]:
        nodes, held = upsample(18, factors)
        held |= weights(5, 2, kernel)
        made = model([*nodes, conv(pads=pads)], {"x": ["n", 4, "h", "w"]}, ["y"], held)
        done = rewritten(made, "nearest-depth-to-space", image(6, 4, 5), image(7, 3, 6, batch=1))
        assert done.graph[0].attributes["kernel_shape"].as_ints() == least


def test_sizes_and_axes() -> None:
    for held, inputs, said in [
        ({"sizes": np.array([2, 4, 10, 12])}, ["x", "", "", "sizes"], {}),
        ({"sizes": np.array([12, 10])}, ["x", "", "", "sizes"], {"axes": [3, 2]}),
        ({"s": np.float32([3, 2])}, ["x", "", "s"], {"axes": [-1, 2]}),
    ]:
        node = helper.make_node("Resize", inputs, ["u"], **said)
        made = model([node, conv()], {"x": [2, 4, 5, 4]}, ["y"], held | weights(8, 2, 3))
        assert op_types(rewritten(made, "merge-nearest", image(9, 5, 4))) == ["ConvTranspose"]


X = {"x": ["n", 4, "h", "w"]}
READ_TWICE = [helper.make_node("Relu", ["u"], ["z"])]


@pytest.mark.parametrize(
    ("factors", "resize", "convolution", "more", "reason"),
    [
        ((2, 2), {"mode": "linear"}, {}, [], "its mode is linear, not nearest"),
        ((2.5, 2), {}, {}, [], "its factors 2.5, 2 are not whole, or beyond 4096"),
        ((2.0**31, 2), {}, {}, [], "its factors 2.14748e+09, 2 are not whole, or beyond 4096"),
        ((np.nan, np.inf), {}, {}, [], "its factors nan, inf are not whole, or beyond 4096"),
        ((4096, 4096), {}, {}, [], "403,046,496 weights for 216 now; up to 67,108,864 would fit"),
        ((1, 1), {}, {}, [], "it resizes nothing"),
        ((0.5, 1), {}, {}, [], "its factors 0.5, 1 are not whole, or beyond 4096"),
        ((2, 2), {"antialias": 1, "mode": "linear"}, {}, [], "it has antialias"),
        ((2, 2), {}, {"strides": [2, 2]}, [], "the convolution after it has stride 2"),
        (
            (2, 2), {}, {"strides": [2, 2], "auto_pad": "SAME_UPPER"}, [],
            "the convolution after it: its padding depends on sizes that are not known",
        ),
        (
            (2, 2), {}, {"pads": [3, 0, 0, 0]}, [],
            "it would need the padding ((-1, 2), (2, 2)), which ONNX cannot say",
        ),
        (
            (2, 2), {}, {"pads": [0, 0, 0, 4]}, [],
            "it would need an output_padding of (0, 2) with strides (2, 2), which ONNX cannot say",
        ),
        ((2, 2), {}, {}, READ_TWICE, "2 nodes read its output"),
    ],
)  # fmt: skip
def test_why_it_does_not_merge(factors, resize, convolution, more, reason) -> None:
    nodes, held = upsample(18, factors, **resize)
    made = model([*nodes, conv(**convolution), *more], X, ["y"], held | weights(1, 2, 3))
    assert reasons(made, "merge-nearest") == [reason]


def test_why_it_does_not_merge_by_its_inputs() -> None:
    nodes, held = upsample(18, (2, 2))
    ones = np.ones((2, 2, 3, 3), np.float32)

    def why(made: ir.Model) -> list[str | None]:
        return reasons(made, "merge-nearest")

    assert why(model(nodes, X, ["u"], held)) == ["its output is an output of the model"]
    for axes in ([2, 2], [2], [9, 8]):
        node = helper.make_node("Resize", ["x", "", "f"], ["u"], axes=axes)
        misfit = model([node, conv()], X, ["y"], {"f": np.float32([2, 2])} | weights(1, 2, 3))
        assert why(misfit) == [f"its axes {tuple(axes)} do not fit 2 scales"]
    late = [*nodes, helper.make_node("Relu", ["u"], ["y"])]
    assert why(model(late, X, ["y"], held)) == ["followed by Relu, not by Conv"]
    lone = [*nodes, helper.make_node("Conv", ["v", "u"], ["y"])]
    inputs = X | {"v": ["n", 4, "h", "w"]}
    assert why(model(lone, inputs, ["y"], held)) == ["the convolution after it: its weights are computed"]
    both = [nodes[0], helper.make_node("Conv", ["u", "u"], ["y"])]
    assert why(model(both, X, ["y"], held)) == ["the convolution after it: its weights are computed"]
    open_sizes = [helper.make_node("Resize", ["x", "", "", "t"], ["u"]), conv()]
    fixed = {"t": np.array([2, 4, 8, 8])} | weights(1, 2, 3)
    assert why(model(open_sizes, X, ["y"], fixed)) == ["its input's sizes are not known"]
    computed = [*nodes, conv()]
    given = X | {"s": [4]}
    assert why(model(computed, given, ["y"], weights(1, 2, 3))) == ["its scales are computed"]
    channels = held | {"s": np.float32([1, 2, 2, 2])}
    twice = [*nodes, helper.make_node("Conv", ["u", "w"], ["y"], group=4)]
    assert why(model(twice, X, ["y"], channels | {"w": ones})) == ["it resizes the batch or the channels"]
    aspect = [
        helper.make_node("Resize", ["x", "", "", "t"], ["u"], keep_aspect_ratio_policy="not_larger"),
        conv(),
    ]
    assert why(model(aspect, X, ["y"], fixed)) == ["it keeps the aspect ratio"]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 21])
def test_split_is_the_way_back(opset: int, axes: int, groups: int) -> None:
    rng = np.random.default_rng(axes)
    factors = (2, 3, 2)[:axes]
    merged = merge_nearest(whole(rng, 6, 4 // groups, *(3, 2, 2)[:axes]), factors, 1, 1, groups)
    up = helper.make_node(
        "ConvTranspose", ["x", "w", "b"], ["y"], strides=factors, group=groups,
        pads=[lo for lo, _ in merged.padding] + [hi for _, hi in merged.padding],
    )  # fmt: skip
    held = {"w": merged.weight, "b": whole(rng, 6)}
    made = model([up], {"x": ["n", 4, *NAMES[axes]]}, ["y"], held, opset=opset)
    done = rewritten(made, "split-nearest", image(1, *(4, 3, 2)[:axes]))
    assert op_types(done) == ["Upsample" if opset < 10 else "Resize", "Conv"]


def test_output_padding_splits_into_padding() -> None:
    rng = np.random.default_rng(0)
    merged = merge_nearest(whole(rng, 3, 4, 3), 2)
    up = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2], pads=[2, 1], output_padding=[1])
    made = model([up], {"x": [2, 4, 5]}, ["y"], {"w": merged.weight})
    done = rewritten(made, "split-nearest", image(1, 5))
    assert list(done.graph[-1].attributes["pads"].as_ints()) == [0, 2]


@pytest.mark.parametrize(
    ("weight", "said", "reason"),
    [
        (np.ones((4, 2, 4)), {"strides": [1]}, "stride 1 repeats nothing"),
        (np.ones((4, 2, 4)), {"strides": [2], "dilations": [2]}, "a dilated kernel has no repetition"),
        (
            np.ones((4, 2, 4)), {"strides": [2], "pads": [3, 0]},
            "the convolution would need the padding ((-1, 2),), which ONNX cannot say",
        ),
        (
            np.arange(32.0).reshape(4, 2, 4) ** 2, {"strides": [2]},
            "its kernel is not a product of repetition and a convolution",
        ),
        (
            np.ones((4, 2, 1)), {"strides": [2]},
            "kernel (1,) is shorter than the stride (2,)",
        ),
    ],
)  # fmt: skip
def test_why_it_does_not_split(weight, said, reason) -> None:
    up = helper.make_node("ConvTranspose", ["x", "w"], ["y"], **said)
    made = model([up], {"x": [1, 4, 5]}, ["y"], {"w": weight.astype(np.float32)})
    assert reasons(made, "split-nearest") == [reason]
