"""OpenVINO models whose transposed convolutions are computed by tconv's engine.

Needs OpenVINO: `pip install 'tconv[openvino]'`.

>>> import openvino
>>> from openvino import opset13
>>> x = opset13.parameter([1, 1, 3], np.float32)
>>> y = opset13.convolution_backprop_data(x, np.ones((1, 1, 2), np.float32), strides=[2])
>>> compiled = compile_model(openvino.Model([y], [x]), seconds=0)
>>> compiled(np.array([[[1, 2, 3]]], np.float32))[0]
array([[[1., 1., 2., 2., 3., 3.]]], dtype=float32)
"""

from __future__ import annotations

from tconv.openvino.compiling import compile_model
from tconv.openvino.converting import convert, reasons

__all__ = ["compile_model", "convert", "reasons"]
