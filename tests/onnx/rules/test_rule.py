"""Every rule matches without computing, and computes once."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
ir = pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import helper  # noqa: E402

from tconv.algebra.shuffle import Phases  # noqa: E402
from tconv.onnx.preview import would_rewrite  # noqa: E402
from tconv.onnx.rules import RULES, Context  # noqa: E402
from tests.onnx.helpers import model, whole  # noqa: E402
from tests.onnx.rules.helpers import reasons  # noqa: E402
from tests.onnx.rules.pieces import OPTIONS_ALONE, PIECES, nodes_of, open_shape  # noqa: E402

EVERY = pytest.mark.parametrize("rule", RULES)

#: Rules whose answer is in the numbers of the weights, so that they look at them.
DECIDE_BY_WEIGHTS = {"groups-to-batch", "split-depthwise", "split-nearest", "to-linear-resize"}
#: What they compute in order to know, which is then not computed again.
DECIDING = {"split_axes", "split_nearest", "tolerated"}
#: Identities that look at shapes, or at one number a channel.
LOOKING = {"batchnorm", "check_room", "check_subpixel", "merged_kernel", "phases", "resize_lines"}


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each function of `tconv.algebra` is called by rules."""
    calls: Counter[str] = Counter()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            calls[name] += 1
            return function(*args, **options)

        return call

    for module in [held for name, held in sys.modules.items() if name.startswith("tconv.onnx.rules.")]:
        for name, function in list(vars(module).items()):
            if getattr(function, "__module__", "").startswith("tconv.algebra.") and not isinstance(
                function, type
            ):
                monkeypatch.setattr(module, name, counted(name, function))
    monkeypatch.setattr(Phases, "weight", counted("weight", Phases.weight))
    return calls


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the numbers of each constant are read."""
    reads: Counter[str] = Counter()
    numpy = ir.serde.TensorProtoTensor.numpy

    def counted(tensor: Any) -> Any:
        reads[tensor.name] += 1
        return numpy(tensor)

    monkeypatch.setattr(ir.serde.TensorProtoTensor, "numpy", counted)
    return reads


def made_of(rule: str, *, dtype: type[np.generic] = np.float32) -> ir.Model:
    piece = PIECES[rule]
    held = {
        name: array.astype(dtype) if array.dtype == np.float32 and name != "s" else array
        for name, array in piece.held.items()
    }
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return model(nodes_of(piece), open_shape(piece), ["y"], held, dtype=kind)


def found_in(made: ir.Model, rule: str) -> tuple[Any, Context]:
    """What the rule finds, which must be one place."""
    context = Context(made)
    answers = [
        RULES[rule].find(node, context) for _, node in context.nodes() if node.op_type in RULES[rule].op_types
    ]
    (found,) = [answer for answer in answers if not isinstance(answer, str)]
    return found, context


@EVERY
def test_looking_computes_nothing_and_applying_computes_once(
    rule: str, called: Counter[str], read: Counter[str]
) -> None:
    made = made_of(rule)
    weights = [name for name in "wv" if name in PIECES[rule].held]
    found, context = found_in(made, rule)
    looked, seen = dict(called), {name: read[name] for name in weights}
    decides = rule in DECIDE_BY_WEIGHTS
    assert set(looked) <= (LOOKING | DECIDING if decides else LOOKING)
    assert seen == dict.fromkeys(weights, int(decides))
    called.clear()
    assert RULES[rule].rewrite(found, context) is None
    assert not set(called) & set(looked)
    assert all(read[name] == (rule not in OPTIONS_ALONE) for name in weights)


@EVERY
def test_a_preview_folds_nothing(rule: str, called: Counter[str]) -> None:
    made = made_of(rule)
    before = ir.to_proto(made).SerializeToString(deterministic=True)
    answers = [answer for at in would_rewrite(made).values() for name, answer in at.items() if name == rule]
    assert None in answers
    assert set(called) <= LOOKING | DECIDING
    assert ir.to_proto(made).SerializeToString(deterministic=True) == before


@EVERY
def test_what_is_found_is_frozen(rule: str) -> None:
    found, _ = found_in(made_of(rule), rule)
    with pytest.raises(AttributeError):
        setattr(found, found._fields[0], None)


@pytest.mark.parametrize(
    "rule", ["fold-batchnorm", "fold-scale", "fold-bias", "fold-input-scale", "merge-nearest"]
)
def test_numbers_beyond_half_precision_are_refused_when_they_are_computed(rule: str) -> None:
    made = made_of(rule, dtype=np.float16)
    numbers = {"w": 60000, "b": -60000, "gamma": 60000, "c": 0.5 if rule == "fold-input-scale" else 60000}
    for name in numbers.keys() & made.graph.initializers.keys():
        value = made.graph.initializers[name]
        array = np.full(value.const_value.shape.numpy(), numbers[name], np.float16)
        value.const_value = ir.tensor(array, name=name)
    for reason in reasons(made, rule):  # which sees to it that the model stays as it was
        assert reason is not None
        assert reason.endswith("are beyond float16; a wider dtype would fit")


def test_channels_that_are_no_blocks_are_a_reason() -> None:
    weight = whole(np.random.default_rng(0), 7, 4, 3, 3)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["mid"]),
        helper.make_node("DepthToSpace", ["mid"], ["y"], blocksize=2),
    ]
    made = model(nodes, {"x": ["n", 4, "h", "w"]}, ["y"], {"w": weight})
    reason = "7 channels in 1 groups for blocks of 4; a multiple of 4 would fit"
    assert reasons(made, "depth-to-space-conv") == [reason]
