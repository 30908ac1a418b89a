"""The engines that the bench compares with, each at its best: weights packed, buffers reused."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from tconv.bench.activations import in_jax, onnx_nodes
from tconv.bench.task import Task, Work
from tconv.errors import TconvError
from tconv.models.openvino import core
from tconv.testing import Array, Arrays

__all__ = ["jax", "onnx_model", "onnxruntime", "openvino", "torch", "torch_work"]


def torch(task: Task, arrays: Arrays) -> Work:
    """PyTorch's function, in inference mode unless a training step is requested."""
    import torch

    torch.set_num_threads(task.threads)
    function = getattr(torch.nn.functional, f"conv_transpose{task.geometry.axes}d")
    return torch_work(task, arrays, function, f"torch {torch.__version__}")


def torch_work(task: Task, arrays: Arrays, function: Any, note: str) -> Work:
    """A function with the signature of PyTorch's as a layer."""
    import torch

    from tconv.torch.activations import activate

    geometry, dtype = task.geometry, getattr(torch, task.dtype)
    if any(min(pair) < 0 for pair in geometry.padding) or any(
        op and lo != hi for op, (lo, hi) in zip(geometry.output_padding, geometry.padding, strict=True)
    ):
        raise TconvError(
            f"{geometry}: PyTorch cannot express negative padding, or uneven padding with output_padding"
        )
    if task.layout == "channels_last" and geometry.axes == 1:
        raise TconvError(f"{geometry}: PyTorch has no channels_last for one axis")
    formats = {2: torch.channels_last, 3: torch.channels_last_3d}
    last = {"memory_format": formats[geometry.axes]} if task.layout == "channels_last" else {}
    # PyTorch crops both sides equally: crop the smaller amount, and take a view for the rest.
    shared = tuple(min(pair) for pair in geometry.padding)
    view = tuple(
        slice(lo - p, lo - p + o)
        for (lo, _), p, o in zip(geometry.padding, shared, geometry.output, strict=True)
    )
    whole = all(lo == hi for lo, hi in geometry.padding)
    options = geometry.stride, shared, geometry.output_padding, geometry.groups, geometry.dilation

    def tensor(array: Array) -> Any:
        if task.dtype == "bfloat16":
            array = array.astype(np.float32)
        result = torch.from_numpy(array).to(dtype)
        return result.contiguous(**last) if last and result.dim() > 2 else result

    weight, bias, upstream = (tensor(a) for a in (arrays.weight, arrays.bias, arrays.y))

    def forward(x: Any) -> Any:
        y = function(x, weight, bias, *options)
        return y if whole else y[(..., *view)]

    def infer(x: Any) -> Any:
        with torch.inference_mode():
            return activate(task.activation, forward(x), geometry.axes)

    def train(x: Any) -> Any:
        x.grad = weight.grad = None
        y = forward(x)
        y.backward(upstream)
        return y, x.grad, weight.grad

    def arrays_of(*tensors: Any) -> list[Array]:
        half = task.dtype in ("float16", "bfloat16")
        return [(t.detach().float() if half else t.detach()).numpy() for t in tensors]

    if task.grad:
        weight.requires_grad_()
        return Work(note, train, lambda x: tensor(x).requires_grad_(), lambda y: arrays_of(*y))
    return Work(note, infer, tensor, arrays_of)


