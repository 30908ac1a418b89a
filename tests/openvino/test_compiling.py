"""compile_model: what is timed, what is chosen, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

openvino = pytest.importorskip("openvino", reason="runs inside OpenVINO; install tconv[openvino]")
from openvino import opset13 as ops  # noqa: E402

import tconv.openvino  # noqa: E402
from tconv import TconvError  # noqa: E402
from tconv.models.openvino import core  # noqa: E402
from tconv.openvino import compiling  # noqa: E402
from tests.openvino.test_equal import CONFIG, kinds, layer, model, whole  # noqa: E402


def of_engine(compiled: Any) -> int:
    """How many nodes of a compiled model are the engine's."""
    nodes = compiled.get_runtime_model().get_ordered_ops()
    return sum("Reference" in str(node.get_rt_info()["layerType"].value) for node in nodes)


def two_layers() -> Any:
    return model([1, 2, 5, 5], whole(2, 3, 4, 4), whole(3, 2, 4, 4))


def test_nothing_is_timed_in_no_seconds() -> None:
    made, x = two_layers(), whole(1, 2, 5, 5)
    compiled = tconv.openvino.compile_model(made, CONFIG, seconds=0)
    assert of_engine(compiled) == 2
    own = core().compile_model(made, "CPU", CONFIG)
    assert of_engine(own) == 0
    np.testing.assert_array_equal(compiled(x)[0], own(x)[0])


@pytest.mark.parametrize(
    ("faster", "left"), [((), 0), ((1,), 2), ((2,), 2), ((3,), 1), ((4, 5), 2), ((6,), 1)]
)
def test_the_clock_decides(monkeypatch: pytest.MonkeyPatch, faster: tuple[int, ...], left: int) -> None:
    """Trials 1 and 2 are all layers in each layout, 3 to 6 are one layer each."""
    trials = iter(range(1, 9))
    monkeypatch.setattr(compiling, "_faster", lambda *_: next(trials) in faster)
    assert of_engine(tconv.openvino.compile_model(two_layers(), CONFIG)) == left


def test_inputs_by_name_are_those_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (ops.parameter([1, 2, n, n], np.float32, name=f"in{n}") for n in (4, 5))
    one.output(0).set_names({"small"})
    made = openvino.Model([layer(x, whole(2, 3, 4, 4)) for x in (one, two)], [one, two])
    fed: list[Any] = []
    monkeypatch.setattr(compiling, "_faster", lambda before, after, feeds, share: fed.append(feeds))
    arrays = whole(1, 2, 4, 4), whole(1, 2, 5, 5)
    for names in (("small", "in5"), ("in4", "in5")):
        with pytest.warns(RuntimeWarning, match="too few"):
            tconv.openvino.compile_model(
                made, CONFIG, inputs=dict(zip(names[::-1], arrays[::-1], strict=True))
            )
        assert all(given is array for given, array in zip(fed[-1], arrays, strict=True))
    with pytest.raises(TconvError, match="inputs: several are called 'in4' or 'small'; one would fit"):
        tconv.openvino.compile_model(made, CONFIG, inputs={"small": arrays[0], "in4": arrays[0]})


def test_too_few_seconds_are_said() -> None:
    """Nothing is timed in a microsecond, so nothing is known of the engine."""
    with pytest.warns(RuntimeWarning, match="seconds=1e-06 are too few to time"):
        compiled = tconv.openvino.compile_model(two_layers(), CONFIG, seconds=1e-6)
    assert of_engine(compiled) == 0


def test_a_slower_engine_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the clock itself: OpenVINO's answer, behind a node that sleeps."""
    from time import sleep

    from tconv.openvino.operator import TconvConvTranspose

    usual = TconvConvTranspose.evaluate

    def slow(self: Any, outputs: Any, inputs: Any) -> bool:
        sleep(0.002)
        return usual(self, outputs, inputs)

    monkeypatch.setattr(TconvConvTranspose, "evaluate", slow)
    assert of_engine(tconv.openvino.compile_model(two_layers(), CONFIG, seconds=1)) == 0


