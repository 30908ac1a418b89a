"""Pictures and curves of reports: bytes come back, and lines take the page's colours."""

from __future__ import annotations

import base64
import io
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from PIL import Image

from tconv.runs.figures import curves, filter_tile, picture_uri, png_uri, series


def opened(uri: str) -> Image.Image:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_pictures_come_back_to_the_byte() -> None:
    draw = np.random.default_rng(0)
    for shape in ((5, 7, 1), (5, 7, 3)):
        values = draw.integers(0, 256, shape, dtype=np.uint8)
        image = opened(picture_uri((values / 255).astype(np.float32)))
        assert np.array_equal(np.asarray(image).reshape(shape), values)
    indices = draw.integers(0, 3, (4, 4), dtype=np.uint8)
    table = draw.integers(0, 256, (3, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(opened(png_uri(indices, table)).convert("RGB")), table[indices])


def test_a_filter_is_white_at_zero_and_full_at_the_largest() -> None:
    pixels = np.asarray(opened(filter_tile(np.float32([[0, 2], [-2, 5]]), 2.0)))
    assert pixels.tolist() == [[[255, 255, 255], [178, 24, 43]], [[33, 102, 172], [178, 24, 43]]]


def test_curves_take_the_pages_colours_and_name_their_axis() -> None:
    chart = curves(
        {"a": ([1, 2], [0.1, 0.2]), "b": ([1, 2], [1, 10])},
        {"a": series(0), "b": series(7)},
        title="Two lines",
        log=True,
        across="step",
    )
    ElementTree.fromstring(chart.replace("xlink:href", "href"))
    assert "var(--series-1)" in chart
    assert "var(--series-2)" in chart
    assert ">step<" in chart
    assert "#0000" not in chart
