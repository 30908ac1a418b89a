"""Linear Resize as edge padding and a depthwise layer, and back, compared with ONNX Runtime's outputs."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
ir = pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import TensorProto, helper  # noqa: E402

from tconv import filters  # noqa: E402
from tests.onnx.helpers import answers, model, op_types, whole  # noqa: E402
from tests.onnx.rules.helpers import reasons, rewritten  # noqa: E402

NAMES = {1: ["l"], 2: ["h", "w"], 3: ["d", "h", "w"]}


def image(seed: int, *sizes: int, batch: int = 2) -> dict[str, np.ndarray]:
    return {"x": whole(np.random.default_rng(seed), batch, 3, *sizes)}


def resize(factors, opset=18, **said):
    axes = len(factors)
    scales = np.array([1, 1, *factors], np.float32)
    held = {"s": scales}
    if opset < 9:
        node, held = helper.make_node("Upsample", ["x"], ["y"], mode="linear", scales=scales.tolist()), {}
    elif opset < 11:
        node = helper.make_node("Upsample" if opset == 9 else "Resize", ["x", "s"], ["y"], mode="linear")
    else:
        held |= {"r": np.zeros(0, np.float32)} if opset < 13 else {}
        region = "r" if opset < 13 else ""
        node = helper.make_node("Resize", ["x", region, "s"], ["y"], name="up", mode="linear", **said)
    return model([node], {"x": ["n", 3, *NAMES[axes]]}, ["y"], held, opset=opset)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 18, 21])
def test_every_opset_and_rank(opset: int, axes: int) -> None:
    """Powers of two interpolate whole numbers exactly; old opsets begin with the first sample."""
    made = resize((2, 4, 1)[:axes], opset)
    feeds = [image(1, *(5, 4, 3)[:axes]), image(2, *(1, 1, 2)[:axes], batch=1)]
    assert op_types(rewritten(made, "linear-resize", *feeds)) == ["Pad", "ConvTranspose"]


@pytest.mark.parametrize("factor", range(2, 9))
@pytest.mark.parametrize(
    "coordinates", ["half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "asymmetric"]
)
def test_every_factor(coordinates: str, factor: int) -> None:
    made = resize((factor, 1), 19, coordinate_transformation_mode=coordinates)
    close = 0.0 if factor in (2, 4, 8) else 1e-6
    done = rewritten(made, "linear-resize", image(3, 4, 3), image(4, 1, 1), close=close)
    if coordinates != "asymmetric":
        kernel = done.graph[1].inputs[1].const_value.numpy()
        np.testing.assert_array_equal(kernel[0, 0, :, 0], filters.bilinear(factor, 1).astype(np.float32))


def test_what_lies_before_may_tell_type_and_channels() -> None:
    """The Resize's input has no annotated shape; half precision stays half precision."""
    rng = np.random.default_rng(5)
    for dtype, name in ((np.float32, TensorProto.FLOAT), (np.float16, TensorProto.FLOAT16)):
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["c"]),
            helper.make_node("Resize", ["c", "", "s"], ["y"], mode="linear"),
        ]
        held = {"w": whole(rng, 2, 3, 1, 1).astype(dtype), "s": np.float32([1, 1, 2, 2])}
        made = model(nodes, {"x": ["n", 3, "h", "w"]}, ["y"], held, dtype=name)
        feeds = {"x": image(6, 3, 4)["x"].astype(dtype)}
        done = rewritten(made, "linear-resize", feeds)
        assert op_types(done) == ["Conv", "Pad", "ConvTranspose"]
        assert done.graph[2].inputs[1].const_value.numpy().dtype == dtype


@pytest.mark.parametrize(
    ("factors", "said", "reason"),
    [
        (
            (2, 2), {"coordinate_transformation_mode": "align_corners"},
            "align_corners does not preserve the distance of samples",
        ),
        (
            (2, 2), {"coordinate_transformation_mode": "tf_half_pixel_for_nn"},
            "tf_half_pixel_for_nn is only for nearest",
        ),
        (
            (2, 2), {"coordinate_transformation_mode": "tf_crop_and_resize"},
            "tf_crop_and_resize does not preserve the distance of samples",
        ),
        ((1.5, 2), {}, "its factors 1.5, 2 are not whole, or beyond 4096"),
        ((2, 2), {"antialias": 1}, "it has antialias"),
    ],
)  # fmt: skip
def test_why_it_stays_a_resize(factors, said, reason) -> None:
    assert reasons(resize(factors, 18, **said), "linear-resize") == [reason]


def test_why_it_stays_a_resize_by_its_input() -> None:
    scales = {"s": np.float32([1, 1, 2, 2])}

    def why(shape, mode="linear", dtype=TensorProto.FLOAT):
        node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode=mode)
        return reasons(model([node], {"x": shape}, ["y"], scales, dtype=dtype), "linear-resize")

    assert why([1, "c", 4, 4]) == ["its number of channels is not known"]
    assert why([1, 3, 4, 4], "cubic") == ["its mode is cubic, not linear"]
    assert why([1, 3, 4, 4], dtype=TensorProto.UINT8) == ["it resizes uint8"]


def test_align_corners_is_another_thing() -> None:
    """What is refused above does differ in ONNX Runtime."""
    made = resize((2, 2), 18, coordinate_transformation_mode="align_corners")
    plain, feeds = resize((2, 2)), image(7, 3, 3)
    assert not np.allclose(answers(made, feeds)[0], answers(plain, feeds)[0])


