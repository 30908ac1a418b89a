"""Every rule, wherever its nodes and weights may stand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
ir = pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import helper, numpy_helper  # noqa: E402

from tconv import algebra, filters  # noqa: E402
from tconv.onnx.rules import RULES  # noqa: E402
from tests.onnx.helpers import model, whole  # noqa: E402
from tests.onnx.rules.helpers import reasons, rewritten  # noqa: E402
from tests.onnx.rules.pieces import OF_NUMBERS_AND_OPTIONS, OPTIONS_ALONE  # noqa: E402

RNG = np.random.default_rng(0)


class Piece(NamedTuple):
    """Nodes from `x` to `y` through `mid`, if there are two; every other name is a constant."""

    nodes: list[tuple[str, list[str], str, dict]]
    held: dict[str, np.ndarray]
    shape: tuple[int, ...] = (1, 4, 5, 4)


def two(first, second, held) -> Piece:
    return Piece([(*first[:2], "mid", first[2]), (*second[:2], "y", second[2])], held)


CONV = {"w": whole(RNG, 8, 4, 3, 3), "b": whole(RNG, 8)}
SAME = {"pads": [1, 1, 1, 1]}
UP = {"w": whole(RNG, 4, 3, 4, 4), "b": whole(RNG, 3)}
LAYER = Piece([("ConvTranspose", ["x", "w", "b"], "y", SAME | {"strides": [2, 2]})], UP)
BILINEAR = np.broadcast_to(filters.bilinear(2, 2), (4, 1, 4, 4)).astype(np.float32)
SCALES = np.float32([1, 1, 2, 2])
ONCE = np.array([0, 0, 1, 1, 0, 0, 1, 1])

PIECES = {
    "merge-nearest": two(
        ("Resize", ["x", "", "s"], {}), ("Conv", ["mid", "w", "b"], SAME), CONV | {"s": SCALES}
    ),
    "nearest-depth-to-space": two(
        ("Resize", ["x", "", "s"], {}), ("Conv", ["mid", "w", "b"], SAME), CONV | {"s": SCALES}
    ),
    "split-nearest": LAYER._replace(
        held=UP | {"w": algebra.merge_nearest(whole(RNG, 3, 4, 3, 3), 2).weight.astype(np.float32)}
    ),
    "conv-depth-to-space": LAYER,
    "conv-depth-to-space-cropped": LAYER,
    "depth-to-space-conv": two(
        ("Conv", ["x", "w", "b"], SAME), ("DepthToSpace", ["mid"], {"blocksize": 2}), CONV
    ),
    "linear-resize": Piece([("Resize", ["x", "", "s"], "y", {"mode": "linear"})], {"s": SCALES}),
    "to-linear-resize": two(
        ("Pad", ["x", "p"], {"mode": "edge"}),
        ("ConvTranspose", ["mid", "w"], {"strides": [2, 2], "pads": [3] * 4, "group": 4}),
        {"p": ONCE, "w": BILINEAR},
    ),
    "inverse-stft": Piece(
        [("ConvTranspose", ["x", "w", "b"], "y", {"strides": [16]})],
        {"w": whole(RNG, 4, 1, 64), "b": whole(RNG, 1)},
        (1, 4, 5),
    ),
} | {name: Piece(*piece) for name, piece in OF_NUMBERS_AND_OPTIONS.items()}
EVERY = pytest.mark.parametrize("rule", PIECES)
PAIRS = [name for name, piece in PIECES.items() if len(piece.nodes) == 2]


def nodes_of(piece: Piece, mark: str = "", source: str = "x") -> list[onnx.NodeProto]:
    """The nodes of a piece, with `mark` behind the names of its values, reading `source`."""
    rename = {"x": source, "mid": f"mid{mark}"}
    return [
        helper.make_node(
            op, [rename.get(name, name) for name in inputs], [f"{out}{mark}"], f"{op}{mark}", **said
        )
        for op, inputs, out, said in piece.nodes
    ]


def constants_of(piece: Piece) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, name))
        for name, array in piece.held.items()
    ]


def feeds_of(piece: Piece) -> dict[str, np.ndarray]:
    return {"x": whole(np.random.default_rng(1), *piece.shape)}


def open_shape(piece: Piece) -> dict[str, list[int | str]]:
    return {"x": ["n", piece.shape[1], *"hw"[: len(piece.shape) - 2]]}


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
    """Within its rounding, since ONNX Runtime computes single nodes wide and rounds between them."""
    piece = PIECES[rule]
    held = {
        name: array.astype(np.float16) if array.dtype == np.float32 and name != "s" else array
        for name, array in piece.held.items()
    }
    made = model(nodes_of(piece), open_shape(piece), ["y"], held, dtype=onnx.TensorProto.FLOAT16)
    rewritten(made, rule, {"x": feeds_of(piece)["x"].astype(np.float16)}, close=1e-3)


@EVERY
def test_in_a_function(rule: str) -> None:
    """A function knows no shapes, so that channels which no weights tell are not known."""
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
    assert reason.endswith("its answer is an output of the model")
    more = helper.make_node("Neg", ["mid"], ["z"])
    made = model([*nodes_of(piece), more], open_shape(piece), ["y", "z"], piece.held)
    (reason,) = reasons(made, rule)
    assert reason is not None
    assert reason.endswith("2 nodes read its answer")


def test_every_rule_on_layers_has_a_piece() -> None:
    assert set(PIECES) == set(RULES) - {"hard-swish"}


@pytest.mark.parametrize("rule", sorted(set(PIECES) - OPTIONS_ALONE))
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