def onnx_model(task: Task, weight: Array, bias: Array, *, bias_apart: bool = False) -> bytes:
    """The layer as an ONNX model: the weights are initializers, so that a runtime packs them itself.

    With `bias_apart`, an operator of its own adds the bias.
    """
    from onnx import TensorProto, helper, numpy_helper

    geometry = task.geometry
    types = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "float16": TensorProto.FLOAT16}
    number = types[task.dtype]
    nodes = [
        helper.make_node(
            "ConvTranspose",
            ["x", "weight"] if bias_apart else ["x", "weight", "bias"],
            ["sums" if bias_apart else "y"],
            kernel_shape=geometry.kernel,
            strides=geometry.stride,
            pads=[lo for lo, _ in geometry.padding] + [hi for _, hi in geometry.padding],
            output_padding=geometry.output_padding,
            dilations=geometry.dilation,
            group=geometry.groups,
        )
    ]
    if bias_apart:
        nodes.append(helper.make_node("Add", ["sums", "bias"], ["y"]))
        bias = bias.reshape(-1, *(1,) * geometry.axes)
    weights = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")]
    after, numbers, opset = onnx_nodes(task.activation, weight.dtype, geometry.axes)
    nodes += after
    weights += numbers
    last = nodes[-1].output[0]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("x", number, geometry.input_shape)],
        [helper.make_tensor_value_info(last, number, geometry.output_shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    serialized: bytes = model.SerializeToString()
    return serialized


def onnxruntime(task: Task, arrays: Arrays) -> Work:
    """ONNX Runtime's session, with input and output bound to memory that is reused."""
    import onnxruntime

    if task.dtype in ("bfloat16", "complex64"):
        raise TconvError(f"ONNX Runtime has no {task.dtype} ConvTranspose on a CPU")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = task.threads, 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        onnx_model(task, arrays.weight, arrays.bias), options, providers=["CPUExecutionProvider"]
    )
    target = np.empty(task.geometry.output_shape, task.dtype)
    y = onnxruntime.OrtValue.ortvalue_from_numpy(target)
    kept: list[Any] = []  # a binding does not keep its memory alive

    def bound(x: Array) -> Any:
        kept[:] = [onnxruntime.OrtValue.ortvalue_from_numpy(x)]
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", kept[0])
        binding.bind_ortvalue_output(session.get_outputs()[0].name, y)
        return binding

    return Work(
        f"onnxruntime {onnxruntime.__version__}",
        session.run_with_iobinding,
        bound,
        lambda _: [target],
    )


def openvino(task: Task, arrays: Arrays) -> Work:
    """OpenVINO's compiled model; its output stays in the request."""
    import openvino
    from openvino import properties

    precisions = {"float32": ("f32", "FP32"), "float16": ("f16", "FP16"), "bfloat16": ("bf16", "BF16")}
    if task.dtype not in precisions:
        raise TconvError(f"OpenVINO's CPU plugin does not compute in {task.dtype}")
    precision, capability = precisions[task.dtype]
    if capability not in core().get_property("CPU", properties.device.capabilities):
        raise TconvError(f"OpenVINO does not compute in {task.dtype} on this CPU")
    if task.dtype == "bfloat16":  # its tensors are float32 at the interface and bfloat16 inside
        task, arrays = replace(task, dtype="float32"), Arrays(*(a.astype(np.float32) for a in arrays))
    compiled = core().compile_model(
        core().read_model(onnx_model(task, arrays.weight, arrays.bias)),
        "CPU",
        {
            "INFERENCE_NUM_THREADS": task.threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
        },
    )
    request = compiled.create_infer_request()
    kept: list[Any] = []

    def bound(x: Array) -> Any:
        x = x.astype(task.dtype, copy=False)
        kept[:] = [openvino.Tensor(x, shared_memory=True)]
        request.set_input_tensor(kept[0])
        return None

    return Work(
        f"openvino {openvino.__version__}",
        lambda _: request.infer(share_outputs=True),
        bound,
        lambda _: [np.array(request.get_output_tensor().data)],
    )


def jax(task: Task, arrays: Arrays) -> Work:
    """XLA's convolution, compiled, with one thread per processor that the process may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: task.threads])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it reports slow constant folding
    import jax
    from jax import lax, numpy

    jax.config.update("jax_platforms", "cpu")  # type: ignore[no-untyped-call]
    jax.config.update("jax_enable_x64", task.dtype == "float64")  # type: ignore[no-untyped-call]
    geometry, recipe = task.geometry, task.geometry.zero_insertion()
    axes = tuple(range(2, 2 + geometry.axes))

    def forward(x: Any, weight: Any) -> Any:
        y = lax.conv_general_dilated(
            x,
            weight,
            (1,) * geometry.axes,
            recipe.around,
            lhs_dilation=geometry.stride,
            rhs_dilation=geometry.dilation,
            feature_group_count=geometry.groups,
        ) + bias.reshape(-1, *(1,) * geometry.axes)
        return in_jax(y, task.activation)

    def turned(weight: Any) -> Any:
        """(in, out/groups, *kernel) to (out, in/groups, *kernel), turned by 180 degrees."""
        groups = geometry.groups
        split = weight.reshape(groups, -1, *weight.shape[1:]).swapaxes(1, 2)
        return numpy.flip(split.reshape(-1, *split.shape[2:]), axes)

    bias, weight = numpy.asarray(arrays.bias), numpy.asarray(arrays.weight)
    ready = turned(weight)

    @jax.jit
    def infer(x: Any) -> Any:
        return forward(x, ready)

    @jax.jit
    def train(x: Any, weight: Any, upstream: Any) -> Any:
        y, back = jax.vjp(lambda x, w: forward(x, turned(w)), x, weight)
        return y, *back(upstream)

    upstream = numpy.asarray(arrays.y)

    def call(x: Any) -> Any:
        y = train(x, weight, upstream) if task.grad else infer(x)
        return jax.block_until_ready(y)  # type: ignore[no-untyped-call]

    return Work(
        f"jax {jax.__version__}",
        call,
        numpy.asarray,
        lambda y: [np.asarray(a) for a in (y if task.grad else (y,))],
    )
