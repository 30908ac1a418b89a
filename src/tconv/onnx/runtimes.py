"""How each runtime computes a transposed convolution on a CPU.

Each sentence has been verified: for ONNX Runtime 1.31 by its memory use and errors, for PyTorch 2.13 by its
choice of a backend and by the log of its oneDNN 3.12, for OpenVINO 2026.4 by the names of its kernels; the
last two on x86-64 with AVX-512. `tests/onnx/test_runtimes.py` repeats this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType

from tconv.geometry import Geometry
from tconv.planning import plan
from tconv.planning.problem import DTYPES

__all__ = ["RUNTIMES", "columns", "of_layer", "size"]

#: NumPy's name of a type -> tconv's.
_CODES = MappingProxyType({"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16"})


def columns(g: Geometry) -> int:
    """The numbers in the column buffer between GEMM and col2im: one group of one image.

    >>> columns(Geometry.parse("n2 c8>32 i16x16 k7 g8"))  # 32/8 channels * 7*7 taps * 16*16 inputs
    50176
    """
    return g.out_channels // g.groups * prod(g.kernel) * prod(g.input)


def size(number: int) -> str:
    """A number of bytes with a unit.

    >>> size(50176 * 4), size(12), size(3 * 2**30)
    ('196 kB', '12 B', '3.0 GB')
    """
    value, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return (
        f"{value:.0f} {units[0]}" if value >= 99.5 or units[0] in ("B", "kB") else f"{value:.1f} {units[0]}"
    )


def _onnxruntime(g: Geometry, dtype: str, sized: bool) -> str:
    if dtype not in ("f32", "f16"):
        return f"refuses: it has no kernel of {dtype}"
    buffer = size(columns(g) * 4) if sized else "all products of a group"
    first = "through float32: " if dtype == "f16" else ""
    if g.groups == 1:
        return f"{first}GEMM into a column buffer ({buffer}), then col2im"
    return f"{first}{g.groups} GEMMs one after another, each into a column buffer ({buffer}), then col2im"


def _openvino(g: Geometry, dtype: str, sized: bool) -> str:
    dilated = max(g.dilation) > 1 and max(g.stride) > 1
    if g.axes == 1 or dilated:
        return f"GEMM and col2im ({'one axis' if g.axes == 1 else 'dilation with stride'})"
    if g.groups > 1:
        wide = g.in_channels > g.groups or g.out_channels > g.groups
        return "a direct kernel for groups" if wide else "a direct kernel for one channel per group"
    return "a direct kernel in blocks of channels, between layout conversions"


def _pytorch(g: Geometry, dtype: str, sized: bool) -> str:
    if not sized and dtype != "f64":
        return "GEMM and col2im, or oneDNN, depending on the open sizes"
    if _slow(g, dtype):
        why = "float64" if dtype == "f64" else "one small image, a kernel of at most 3 on an axis"
        return f"GEMM and col2im ({why})"
    if max(g.dilation) > 1 and max(g.stride) > 1:
        return "oneDNN, by GEMM (dilation with stride)"
    uneven = any(o % s for o, s in zip(g.output, g.stride, strict=True))
    if max(g.stride) > 1 and g.groups == 1 and uneven:
        return "oneDNN, without its transposed kernel (the output does not divide by the stride)"
    return "oneDNN"


def _slow(g: Geometry, dtype: str) -> bool:
    """Whether PyTorch keeps a layer from oneDNN (use_mkldnn in aten/src/ATen/native/Convolution.cpp)."""
    if dtype == "f64":
        return True
    if dtype != "f32" or g.groups > 1 or g.batch > 1:
        return False
    shape, kernel = list(g.input_shape), list(g.kernel)
    if g.axes == 1:
        shape.insert(2, 1)
        kernel.insert(0, 1)
    return prod(shape[:4]) <= 20480 and min(kernel[-2:]) <= 3


def _tconv(g: Geometry, dtype: str, sized: bool) -> str:
    made = plan(g, dtype=dtype)
    workspace = size(made.runner.workspace_bytes)
    return f"{'' if sized else 'about '}{made.kernel}, {workspace} of workspace per thread"


#: Name -> how it computes a problem of a type, whose sizes are the model's (or placeholders).
RUNTIMES: Mapping[str, Callable[[Geometry, str, bool], str]] = MappingProxyType(
    {"ONNX Runtime": _onnxruntime, "OpenVINO": _openvino, "PyTorch": _pytorch, "tconv": _tconv}
)


_ENGINE = MappingProxyType({"ONNX Runtime": "tconv's engine, after tconv.onnx.register(options)"})
_UNKNOWN = "has no operator tconv::ConvTranspose"


def of_layer(geometry: Geometry, dtype: str, sized: bool, *, engine: bool = False) -> dict[str, str]:
    """How every runtime computes a layer, or the engine's node of it; `dtype` is NumPy's name."""
    code = _CODES.get(dtype, dtype)
    if code not in DTYPES:
        return {}
    if engine:
        own = _tconv(geometry, code, sized)
        return {name: own if name == "tconv" else _ENGINE.get(name, _UNKNOWN) for name in RUNTIMES}
    return {name: told(geometry, code, sized) for name, told in RUNTIMES.items()}
