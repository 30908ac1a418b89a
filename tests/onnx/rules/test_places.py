"""Every rule, wherever its nodes and weights may stand."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
ir = pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import helper, numpy_helper  # noqa: E402

from tconv.onnx.rules import RULES  # noqa: E402
from tests.onnx.helpers import model, whole  # noqa: E402
from tests.onnx.rules.helpers import reasons, rewritten  # noqa: E402
from tests.onnx.rules.pieces import OPTIONS_ALONE, PIECES, Piece, nodes_of, open_shape  # noqa: E402

EVERY = pytest.mark.parametrize("rule", sorted(set(PIECES) - {"hard-swish"}))  # which is not exact to the bit
PAIRS = [name for name, piece in PIECES.items() if len(piece.nodes) == 2]


def constants_of(piece: Piece) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, name))
        for name, array in piece.held.items()
    ]


def feeds_of(piece: Piece) -> dict[str, np.ndarray]:
    return {"x": whole(np.random.default_rng(1), *piece.shape)}


@EVERY
def test_constant_nodes(rule: str) -> None:
    piece = PIECES[rule]
    made = model([*constants_of(piece), *nodes_of(piece)], open_shape(piece), ["y"])
    rewritten(made, rule, feeds_of(piece))


@EVERY
def test_between_other_nodes_with_an_answer_that_many_read(rule: str) -> None:
    piece = PIECES[rule]
    before = helper.make_node("Abs", ["first"], ["x"])
    after = [helper.make_node("Neg", ["y"], ["z"]), helper.make_node("Abs", ["y"], ["a"])]
    shape = {"first": open_shape(piece)["x"]}
    made = model([before, *nodes_of(piece), *after], shape, ["z", "a", "y"], piece.held)
    rewritten(made, rule, {"first": feeds_of(piece)["x"]})


@EVERY
def test_shared_weights_stay_for_the_others(rule: str) -> None:
    piece = PIECES[rule]
    once = nodes_of(piece, "1") + nodes_of(piece, "2", "y0")
    other = helper.make_node("Abs", ["x"], ["y0"])
    name = next(name for name in "wvs" if name in piece.held)
    seen = helper.make_node("Neg", [name], ["weights"])
    made = model([other, *once, seen], open_shape(piece), ["y1", "y2", "weights"], piece.held)
    done = rewritten(made, rule, feeds_of(piece), fires=2)
    np.testing.assert_array_equal(done.graph.initializers[name].const_value.numpy(), piece.held[name])


@EVERY
def test_in_both_branches_of_an_if(rule: str) -> None:
    piece = PIECES[rule]
    branches = {
        name: helper.make_graph(
            nodes_of(piece, mark), name, [], [helper.make_tensor_value_info(f"y{mark}", 1, None)]
        )
        for mark, name in (("1", "then_branch"), ("2", "else_branch"))
    }
    choose = helper.make_node("If", ["which"], ["z"], name="if", **branches)
    for which in (True, False):
        made = model([choose], open_shape(piece), ["z"], piece.held | {"which": np.array(which)})
        rewritten(made, rule, feeds_of(piece), fires=2)


@EVERY
def test_half_precision_stays_so(rule: str) -> None:
    """Within its rounding, since ONNX Runtime computes single nodes in a wider type and rounds in between."""
    piece = PIECES[rule]
    held = {
        name: array.astype(np.float16) if array.dtype == np.float32 and name != "s" else array
        for name, array in piece.held.items()
    }
    made = model(nodes_of(piece), open_shape(piece), ["y"], held, dtype=onnx.TensorProto.FLOAT16)
    rewritten(made, rule, {"x": feeds_of(piece)["x"].astype(np.float16)}, close=1e-3)


@EVERY
def test_in_a_function(rule: str) -> None:
    """A function knows no shapes, so channels that no weights determine are unknown."""
    piece = PIECES[rule]
    body = [*constants_of(piece), *nodes_of(piece)]
    function = helper.make_function("own", "Up", ["x"], ["y"], body, [helper.make_opsetid("", 18)])
    call = helper.make_node("Up", ["x"], ["y"], domain="own")
    made = model([call], open_shape(piece), ["y"], functions=[function])
    if rule in ("linear-resize", "fold-input-shift"):
        (reason,) = reasons(made, rule)
        assert reason is not None
        assert "channels" in reason
        assert reason.endswith("is not known")
        return
    done = rewritten(made, rule, feeds_of(piece))
    (held,) = done.functions.values()
    assert not held.graph.initializers


@pytest.mark.parametrize("rule", PAIRS)
def test_a_value_between_that_others_see_stays(rule: str) -> None:
    piece = PIECES[rule]
    made = model(nodes_of(piece), open_shape(piece), ["y", "mid"], piece.held)
    (reason,) = reasons(made, rule)
    assert reason is not None
    assert reason.endswith("its output is an output of the model")
    more = helper.make_node("Neg", ["mid"], ["z"])
    made = model([*nodes_of(piece), more], open_shape(piece), ["y", "z"], piece.held)
    (reason,) = reasons(made, rule)
    assert reason is not None
    assert reason.endswith("2 nodes read its output")


def test_every_rule_has_a_piece() -> None:
    assert set(PIECES) == set(RULES)


@pytest.mark.parametrize("rule", sorted(set(PIECES) - OPTIONS_ALONE - {"hard-swish"}))
def test_numbers_that_are_inputs_are_no_constants(rule: str) -> None:
    piece = PIECES[rule]
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in piece.held.items()
    ]
    made = ir.to_proto(model(nodes_of(piece), open_shape(piece), ["y"], piece.held))
    made.graph.input.extend(inputs)
    (reason,) = reasons(ir.from_proto(made), rule)
    assert reason is not None
    assert reason.endswith("computed")
