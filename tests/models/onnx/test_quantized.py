"""Quantized constants: their numbers are those of ONNX Runtime's own kernels, to the last bit."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from tconv.models.onnx.constants import constant, held
from tests.onnx.helpers import info, run

SHAPE = (4, 6, 3, 3)
#: How scales belong to the entries -> their shape, and the node's attributes.
WAYS: dict[str, tuple[tuple[int, ...], dict[str, int]]] = {
    "per tensor": ((), {}),
    "per tensor, one entry": ((1,), {"axis": 0}),
    "per channel (axis 0)": ((4,), {"axis": 0}),
    "per channel (axis 1)": ((6,), {}),
    "in blocks of 2 (axis 1)": ((4, 3, 3, 3), {"axis": 1, "block_size": 2}),
    "in blocks of 4 (axis 1)": ((4, 2, 3, 3), {"axis": -3, "block_size": 4}),  # 6 = 4 + 2
}
INTEGERS = ("INT8", "UINT8", "INT16", "UINT16", "INT4", "UINT4", "INT2", "UINT2")
FLOATS = ("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ")


def kind_of(name: str) -> Any:
    return np.dtype(ir.DataType[name].numpy())


def model(nodes: list[Any], arrays: dict[str, np.ndarray], kind: str, domain: str = "") -> bytes:
    """Nodes without inputs that compute y, of this type, with arrays of any type as initializers."""
    held = [ir.to_proto(ir.tensor(array, name=name)) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "g", [], [info("y", None, TensorProto.DataType.Value(kind))], held)
    opsets = [helper.make_opsetid("", 25), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=12).SerializeToString()


def mine(made: bytes) -> np.ndarray | None:
    return constant(ir.from_proto(_proto(made)).graph.outputs[0])


def _proto(made: bytes) -> Any:
    import onnx

    return onnx.load_model_from_string(made)


def whole(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of a type over its whole range."""
    bounds = ml_dtypes.iinfo(kind_of(kind))
    return rng.integers(int(bounds.min), int(bounds.max), shape, endpoint=True).astype(kind_of(kind))


