"""The calls of a problem in every framework, as the page shows them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from tconv.conventions import FRAMEWORKS, write
from tconv.errors import TconvError
from tconv.geometry import Geometry

__all__ = ["answer", "calls"]

_TITLES = {
    "pytorch": "PyTorch",
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "jax": "JAX",
    "onnx": "ONNX",
    "caffe": "Caffe",
    "tflite": "TFLite",
}


def calls(problems: Iterable[Geometry]) -> bytes:
    """JSON: spelling -> framework -> {title, code, notes}; without code, the notes say why.

    >>> table = json.loads(calls([Geometry.parse("n1 c8>4 i5 k4 s2 p1")]))
    >>> table["n1 c8>4 i5 k4 s2 p1"]["pytorch"]["code"].splitlines()[1]
    'layer = nn.ConvTranspose1d(8, 4, 4, stride=2, padding=1, bias=False)'
    """
    return json.dumps({str(g): {name: _call(name, g) for name in FRAMEWORKS} for g in problems}).encode()


def _call(framework: str, geometry: Geometry) -> dict[str, Any]:
    try:
        call = write(framework, geometry)
    except TconvError as refusal:
        return {"title": _TITLES[framework], "code": "", "notes": [str(refusal)]}
    return {"title": _TITLES[framework], "code": call.code, "notes": call.notes}


def answer(query: str) -> bytes:
    """What the server answers to `calls.json?problem=...`, the part behind the question mark.

    Raises `TconvError` where it is anything but one problem.
    """
    try:
        asked = parse_qsl(query, keep_blank_values=True, max_num_fields=2)
    except ValueError:
        asked = []
    if [name for name, _ in asked] != ["problem"]:
        raise TconvError("calls.json wants one problem; calls.json?problem=n1+c1%3E1+i3+k3 would fit")
    return calls([Geometry.parse(asked[0][1])])