def test_open_sizes_need_an_example() -> None:
    made = model([1, 2, -1, 5], whole(2, 3, 4, 4))
    with pytest.raises(TconvError, match=r"input 'x' has the shape \[1,2,\?,5\]; `inputs` with an example"):
        tconv.openvino.compile_model(made, CONFIG)
    with pytest.raises(TconvError, match="OpenVINO cannot run the model with these inputs: "):
        tconv.openvino.compile_model(made, CONFIG, inputs=[whole(1, 3, 5, 5)])
    tconv.openvino.compile_model(made, CONFIG, inputs=[whole(1, 2, 5, 5)], seconds=0.5)


def test_what_stays() -> None:
    """Plain products, quantized weights, sizes that are told, and other dtypes are OpenVINO's."""
    x = ops.parameter([1, 2, 3, 3], np.float32, name="x")
    one = ops.convolution_backprop_data(x, whole(2, 3, 1, 1), strides=[1, 1])
    w = ops.multiply(ops.convert(ops.constant(np.ones((2, 3, 2, 2), np.int8)), np.float32), np.float32(0.5))
    sized = ops.convolution_backprop_data(
        x,
        whole(2, 3, 4, 4),
        strides=[2, 2],
        output_shape=ops.constant(np.array([6, 6])),
        auto_pad="same_upper",
    )
    made = openvino.Model([one, layer(x, w), sized], [x], "m")
    assert kinds(tconv.openvino.convert(made)).count("ConvolutionBackpropData") == 3
    half = ops.parameter([1, 2, 3, 3], np.float16, name="x")
    made = openvino.Model([layer(half, ops.constant(np.ones((2, 3, 2, 2), np.float16)))], [half], "m")
    assert kinds(tconv.openvino.convert(made)).count("ConvolutionBackpropData") == 1
    tconv.openvino.compile_model(made, CONFIG)


def test_refusals(tmp_path: Path) -> None:
    broken = tmp_path / "m.onnx"
    broken.write_bytes(b"no model\n\nat all")
    for call, said in (
        (lambda: tconv.openvino.convert(broken), f"OpenVINO cannot read {broken}: "),
        (lambda: tconv.openvino.convert(tmp_path / "none.onnx"), "there is no such file"),
        (lambda: tconv.openvino.convert(3), "model=3; an openvino.Model or the path of a file would fit"),
        (lambda: tconv.openvino.compile_model(two_layers(), {"CACHE_DIR": str(tmp_path)}), "CACHE_DIR: "),
        (lambda: tconv.openvino.compile_model(two_layers(), 3), "config=3; a mapping of properties"),
        (
            lambda: tconv.openvino.compile_model(two_layers(), {"NO_SUCH": 1}),
            "OpenVINO cannot compile model: ",
        ),
        (lambda: tconv.openvino.compile_model(two_layers(), seconds="x"), "seconds="),
        (lambda: tconv.openvino.compile_model(two_layers(), inputs=3), "inputs=3; "),
        (
            lambda: tconv.openvino.compile_model(two_layers(), inputs={}),
            "inputs: none is called 'x'; one would",
        ),
        (
            lambda: tconv.openvino.compile_model(two_layers(), inputs={"x": whole(1, 2, 5, 5), "z": 1}),
            "inputs: the model has no input 'z'; 'x' would fit",
        ),
        (lambda: tconv.openvino.reasons(3), "model=3; an openvino.Model or the path of a file would fit"),
    ):
        with pytest.raises(TconvError) as refused:
            call()
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_saved_model_is_refused_when_it_is_read(tmp_path: Path) -> None:
    """Its nodes live in one process."""
    openvino.save_model(tconv.openvino.convert(two_layers()), tmp_path / "m.xml")
    with pytest.raises(TconvError, match=r"OpenVINO cannot read .*TconvConvTranspose"):
        tconv.openvino.convert(tmp_path / "m.xml")


def test_a_cache_gives_no_wrong_answer(tmp_path: Path) -> None:
    """Two models that differ in weights only, compiled with OpenVINO's own call and one cache."""
    x, w = whole(1, 2, 5, 5), whole(2, 3, 4, 4)
    config = {**CONFIG, "CACHE_DIR": str(tmp_path)}
    for weight in (w, w + 1, w):
        made = model([1, 2, 5, 5], weight)
        own = core().compile_model(made, "CPU", CONFIG)(x)[0]
        ours = core().compile_model(tconv.openvino.convert(made), "CPU", config)(x)[0]
        np.testing.assert_array_equal(own, ours)