def dequantizing(
    kind: str, scale: str, way: str, zero: bool, seed: int = 0, domain: str = ""
) -> tuple[bytes, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    shape, attributes = WAYS[way]
    drawn = rng.integers(-200, 200, SHAPE).astype(kind_of(kind)) if "FLOAT" in kind else None
    arrays = {
        "x": whole(rng, kind, SHAPE) if drawn is None else drawn,
        "s": np.asarray(rng.uniform(0.001, 0.1, shape)).astype(kind_of(scale)),
    }
    if zero:
        plain = "FLOAT" in kind or kind == "INT32"
        arrays["z"] = np.zeros(shape, kind_of(kind)) if plain else np.asarray(whole(rng, kind, shape))
    node = helper.make_node("DequantizeLinear", [*arrays], ["y"], domain=domain, **attributes)
    return model([node], arrays, scale, domain), arrays


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scale", ["FLOAT", "FLOAT16"])
@pytest.mark.parametrize("kind", [*INTEGERS, "INT32", *FLOATS])
def test_dequantized_as_onnx_runtime_does(kind: str, scale: str, way: str) -> None:
    for zero in (False, True):
        made, _ = dequantizing(kind, scale, way, zero)
        (expected,) = run(made, {})
        found = mine(made)
        assert found is not None
        assert found.dtype == expected.dtype
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", ["INT8", "UINT4", "FLOAT8E4M3FN", "FLOAT4E2M1"])
@pytest.mark.parametrize("scale", ["FLOAT", "FLOAT16", "BFLOAT16"])
@pytest.mark.parametrize("way", WAYS)
def test_dequantized_as_onnx_defines_it(kind: str, scale: str, way: str) -> None:
    """Types for which ONNX Runtime has no kernel, against ONNX's own evaluator."""
    made, _ = dequantizing(kind, scale, way, zero=True)
    (expected,) = ReferenceEvaluator(_proto(made)).run(None, {})
    found = mine(made)
    assert found is not None
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", ["INT16", "UINT16", "UINT8"])
def test_the_node_of_onnx_runtimes_own_domain(kind: str) -> None:
    made, _ = dequantizing(kind, "FLOAT", "per channel (axis 0)", zero=True, domain="com.microsoft")
    found = mine(made)
    assert found is not None
    assert found.tobytes() == run(made, {})[0].tobytes()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scale", ["FLOAT", "FLOAT16"])
@pytest.mark.parametrize("kind", INTEGERS)
def test_quantized_as_onnx_runtime_does(kind: str, scale: str, way: str) -> None:
    """Floats that a model quantizes and dequantizes again, as models trained for that do."""
    rng = np.random.default_rng(1)
    shape, attributes = WAYS[way]
    scales = np.asarray(rng.uniform(0.001, 0.1, shape))
    scales = np.where(np.arange(scales.size).reshape(shape) % 2, scales, 0.25).astype(kind_of(scale))
    x = rng.normal(size=SHAPE).astype(kind_of(scale)) * 5
    x[0] = np.round(x[0]) / 8  # the middle between two integers, at a scale of 1/4
    x[1, 1, 0] = [300, -400, 6e4]
    for zero in (False, True):
        arrays = {"x": x, "s": scales}
        given = {"output_dtype": int(ir.DataType[kind])}
        if zero:
            arrays["z"], given = np.asarray(whole(rng, kind, shape)), {}
        nodes = [
            helper.make_node("QuantizeLinear", [*arrays], ["q"], **attributes, **given),
            helper.make_node("DequantizeLinear", ["q", *[*arrays][1:]], ["y"], **attributes),
        ]
        made = model(nodes, arrays, scale)
        found = mine(made)
        assert found is not None
        assert found.tobytes() == run(made, {})[0].tobytes()


@pytest.mark.parametrize("way", WAYS)
def test_shape_type_and_words_are_known_before_numbers_are_read(way: str) -> None:
    made, _ = dequantizing("INT4", "FLOAT16", way, zero=True)
    found = held(ir.from_proto(_proto(made)).graph.outputs[0])
    assert found is not None
    assert (found.shape, found.dtype) == (SHAPE, np.float16)
    assert found.quantized == f"int4 {way.partition(',')[0]}"


@pytest.mark.parametrize(
    ("scale", "zero", "attributes"),
    [
        ((3,), None, {}),  # 3 scales for 6 channels
        ((6,), (), {}),  # one zero point for 6 scales
        ((6,), None, {"axis": 4}),
        ((2, 6, 3, 3), None, {"axis": 0, "block_size": 3}),  # blocks of 3 in 4 are 2, so this one is right
        ((2, 6, 3, 3), None, {"axis": 0, "block_size": 1}),
        ((2, 6, 3, 3), None, {"axis": 0, "block_size": -2}),
        ((), None, {"axis": 0, "block_size": 2}),
        ((6,), None, {"axis": 1.0}),
    ],
)
def test_what_the_standard_does_not_define_is_no_constant(
    scale: tuple[int, ...], zero: tuple[int, ...] | None, attributes: dict[str, Any]
) -> None:
    arrays = {"x": np.ones(SHAPE, np.int8), "s": np.ones(scale, np.float32)}
    if zero is not None:
        arrays["z"] = np.ones(zero, np.int8)
    made = model([helper.make_node("DequantizeLinear", [*arrays], ["y"], **attributes)], arrays, "FLOAT")
    right = attributes.get("block_size") == 3
    assert (mine(made) is not None) == right
    assert (held(ir.from_proto(_proto(made)).graph.outputs[0]) is not None) == right


@pytest.mark.parametrize("far", [np.nan, np.inf, 1e30])
def test_floats_that_no_integer_stands_for(far: float) -> None:
    arrays = {"x": np.float32([1, far]), "s": np.float32(0.5)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s"], ["y"]),
    ]
    assert mine(model(nodes, arrays, "FLOAT")) is None


@pytest.mark.parametrize(
    ("scale", "zero"),
    [(np.complex64(0.5), np.int8(0)), (np.int8(1), np.int8(0)), (np.float32(0.5), np.uint8(0))],
)
def test_types_that_do_not_go_together(scale: Any, zero: Any) -> None:
    arrays = {"x": np.ones(4, np.int8), "s": np.asarray(scale), "z": np.asarray(zero)}
    assert mine(model([helper.make_node("DequantizeLinear", [*arrays], ["y"])], arrays, "FLOAT")) is None


def test_floats_are_not_dequantized_and_integers_not_quantized() -> None:
    for op_type, kind in (("DequantizeLinear", np.float32), ("QuantizeLinear", np.int8)):
        arrays = {"x": np.ones(4, kind), "s": np.float32(0.5)}
        assert mine(model([helper.make_node(op_type, ["x", "s"], ["y"])], arrays, "FLOAT")) is None
