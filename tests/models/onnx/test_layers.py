"""The transposed convolutions of a model: their places, and ONNX Runtime's reading of their options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

import tconv
import tconv.onnx as ours
from tconv import TconvError
from tests.onnx.helpers import info, layer, model_proto, run, saved

OPTIONS = [
    {},
    {"strides": [2, 3], "pads": [1, 0, 2, 1], "dilations": [2, 1], "output_padding": [1, 2]},
    {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"strides": [2, 2], "auto_pad": "SAME_LOWER", "output_padding": [1, 0]},
    {"strides": [3, 3], "auto_pad": "VALID", "output_padding": [2, 1]},
    {"strides": [2, 2], "output_shape": [10, 12]},
    {"strides": [2, 2], "output_shape": [10, 9], "auto_pad": "SAME_UPPER"},
    {"strides": [2, 2], "output_shape": [8, 11], "auto_pad": "SAME_LOWER", "output_padding": [1, 1]},
    {"group": 2, "kernel_shape": [3, 3]},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("opened", [False, True])
def test_the_geometry_is_what_onnx_runtime_computes(tmp_path: Path, options: dict, opened: bool) -> None:
    shape = ("n", 4, "h", "w") if opened else (2, 4, 4, 5)
    proto = layer(shape, (4, 6 // options.get("group", 1), 3, 3), bias=True, **options)
    path = saved(proto, tmp_path)
    (found,) = ours.transposed(ours.read(path))
    x = np.random.default_rng(3).normal(size=(2, 4, 4, 5)).astype(np.float32)
    answer = run(path, {"x": x})[0]
    geometry = found.geometry_at((4, 5), 2)
    assert geometry.output_shape == answer.shape
    engine = tconv.prepare(found.weight, found.bias, geometry=geometry)
    np.testing.assert_allclose(engine(x), answer, rtol=1e-4, atol=1e-5)
    if opened:
        assert not found.sized
        assert found.why == "open: batch, height, width"
        assert (found.options.pads is None) == ("output_shape" in options)
    else:
        assert found.sized
        assert found.geometry == geometry
        assert found.why == ""
    if found.options.pads is None:
        return
    # The same said in pads alone is the same to ONNX Runtime.
    plain = {key: value for key, value in options.items() if key not in ("auto_pad", "output_shape")}
    lo, hi = zip(*found.options.pads, strict=True)
    if min(*lo, *hi) >= 0:
        spelt = layer(shape, tuple(found.weight.shape), bias=True, **{**plain, "pads": [*lo, *hi]})
        np.testing.assert_array_equal(run(spelt.SerializeToString(), {"x": x})[0], answer)


def _branch(name: str) -> object:
    node = helper.make_node("ConvTranspose", ["x", "w"], [name], name=f"up_{name}")
    return helper.make_graph([node], name, [], [info(name, None)])


def test_layers_in_branches_loops_and_functions_are_found(tmp_path: Path) -> None:
    function = helper.make_function(
        "house",
        "Up",
        ["a", "b"],
        ["c"],
        [helper.make_node("ConvTranspose", ["a", "b"], ["c"], name="inner", strides=[2, 2])],
        [helper.make_opsetid("", 18)],
    )
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["goes"]),
            helper.make_node("ConvTranspose", ["held", "w"], ["next"], name="again"),
        ],
        "body",
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("held", [1, 4, 5, 5])],
        [info("goes", [], TensorProto.BOOL), info("next", None)],
    )
    nodes = [
        helper.make_node(
            "If", ["c"], ["y"], name="which", then_branch=_branch("p"), else_branch=_branch("q")
        ),
        helper.make_node("Up", ["x", "w"], ["z"], domain="house"),
        helper.make_node("Loop", ["", "c", "x"], ["l"], name="loop", body=body),
    ]
    proto = model_proto(
        nodes,
        inputs={"x": (1, 4, 5, 5)},
        outputs=["y", "z", "l"],
        weights={"w": np.ones((4, 4, 3, 3), np.float32)},
        functions=[function],
    )
    proto.graph.input.append(info("c", [], TensorProto.BOOL))
    found = ours.transposed(ours.read(saved(proto, tmp_path)))
    assert [(one.name, one.where) for one in found] == [
        ("up_q", "graph/which/else_branch"),
        ("up_p", "graph/which/then_branch"),
        ("again", "graph/loop/body"),
        ("inner", "function house::Up"),
    ]
    assert [str(one.geometry) for one in found] == ["n1 c4>4 i5x5 k3"] * 3 + ["None"]
    assert found[0].weight is not None  # held by the graph around it
    assert found[3].why == "the shape of the weights is not known"


@pytest.mark.parametrize(
    ("shape", "weight", "options", "said"),
    [
        ((1, 5, 4, 4), (4, 3, 3, 3), {}, "weights of shape 4x3x3x3 and an input of 5 channels"),
        ((1, 4, 4), (4, 3, 3, 3), {}, "an input of 3 axes and weights of shape 4x3x3x3"),
        (None, (4, 3, 3, 3), {"group": 3}, "weights of shape 4x3x3x3 and 3 groups"),
        (None, (4, 3, 3, 3), {"group": 0}, "groups"),
        (None, (4, 3, 3, 3), {"group": -2}, "groups"),
        (None, (4, 3, 3, 3), {"kernel_shape": [3, 5]}, "kernel_shape 3x5 and weights of shape 4x3x3x3"),
        (None, (4, 3, 3, 3), {"kernel_shape": [3]}, "weights of shape 4x3x3x3 and a kernel of 1 axes"),
        (None, (4, 3, 3, 3), {"strides": [2]}, "strides has 1 numbers"),
        (None, (4, 3, 3, 3), {"strides": [2, 0]}, "strides"),
        (
            None,
            (4, 3, 3, 3),
            {"strides": [2**40, 1]},
            "strides [1099511627776, 1]; numbers of up to 1048576 would fit",
        ),
        (None, (4, 3, 3, 3), {"pads": [1, 1]}, "pads has 2 numbers"),
        (None, (4, 3, 3, 3), {"strides": 2}, "graph: up: strides is of the kind INT; INTS would fit"),
        (None, (4, 3, 3, 3), {"auto_pad": "SAME"}, "'SAME' is unknown"),
        (None, (4, 3, 3, 3), {"stride": [2, 2]}, "graph: up: unknown attribute stride; ConvTranspose has "),
        (None, (4, 3), {}, "weights of shape 4x3"),
        (None, (4, 3, 1, 1, 1, 1), {}, "weights of shape 4x3x1x1x1x1"),
        (None, (4, 3, 3, 3), {"kernel_shape": [3, 3, 1, 1]}, "4 spatial axes"),
        ((1, 4, 2, 2), (4, 3, 3, 3), {"output_shape": [1, 3, 4, 4]}, "output_shape has 4 numbers"),
        ((1, 4, 2, 2), (4, 3, 3, 3), {"pads": [2, 2, 2, 2]}, "the output size on axis 0 is 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    tmp_path: Path, shape: tuple, weight: tuple, options: dict, said: str
) -> None:
    with pytest.raises(TconvError) as caught:
        ours.transposed(ours.read(saved(layer(shape, weight, **options), tmp_path)))
    text = str(caught.value)
    assert "up: " in text
    assert said in text
    assert "\n" not in text


def test_a_bias_of_another_length_is_refused(tmp_path: Path) -> None:
    proto = layer(None, bias=True)
    proto.graph.initializer[1].CopyFrom(helper.make_tensor("b", TensorProto.FLOAT, [2], [0, 0]))
    with pytest.raises(TconvError, match=r"a bias of shape 2; \(3,\) would fit"):
        ours.transposed(ours.read(saved(proto, tmp_path)))
