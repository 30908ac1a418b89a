"""Transposed convolutions as convolution and DepthToSpace, and back, compared with ONNX Runtime's outputs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
ir = pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import helper  # noqa: E402

from tests.onnx.helpers import model, op_types, whole  # noqa: E402
from tests.onnx.rules.helpers import reasons, rewritten  # noqa: E402

NAMES = {1: ["l"], 2: ["h", "w"], 3: ["d", "h", "w"]}
OPTIONS = [
    # kernel, strides, the other options; k4 s2 p1 and k3 s2 p1 o1 are those that people use
    ((4, 4), (2, 2), {"pads": [1, 1, 1, 1]}),
    ((3, 3), (2, 2), {"pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    ((2, 2), (2, 2), {}),
    ((3, 5), (2, 2), {"pads": [0, 2, 1, 0], "dilations": [2, 1]}),
    ((3, 3), (3, 3), {"auto_pad": "SAME_UPPER"}),
    ((4, 5), (2, 2), {"auto_pad": "SAME_LOWER"}),
    ((1, 2), (3, 3), {"output_padding": [2, 1]}),
    ((1, 5), (1, 2), {"pads": [0, 2, 0, 2]}),
    ((3, 4), (3, 2), {"pads": [2, 0, 1, 3]}),
    ((16,), (8,), {"pads": [4, 4]}),
    ((3,), (2,), {"dilations": [2], "output_padding": [1]}),
    ((3, 3, 3), (2, 2, 2), {"pads": [0, 0, 0, 1, 1, 1]}),
    ((2, 3, 4), (2, 1, 2), {"pads": [0, 1, 1, 0, 1, 1]}),
]  # fmt: skip
RULES = ["conv-depth-to-space", "conv-depth-to-space-cropped"]


def image(seed: int, *sizes: int, batch: int = 2) -> dict[str, np.ndarray]:
    return {"x": whole(np.random.default_rng(seed), batch, 4, *sizes)}


def up(kernel, strides, said, groups=1, bias=True, opset=18, shape=None):
    rng = np.random.default_rng(len(kernel))
    held = {"w": whole(rng, 4, 3, *kernel)} | ({"b": whole(rng, 3 * groups)} if bias else {})
    node = helper.make_node(
        "ConvTranspose", ["x", *held], ["y"], name="up", strides=strides, group=groups, **said
    )
    return model([node], {"x": shape or ["n", 4, *NAMES[len(kernel)]]}, ["y"], held, opset=opset)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("kernel", "strides", "said"), OPTIONS)
def test_every_option_with_open_sizes(kernel, strides, said, rule, groups) -> None:
    made = up(kernel, strides, said, groups, bias=groups == 2)
    feeds = [image(1, *(5, 4, 3)[: len(kernel)]), image(2, *(3, 2, 2)[: len(kernel)], batch=1)]
    if rule.endswith("cropped") and "cropping does not shrink the kernel" in reasons(made, rule):
        return
    done = rewritten(up(kernel, strides, said, groups, bias=groups == 2), rule, *feeds)
    assert "ConvTranspose" not in op_types(done)
    assert ("DepthToSpace" in op_types(done)) == (len(strides) == 2 and strides[0] == strides[1])


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 21])
@pytest.mark.parametrize(("groups", "option"), list(product([1, 2], [0, 7, 9])))
def test_every_opset(opset: int, groups: int, option: int) -> None:
    kernel, strides, said = OPTIONS[option]
    for rule in RULES:
        made = up(kernel, strides, said, groups, opset=opset)
        if rule in RULES[1:] and option == 7:
            continue  # k5 s2 p2: no crop makes it smaller
        rewritten(made, rule, image(3, *(5, 4)[: len(kernel)]))


@pytest.mark.parametrize("shape", [[2, 4, 5, 6], ["n", 4, 5, "w"], ["n", 4, "h", 6]])
def test_known_sizes_need_no_shape_at_run_time(shape) -> None:
    made = up((1, 5), (1, 2), {"pads": [0, 2, 0, 1]}, shape=shape)
    done = rewritten(made, RULES[0], image(4, 5, 6))
    assert op_types(done) == ["Conv", "Reshape", "Transpose", "Reshape"]


def test_output_shape() -> None:
    made = up((4, 4), (2, 2), {"output_shape": [9, 11]}, shape=[2, 4, 5, 6])
    rewritten(made, RULES[0], image(5, 5, 6))
    made = up((4, 4), (2, 2), {"output_shape": [9, 11]})
    assert reasons(made, RULES[0]) == ["its padding depends on sizes that are not known"]


def test_the_kernels_that_result() -> None:
    """k4 s2 p1: nine taps and nothing cropped, or four and a Slice."""
    kernel, strides, said = OPTIONS[0]
    for rule, size, ops in [
        (RULES[0], 3, ["Conv", "DepthToSpace"]),
        (RULES[1], 2, ["Conv", "DepthToSpace", "Slice"]),
    ]:
        done = rewritten(up(kernel, strides, said), rule, image(6, 3, 3))
        assert op_types(done) == ops
        assert done.graph[0].attributes["kernel_shape"].as_ints() == (size, size)
        assert done.graph[0].attributes["pads"].as_ints() == (1,) * 4


@pytest.mark.parametrize(
    ("kernel", "said", "rule", "reason"),
    [
        ((3,), {"strides": [1]}, RULES[0], "stride 1 has one phase"),
        ((2,), {"strides": [2]}, RULES[1], "cropping does not shrink the kernel"),
        (
            (3, 3),
            {"strides": [2, 2], "pads": [1, 1, 0, 0]},
            RULES[1],
            "cropping does not shrink the kernel",
        ),
    ],
)
def test_why_it_is_not_cut_into_phases(kernel, said, rule, reason) -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], **said)
    held = {"w": np.ones((4, 2, *kernel), np.float32)}
    assert reasons(model([node], {"x": [1, 4, *(5,) * len(kernel)]}, ["y"], held), rule) == [reason]


def shuffled(kernel, block, said, order, groups=1, bias="same", opset=18, shape=None):
    """x -> Conv -> DepthToSpace -> y; the phases of a channel have one bias, several, or none."""
    rng = np.random.default_rng(block)
    held = {"w": whole(rng, 6 * block**2, 4 // groups, *kernel)}
    if bias == "same":
        each = whole(rng, 6)
        held["b"] = each.repeat(block**2) if order == "CRD" else np.tile(each, block**2)
    elif bias == "apart":
        held["b"] = whole(rng, 6 * block**2)
    mode = {"mode": order} if opset >= 11 else {}
    nodes = [
        helper.make_node("Conv", ["x", *held], ["c"], name="conv", group=groups, **said),
        helper.make_node("DepthToSpace", ["c"], ["y"], name="shuffle", blocksize=block, **mode),
    ]
    return model(nodes, {"x": shape or ["n", 4, "h", "w"]}, ["y"], held, opset=opset)


@pytest.mark.parametrize("bias", ["same", "apart", "none"])
@pytest.mark.parametrize(("order", "groups"), [("DCR", 1), ("CRD", 1), ("CRD", 2)])
@pytest.mark.parametrize(
    ("kernel", "block", "said"),
    [
        ((3, 3), 2, {"pads": [1, 1, 1, 1]}),
        ((3, 2), 3, {"pads": [0, 1, 2, 0]}),
        ((1, 1), 4, {}),
        ((3, 2), 2, {"dilations": [2, 3], "pads": [4, 0, 1, 3]}),
        ((4, 4), 2, {"auto_pad": "SAME_LOWER"}),
    ],
)
def test_convolution_and_depth_to_space(kernel, block, said, order, groups, bias) -> None:
    feeds = [image(7, 6, 5), image(8, 5, 4, batch=1)]
    done = rewritten(shuffled(kernel, block, said, order, groups, bias), "depth-to-space-conv", *feeds)
    ops = op_types(done)
    assert "DepthToSpace" not in ops
    assert ops.count("ConvTranspose") == 1
    assert (len(ops) > 1) == (bias == "apart")


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 21])
def test_the_way_back_in_every_opset(opset: int) -> None:
    for shape in (None, [2, 4, 5, 4], [2, 4, "h", 4]):
        made = shuffled((3, 3), 2, {"pads": [1, 1, 1, 1]}, "DCR", bias="apart", opset=opset, shape=shape)
        done = rewritten(made, "depth-to-space-conv", image(9, 5, 4))
        if shape is not None:
            assert op_types(done) == ["ConvTranspose", "Reshape", "Add", "Reshape"]


@pytest.mark.parametrize("rule", RULES)
def test_there_and_back_is_the_layer_again(rule: str) -> None:
    there = up((4, 4), (2, 2), {"pads": [1, 1, 1, 1]})
    weight = there.graph.initializers["w"].const_value.numpy().copy()
    done = rewritten(there, rule, image(10, 4, 3))
    back = rewritten(done, "depth-to-space-conv", image(10, 4, 3))
    assert op_types(back)[0] == "ConvTranspose"
    held = back.graph[0].inputs[1].const_value.numpy()
    if rule == RULES[0]:
        np.testing.assert_array_equal(held[..., -4:, -4:], weight)


@pytest.mark.parametrize(
    ("said", "order", "groups", "reason"),
    [
        ({"strides": [2, 2]}, "DCR", 1, "the convolution before it has stride 2"),
        ({}, "DCR", 2, "the phases of an output lie in several groups"),
        (
            {"pads": [3, 0, 0, 0]}, "DCR", 1,
            "padding (3, 0) on axis 0 reaches beyond the kernel of 3; at most 2 would fit",
        ),
    ],
)  # fmt: skip
def test_why_it_stays_a_convolution(said, order, groups, reason) -> None:
    assert reasons(shuffled((3, 3), 2, said, order, groups), "depth-to-space-conv") == [reason]


def test_why_it_stays_by_what_stands_before() -> None:
    shuffle = helper.make_node("DepthToSpace", ["c"], ["y"], blocksize=2)
    relu = helper.make_node("Relu", ["x"], ["c"])
    assert reasons(model([relu, shuffle], {"x": [1, 4, 2, 2]}, ["y"]), "depth-to-space-conv") == [
        "it does not follow a convolution"
    ]
    given = model([shuffle], {"c": [1, 4, 2, 2]}, ["y"])
    assert reasons(given, "depth-to-space-conv") == ["it does not follow a convolution"]
    conv = helper.make_node("Conv", ["x", "w"], ["c"])
    held = {"w": np.ones((4, 4, 1, 1), np.float32)}
    seen = model([conv, shuffle], {"x": [1, 4, 2, 2]}, ["y", "c"], held)
    assert reasons(seen, "depth-to-space-conv") == [
        "the convolution before it: its output is an output of the model"
    ]
    computed = model([conv, shuffle], {"x": [1, 4, 2, 2], "w": [4, 4, 1, 1]}, ["y"])
    assert reasons(computed, "depth-to-space-conv") == ["the convolution before it: its weights are computed"]