def layer(factors, edges, crop, kernel=None, bias=None, axes_input=False, mode="edge", opset=18, **said):
    """x -> Pad -> ConvTranspose -> y with the bilinear filter, unless another kernel is given."""
    axes = len(factors)
    if kernel is None:
        kernel = np.ones(())
        for f in factors:
            kernel = np.multiply.outer(kernel, filters.bilinear(f, 1))
    weight = np.broadcast_to(kernel, (3, 1, *kernel.shape)).astype(np.float32)
    held = {"w": weight} | ({} if bias is None else {"b": bias})
    pads = [lo for lo, _ in edges], [hi for _, hi in edges]
    lead = [] if axes_input else [0, 0]
    every = [*lead, *pads[0], *lead, *pads[1]]
    inputs, attributes = ["x"], {"mode": mode}
    if opset < 11:
        attributes["pads"] = every
    else:
        held["p"] = np.array(every)
        inputs.append("p")
    if axes_input:
        held["a"] = np.arange(-axes, 0)
        inputs += ["", "a"]
    options = {"strides": factors, "group": 3} | said
    options["pads"] = [lo for lo, _ in crop] + [hi for _, hi in crop]
    operands = ["padded", "w", "b"][: 2 if bias is None else 3]
    nodes = [
        helper.make_node("Pad", inputs, ["padded"], name="pad", **attributes),
        helper.make_node("ConvTranspose", operands, ["y"], **options),
    ]
    return model(nodes, {"x": ["n", 3, *NAMES[axes]]}, ["y"], held, opset=opset)


def cropped(*factors, copies=1):
    return [((f - f % 2) // 2 + copies * f,) * 2 if f > 1 else (0, 0) for f in factors]


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("factors", [(2,), (4, 2), (3, 5), (2, 1), (2, 2, 4)])
@pytest.mark.parametrize("opset", [11, 13, 19])
def test_the_way_back(opset: int, factors: tuple[int, ...], copies: int) -> None:
    edges = [(copies, copies) if f > 1 else (0, 0) for f in factors]
    made = layer(
        factors, edges, cropped(*factors, copies=copies), axes_input=opset == 19, opset=opset,
        bias=np.zeros(3, np.float32) if copies == 3 else None,
    )  # fmt: skip
    exact = all(f in (1, 2, 4) for f in factors)
    feeds = image(8, *(4, 3, 2)[: len(factors)])
    assert op_types(rewritten(made, "to-linear-resize", feeds, close=0 if exact else 1e-6)) == ["Resize"]


TWO = {"factors": (2, 2), "edges": [(1, 1), (1, 1)], "crop": cropped(2, 2)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mode": "reflect"}, "it does not pad with the edge"),
        ({"edges": [(1, 1), (0, 1)]}, "edges repeated (0, 1) times and (3, 3) cropped are not a resize"),
        (
            {"edges": [(1, 1), (0, 1)], "crop": [(3, 3), (1, 3)]},
            "edges repeated (0, 1) times and (1, 3) cropped are not a resize",
        ),
        ({"crop": [(3, 3), (3, 2)]}, "edges repeated (1, 1) times and (3, 2) cropped are not a resize"),
        ({"edges": [(1, 1), (1, 2)]}, "edges repeated (1, 2) times and (3, 3) cropped are not a resize"),
        ({"bias": np.ones(3, np.float32)}, "the layer after it has a bias"),
        ({"kernel": np.ones((4, 4))}, "the kernel of the layer after it is not bilinear"),
        ({"kernel": np.ones((4, 3))}, "the kernel of the layer after it is not bilinear"),
        ({"group": 1}, "the layer after it is not depthwise"),
        ({"dilations": [2, 1]}, "the layer after it does not upsample"),
        ({"strides": [1, 1]}, "the layer after it does not upsample"),
        ({"opset": 10}, "Resize has half-pixel centres from opset 11 on"),
    ],
)
def test_why_it_stays_a_layer(change, reason) -> None:
    assert reasons(layer(**(TWO | change)), "to-linear-resize") == [reason]


def test_weights_that_numpy_cannot_round_are_left() -> None:
    made = layer(**TWO)
    held = made.graph.initializers["w"]
    coarse = np.ones((3, 1, 4, 4)).astype(pytest.importorskip("ml_dtypes").bfloat16)
    held.const_value = ir.tensor(coarse)
    assert reasons(made, "to-linear-resize") == ["the layer after it has weights of bfloat16"]


def test_a_bilinear_layer_alone_is_no_resize() -> None:
    """[1, 2, 3] at 2x ends in 2.25, where a Resize ends in 3."""
    weight = filters.bilinear(2, 1)[None, None].astype(np.float32)
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2], pads=[1, 1])
    made = model([node], {"x": [1, 1, 3]}, ["y"], {"w": weight})
    assert reasons(made, "to-linear-resize") == []
    (found,) = answers(made, {"x": np.float32([[[1, 2, 3]]])})
    assert found[0, 0, -1] == 2.25
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")
    made = model([node], {"x": [1, 1, 3]}, ["y"], {"s": np.float32([1, 1, 2])})
    (found,) = answers(rewritten(made, "linear-resize"), {"x": np.float32([[[1, 2, 3]]])})
    np.testing.assert_array_equal(found[0, 0], [1, 1.25, 1.75, 2.25, 2.75, 3])


def test_why_it_stays_a_layer_by_what_follows() -> None:
    pad = helper.make_node("Pad", ["x", "p"], ["y"], mode="edge")
    held = {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    alone = model([pad], {"x": [1, 3, 4, 4]}, ["y"], held)
    assert reasons(alone, "to-linear-resize") == ["its output is an output of the model"]
    computed = layer(**TWO)
    del computed.graph.initializers["p"]
    proto = ir.to_proto(computed)
    proto.graph.input.append(helper.make_tensor_value_info("p", TensorProto.INT64, [8]))
    assert reasons(ir.from_proto(proto), "to-linear-resize") == ["its pads are computed"]
