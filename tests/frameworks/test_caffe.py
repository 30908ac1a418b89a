"""Caffe by OpenCV's importer, which has two axes: written prototxt runs, and layers are read as computed."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import cv2
import numpy as np

from tconv.conventions import Call, read
from tconv.geometry import Geometry
from tests.frameworks.caffemodel import caffemodel
from tests.frameworks.checks import was_read, written
from tests.frameworks.problems import axes_of, geometries

SEED = 16
END = 'layer { name: "end" type: "Power" bottom: "y" top: "end" }'  # OpenCV answers by the name of a layer


def run(code: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The layers of `code` behind an input x; a 1x1 convolution named in it has weights of 1, as it says."""
    dims = " ".join(f"dim: {size}" for size in x.shape)
    weights = {"up": ("Deconvolution", w)}
    for name, settings in re.findall(r'name: "(up_convolution_\d)"(.*?)weight_filler', code, re.DOTALL):
        channels = int(re.search(r"num_output: (\d+)", settings)[1])
        weights[name] = ("Convolution", np.ones((channels, 1, *[1] * (x.ndim - 2)), np.float32))
    prototxt = f'name: "net"\ninput: "x"\ninput_shape {{ {dims} }}\n{code}\n{END}'
    net = cv2.dnn.readNetFromCaffe(
        np.frombuffer(prototxt.encode(), np.uint8), np.frombuffer(caffemodel(weights), np.uint8)
    )
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.setInput(x, "x")
    return net.forward("end").copy()


def plain(geometry: Geometry, call: Call) -> bool:
    """What OpenCV can tell: it ignores a dilation, and goes wrong where pad reaches kernel_size."""
    short = all(max(sides) < k for sides, k in zip(geometry.padding, geometry.kernel, strict=True))
    return short and max(geometry.dilation) == 1


def test_written() -> None:
    problems = geometries(2000, SEED, axes=(2,))
    assert written("caffe", problems, run, channels_last=False, covers=plain) >= 500


def test_read() -> None:
    rng = random.Random(SEED)
    for count in range(500):
        groups = rng.choice([1, 1, 2])
        kernel, stride, dilation = (
            axes_of(rng, 2, lambda most=most: rng.randint(1, most)) for most in (5, 4, 2)
        )
        sizes = axes_of(rng, 2, lambda: rng.randint(2, 5))
        pad = [
            rng.randint(0, min(2, k - 1, ((i - 1) * s + k - 1) // 2))
            for i, s, k in zip(sizes, stride, kernel, strict=True)
        ]
        fields = [f"num_output: {groups * rng.randint(1, 3)}", f"group: {groups}", "bias_term: false"]
        by_name = rng.random() < 0.5
        for name, short, values in (
            ("kernel_size", "kernel", kernel),
            ("stride", "stride", stride),
            ("pad", "pad", pad),
        ):
            if values[0] == values[1] and rng.random() < 0.7:
                fields.append(f"{name}: {values[0]}")
            elif by_name:
                fields.append(f"{short}_h: {values[0]} {short}_w: {values[1]}")
            else:
                fields.append(f"{name}: {values[0]} {name}: {values[1]}")
        fields.append(f"dilation: {dilation[0]} dilation: {dilation[1]}")
        rng.shuffle(fields)
        text = (
            'layer { name: "up" type: "Deconvolution" bottom: "x" top: "y" '
            f"convolution_param {{ {' '.join(fields)} }} }}"
        )

        def call(x: np.ndarray, w: np.ndarray, text: str = text) -> np.ndarray:
            return run(text, x, w)

        beside = {"input": sizes, "channels": groups * rng.randint(1, 2)}
        was_read("caffe", text, call, channels_last=False, seed=count, reading="opencv", **beside)
        as_caffe = read("caffe", text, **beside).geometry
        assert as_caffe.dilation == dilation
        undilated = replace(as_caffe, dilation=(1, 1))
        assert undilated == read("caffe", text, reading="opencv", **beside).geometry
