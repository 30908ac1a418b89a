"""Random problems of every option: a rule applies exactly where it should, and the outputs are equal."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import helper  # noqa: E402

from tests.onnx.helpers import model, whole  # noqa: E402
from tests.onnx.rules.helpers import reasons, rewritten  # noqa: E402

Rng = np.random.Generator
SEEDS = range(40)
NAMES = ("h", "w", "d")


def ints(rng: Rng, low: int, high: int, count: int) -> list[int]:
    return [int(number) for number in rng.integers(low, high + 1, count)]


def channels(rng: Rng) -> tuple[int, int, int]:
    """In, out and groups."""
    groups = int(rng.choice([1, 1, 2, 3]))
    return groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 4)), groups


def bias(rng: Rng, outputs: int) -> dict[str, np.ndarray]:
    return {"b": whole(rng, outputs)} if rng.random() < 0.7 else {}


def inputs(rng: Rng, count: int, sizes: list[int]) -> tuple[dict, list[dict[str, np.ndarray]]]:
    """A shape in which any size may be symbolic, and one or two inputs that fit."""
    opened = rng.random(len(sizes)) < 0.6
    shape = [name if free else size for name, free, size in zip(NAMES, opened, sizes, strict=False)]
    feeds = [{"x": whole(rng, 2, count, *sizes)}]
    if opened.any():
        more = [size + 2 * int(free) for size, free in zip(sizes, opened, strict=True)]
        feeds.append({"x": whole(rng, 1, count, *more)})
    return {"x": ["n", count, *shape]}, feeds


@pytest.mark.parametrize("seed", SEEDS)
def test_transposed_to_phases(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = int(rng.integers(1, 4))
    c_in, c_out, groups = channels(rng)
    kernel, stride, dilation = ints(rng, 1, 5, axes), ints(rng, 1, 4, axes), ints(rng, 1, 2, axes)
    if axes == 2 and rng.random() < 0.5:
        stride = stride[:1] * 2
    said: dict = {"strides": stride, "dilations": dilation, "group": groups}
    how = rng.choice(["pads", "SAME_UPPER", "SAME_LOWER", "VALID"], p=[0.7, 0.1, 0.1, 0.1])
    if how == "pads":
        said["pads"] = ints(rng, 0, 3, 2 * axes)
        # ONNX Runtime takes an output padding below the stride, also where the dilation is larger.
        said["output_padding"] = [int(rng.integers(0, s)) for s in stride]
    else:
        said["auto_pad"] = str(how)
    sizes = ints(rng, 7, 9, axes) if axes < 3 else ints(rng, 7, 7, axes)
    shape, feeds = inputs(rng, c_in, sizes)
    held = {"w": whole(rng, c_in, c_out // groups, *kernel)} | bias(rng, c_out)
    node = helper.make_node("ConvTranspose", ["x", *held], ["y"], **said)
    opset = int(rng.choice([11, 13, 18]))
    for rule in ("conv-depth-to-space", "conv-depth-to-space-cropped"):
        made = model([node], shape, ["y"], held, opset=opset)
        if max(stride) == 1:
            assert reasons(made, rule) == ["stride 1 has one phase"]
        elif rule.endswith("cropped") and reasons(made.clone(), rule) != [None]:
            assert reasons(made, rule) == ["cropping does not shrink the kernel"]
        else:
            rewritten(made, rule, *feeds)


@pytest.mark.parametrize("seed", SEEDS)
def test_upsampled_convolutions(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    axes = int(rng.integers(1, 4))
    c_in, c_out, groups = channels(rng)
    factors, kernel, dilation = ints(rng, 1, 4, axes), ints(rng, 1, 4, axes), ints(rng, 1, 2, axes)
    factors[0] = max(factors[0], 2)
    pads = ints(rng, 0, 3, 2 * axes)
    shape, feeds = inputs(rng, c_in, ints(rng, 7, 8, axes))
    held = {"w": whole(rng, c_out, c_in // groups, *kernel)} | bias(rng, c_out)
    nodes = [
        helper.make_node("Resize", ["x", "", "s"], ["u"], mode="nearest"),
        helper.make_node("Conv", ["u", *held], ["y"], group=groups, dilations=dilation, pads=pads),
    ]
    held["s"] = np.array([1, 1, *factors], np.float32)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    fits = all(
        lo <= far and hi <= far + f - 1
        for lo, hi, far, f in zip(pads[:axes], pads[axes:], reach, factors, strict=True)
    )
    made = model(nodes, shape, ["y"], held)
    if fits:
        rewritten(made.clone(), "merge-nearest", *feeds)
    else:
        (reason,) = reasons(made.clone(), "merge-nearest")
        assert reason is not None
        assert reason.endswith("which ONNX cannot say")
    if reasons(made.clone(), "nearest-depth-to-space") == [None]:
        rewritten(made, "nearest-depth-to-space", *feeds)


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_convolutions(seed: int) -> None:
    rng = np.random.default_rng(200 + seed)
    c_in, c_out, groups = channels(rng)
    block, kernel, dilation = int(rng.integers(1, 5)), ints(rng, 1, 4, 2), ints(rng, 1, 2, 2)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    pads = [int(rng.integers(0, most + 1)) for most in reach * 2]
    order = "CRD" if groups > 1 else str(rng.choice(["DCR", "CRD"]))
    shape, feeds = inputs(rng, c_in, ints(rng, 7, 9, 2))
    held = {"w": whole(rng, c_out * block**2, c_in // groups, *kernel)} | bias(rng, c_out * block**2)
    nodes = [
        helper.make_node("Conv", ["x", *held], ["u"], group=groups, dilations=dilation, pads=pads),
        helper.make_node("DepthToSpace", ["u"], ["y"], blocksize=block, mode=order),
    ]
    rewritten(model(nodes, shape, ["y"], held), "depth-to-space-conv", *feeds)


@pytest.mark.parametrize("seed", SEEDS)
def test_linear_resizes(seed: int) -> None:
    rng = np.random.default_rng(300 + seed)
    axes = int(rng.integers(1, 4))
    factors = [int(f) for f in rng.choice([1, 2, 3, 4, 5, 7, 8], axes)]
    factors[-1] = max(factors[-1], 2)
    how = str(rng.choice(["half_pixel", "pytorch_half_pixel", "asymmetric"]))
    node = helper.make_node(
        "Resize", ["x", "", "s"], ["y"], mode="linear", coordinate_transformation_mode=how
    )
    shape, feeds = inputs(rng, 2, ints(rng, 1, 4, axes))
    made = model([node], shape, ["y"], {"s": np.array([1, 1, *factors], np.float32)})
    exact = all(f in (1, 2, 4, 8) for f in factors)
    done = rewritten(made, "linear-resize", *feeds, close=0 if exact else 1e-5)
    if how != "asymmetric":
        rewritten(done, "to-linear-resize", *feeds, close=0 if exact else 1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_frames(seed: int) -> None:
    rng = np.random.default_rng(400 + seed)
    groups = int(rng.integers(1, 4))
    c_in, kernel, hop = groups * int(rng.integers(1, 5)), int(rng.integers(32, 100)), int(rng.integers(4, 70))
    said = {"strides": [hop], "group": groups, "pads": ints(rng, 0, kernel // 2, 2)}
    said["output_padding"] = [int(rng.integers(0, hop))]
    held = {"w": whole(rng, c_in, 1, kernel)} | bias(rng, groups)
    node = helper.make_node("ConvTranspose", ["x", *held], ["y"], **said)
    shape, feeds = inputs(rng, c_in, ints(rng, 18, 24, 1))
    rewritten(model([node], shape, ["y"], held, opset=int(rng.choice([9, 11, 18]))), "inverse-stft", *feeds)
