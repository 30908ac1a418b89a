"""Options made explicit or removed: random layers, compared with ONNX Runtime's outputs of the original."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import helper

from tests.onnx.helpers import whole
from tests.onnx.rules.helpers import OPSETS, Problem, built, operators, problem, reasons, rewritten

WAYS = [(opset, dynamic) for opset in OPSETS for dynamic in (False, True)]
every_kind = pytest.mark.parametrize(("axes", "groups"), [(a, g) for a in (1, 2, 3) for g in (1, 2, 4)])


def drawn(axes: int, groups: int, seed: int, **fixed: Any) -> Iterator[tuple[Problem, dict[str, Any]]]:
    """A problem for each opset, static and dynamic; dynamic ones have Constant nodes."""
    rng = np.random.default_rng([seed, axes, groups])
    for opset, dynamic in WAYS:
        yield problem(rng, axes, groups, dynamic=dynamic, **fixed), {"opset": opset, "as_nodes": dynamic}


def said(made: Any, name: str, op: str = "ConvTranspose") -> list[int]:
    """An attribute of the only node of this operator; empty where it is not written."""
    (node,) = (node for node in made.graph if node.op_type == op)
    return list(node.attributes.get_ints(name, ()))


@every_kind
def test_stride_one_becomes_a_convolution(axes: int, groups: int) -> None:
    for given, way in drawn(axes, groups, 0, strides=[1] * axes):
        made = built(given, **way)
        assert operators(rewritten(made, "flip-stride-one", *given.feeds)) == ["Conv"]


def test_pads_beyond_the_kernel_crop_the_input() -> None:
    rng = np.random.default_rng(1)
    for opset, dynamic in WAYS:
        given = problem(
            rng, 2, 2, dynamic=dynamic, weight=whole(rng, 4, 4, 2, 3), strides=[1, 1], dilations=[1, 1],
            pads=[3, 2, 0, 4], output_padding=[0, 0],
        )  # fmt: skip
        made = built(given, opset=opset)
        assert operators(rewritten(made, "flip-stride-one", *given.feeds)) == ["Slice", "Conv"]
        assert said(made, "pads", "Conv") == [0, 0, 1, 0]


@every_kind
def test_stamps_that_do_not_overlap_become_one_by_one(axes: int, groups: int) -> None:
    """Kernels up to the stride, dilated ones too, cropped or with output padding; axes of other strides."""
    rng = np.random.default_rng([9, axes, groups])
    shuffles = set()
    for number, (opset, dynamic) in enumerate(WAYS * 2):
        strides = [2, 2, 2][:axes] if number % 2 else [int(s) for s in rng.integers(2, 5, axes)]
        dilations = [int(d) for d in rng.integers(1, 3, axes)]
        kernel = [int(rng.integers(1, (s - 1) // d + 2)) for s, d in zip(strides, dilations, strict=True)]
        weight = whole(rng, 4, 8 // groups, *kernel)
        pads = [int(p) for p in rng.integers(0, 3, 2 * axes)]
        given = problem(
            rng, axes, groups, dynamic=dynamic, weight=weight, strides=strides, dilations=dilations, pads=pads
        )
        made = built(given, opset=opset, as_nodes=dynamic)
        left = operators(rewritten(made, "kernel-is-stride", *given.feeds))
        assert said(made, "kernel_shape", "Conv") == [1] * axes
        assert said(made, "pads", "Conv")[:axes] == [0] * axes
        shuffles |= {*left} & {"DepthToSpace", "Transpose"}
    assert shuffles == ({"DepthToSpace", "Transpose"} if axes == 2 else {"Transpose"})


@every_kind
@pytest.mark.parametrize("how", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_auto_pad_becomes_pads(axes: int, groups: int, how: str) -> None:
    for given, way in drawn(axes, groups, 2, auto_pad=how):
        made = built(given, **way)
        assert operators(rewritten(made, "explicit-pads", *given.feeds)) == ["ConvTranspose"]
        assert "auto_pad" not in made.graph[-1].attributes
        assert len(said(made, "pads")) == 2 * axes


@every_kind
@pytest.mark.parametrize("how", ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
def test_output_shape_becomes_pads(axes: int, groups: int, how: str) -> None:
    """Also where it needs more than there is, up to a stride less one, which output padding then adds."""
    rng = np.random.default_rng([3, axes, groups, len(how)])
    grown = 0
    for number, opset in enumerate(OPSETS * 2):
        plain = {"strides": [3] * axes, "output_padding": [0] * axes} if number == 0 else {}
        given = problem(rng, axes, groups, auto_pad=how, output_shape=[1] * axes, **plain)
        options = {a.name: a for a in given.node.attribute}
        s, d, o = (list(options[name].ints) for name in ("strides", "dilations", "output_padding"))
        k, i = given.constants["w"].shape[2:], given.feeds[0]["x"].shape[2:]
        full = [(i[a] - 1) * s[a] + d[a] * (k[a] - 1) + 1 for a in range(axes)]
        most = [f + t - 1 for f, t in zip(full, s, strict=True)]
        wanted = [int(rng.integers(max(m - 4, 1), m + 1)) for m in most] if number else most
        grown += any(w > f + e for w, f, e in zip(wanted, full, o, strict=True))
        options["output_shape"].ints[:] = wanted
        made = built(given, opset=opset)
        assert operators(rewritten(made, "explicit-pads", *given.feeds)) == ["ConvTranspose"]
        assert "output_shape" not in made.graph[0].attributes
    assert grown >= 1


@every_kind
@pytest.mark.parametrize("behind", [0, 1, 2])
def test_output_padding_goes(axes: int, groups: int, behind: int) -> None:
    """From the pads if they suffice, else from taps of zero: one per dilation."""
    fixed = {"strides": [3] * axes, "pads": [1] * axes + [behind] * axes, "output_padding": [2] * axes}
    for given, way in drawn(axes, groups, 4, **fixed):
        made = built(given, **way)
        d = next(list(a.ints) for a in given.node.attribute if a.name == "dilations")
        taps = [k + [2, 1, 0][behind] // e for k, e in zip(given.constants["w"].shape[2:], d, strict=True)]
        assert operators(rewritten(made, "drop-output-padding", *given.feeds)) == ["ConvTranspose"]
        assert said(made, "output_padding") == []
        if behind != 1 or set(d) == {1}:
            assert said(made, "kernel_shape") == taps


@every_kind
def test_pads_become_equal(axes: int, groups: int) -> None:
    for given, way in drawn(axes, groups, 5, pads=[0, 1, 2][:axes] + [2, 0, 2][:axes]):
        made = built(given, **way)
        assert operators(rewritten(made, "symmetric-pads", *given.feeds)) == ["ConvTranspose", "Slice"]
        pads = said(made, "pads")
        assert pads[:axes] == pads[axes:] == [0, 0, 2][:axes]


@every_kind
def test_dilation_goes(axes: int, groups: int) -> None:
    for given, way in drawn(axes, groups, 6, dilations=[2, 3, 1][:axes]):
        made = built(given, **way)
        assert operators(rewritten(made, "spread-dilation", *given.feeds)) == ["ConvTranspose"]
        assert set(said(made, "dilations")) == {1}


@every_kind
def test_options_go_one_after_the_other(axes: int, groups: int) -> None:
    """auto_pad with output padding and dilation: the result has none of them, and equal pads."""
    fixed = {
        "auto_pad": "SAME_UPPER",
        "strides": [2] * axes,
        "dilations": [2] * axes,
        "output_padding": [1] * axes,
    }
    for given, way in drawn(axes, groups, 7, **fixed):
        made = built(given, **way)
        for rule in ("explicit-pads", "spread-dilation", "drop-output-padding"):
            assert operators(rewritten(made, rule, *given.feeds)) == ["ConvTranspose"]
        pads = said(made, "pads")
        if pads[:axes] != pads[axes:]:
            assert operators(rewritten(made, "symmetric-pads", *given.feeds)) == ["ConvTranspose", "Slice"]
        for rule in ("explicit-pads", "spread-dilation", "drop-output-padding", "symmetric-pads"):
            assert None not in reasons(made, rule)


def test_weights_that_are_computed_need_not_stay_as_they_are() -> None:
    """Rules that change only options need no numbers."""
    rng = np.random.default_rng(8)
    weight = whole(rng, 4, 4, 3, 3)
    for rule, options in {
        "explicit-pads": {"auto_pad": "SAME_LOWER"},
        "drop-output-padding": {"pads": [0, 0, 1, 2], "output_padding": [1, 1]},
        "symmetric-pads": {"pads": [0, 0, 1, 2]},
    }.items():
        given = problem(rng, 2, 2, weight=weight, strides=[2, 2], dilations=[1, 1], **options)
        given.node.input[1] = "computed"
        made = built(given, before=[helper.make_node("Neg", ["w"], ["computed"])])
        assert "ConvTranspose" in operators(rewritten(made, rule, *given.feeds))


OPEN = "its padding depends on sizes that are not known"

#: What is asked of a 1-D layer with kernel 3, stride 2 and 2 groups, and what the rule says to it.
REFUSED = [
    ("flip-stride-one", {}, "its strides are (2,)"),
    ("flip-stride-one", {"strides": [1], "computed": True}, "its weights are computed"),
    ("kernel-is-stride", {"strides": [1]}, "stride 1 has one phase"),
    ("kernel-is-stride", {}, "its kernel reaches (3,) cells with strides (2,), so its stamps overlap"),
    ("kernel-is-stride", {"computed": True}, "its weights are computed"),
    (
        "kernel-is-stride",
        {"strides": [2**20], "channels": 16},
        "268,435,456 weights for 768 now; up to 67,108,864 would fit",
    ),
    (
        "spread-dilation",
        {"dilations": [2**20], "channels": 16},
        "536,871,168 weights for 768 now; up to 67,108,864 would fit",
    ),
    (
        "drop-output-padding",
        {"strides": [2**20], "output_padding": [2**20 - 1], "channels": 16},
        "268,435,968 weights for 768 now; up to 67,108,864 would fit",
    ),
    ("explicit-pads", {}, "its pads are explicit"),
    ("explicit-pads", {"auto_pad": "NOTSET"}, "its pads are explicit"),
    ("explicit-pads", {"output_shape": [9], "open": True}, OPEN),
    ("explicit-pads", {"output_shape": [9, 9]}, "output_shape has 2 numbers; 1 would fit a kernel of 1 axes"),
    (
        "explicit-pads", {"output_shape": [40]},
        "it would need an output_padding of (23,) with strides (2,), which ONNX cannot say",
    ),
    ("drop-output-padding", {}, "it has no output_padding"),
    (
        "drop-output-padding",
        {"output_padding": [1], "computed": True},
        "taps of zero would be added, and its weights are computed",
    ),
    (
        "drop-output-padding",
        {"output_padding": [1], "output_shape": [9], "open": True},
        OPEN,
    ),
    ("symmetric-pads", {"pads": [1, 1]}, "its pads are equal at both ends"),
    ("symmetric-pads", {"output_shape": [9], "open": True}, OPEN),
    ("spread-dilation", {}, "it has no dilation"),
    ("spread-dilation", {"computed": True}, "its weights are computed"),
    (
        "spread-dilation",
        {"dilations": [4], "output_padding": [3]},
        "it would need an output_padding of (3,) with strides (2,), which ONNX cannot say",
    ),
    (
        "spread-dilation",
        {"dilations": [2], "output_shape": [9], "open": True},
        OPEN,
    ),
    ("symmetric-pads", {"computed": True, "unknown": True}, "the shape of its weights is not known"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "options", "reason"), REFUSED)
def test_why_an_option_stays(rule: str, options: dict[str, Any], reason: str) -> None:
    options = dict(options)
    computed, dynamic, unknown = (options.pop(name, False) for name in ("computed", "open", "unknown"))
    channels = options.pop("channels", 4)
    plain = {"strides": [2], "dilations": [1], "output_padding": [0], "bias": False}
    if not {"auto_pad", "output_shape"} & set(options):
        plain["pads"] = [0, 0]
    given = problem(
        np.random.default_rng(0),
        1,
        2,
        weight=np.ones((channels, channels, 3), np.float32),
        dynamic=dynamic,
        **{**plain, **options},
    )
    before = []
    if computed:
        given.node.input[1] = "computed"
        before = [helper.make_node("Neg", ["w"], ["computed"])]
    if unknown:
        before = [helper.make_node("Unknown", ["w"], ["computed"], domain="own")]
        del given.node.attribute[[a.name for a in given.node.attribute].index("kernel_shape")]
    made = built(given._replace(shape=["n", channels, "a"] if dynamic else [1, channels, 8]), before=before)
    assert reasons(made, rule) == [reason]
