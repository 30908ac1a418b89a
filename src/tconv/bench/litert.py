"""LiteRT (formerly TensorFlow Lite) with XNNPACK: a flatbuffer of one layer; float32, channels last."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from tconv.bench.activations import name_and_numbers
from tconv.bench.quiet import quiet
from tconv.bench.task import Task, Work
from tconv.conventions.tensorflow import closest, window
from tconv.conventions.windows import bridge, crops, pads, wanted
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.testing import Array, Arrays

__all__ = ["litert"]

#: Operators of an activation, with what stands beside their input: nothing, or a limit.
_OPERATORS = {
    "relu": ("RELU",),
    "tanh": ("TANH",),
    "sigmoid": ("LOGISTIC",),
    "leaky_relu": ("LEAKY_RELU",),
    "clamp": ("MAXIMUM", "MINIMUM"),
    "hardswish": ("HARD_SWISH",),
    "prelu": ("PRELU",),
}


def litert(task: Task, arrays: Arrays) -> Work:
    """An interpreter of one layer; input and output stay in its tensors.

    One axis is the second of two, the first having length 1, as its converters write it.
    """
    if task.dtype != "float32":
        raise TconvError(f"LiteRT is compared in float32, not {task.dtype}")
    _check(task.geometry)
    if task.activation is not None and name_and_numbers(task.activation)[0] not in _OPERATORS:
        raise TconvError(f"--activation {task.activation} is not compared in LiteRT")
    with quiet():  # it reports its delegate
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=_model(task, arrays), num_threads=task.threads)
        interpreter.allocate_tensors()
    ((source,), (target,)) = interpreter.get_input_details(), interpreter.get_output_details()

    def fill(x: Array) -> None:
        interpreter.set_tensor(source["index"], np.moveaxis(x, 1, -1).reshape(source["shape"]))

    def answers(_: Any) -> list[Array]:
        g = task.geometry
        y = interpreter.get_tensor(target["index"]).reshape(g.batch, *g.output, g.out_channels)
        return [np.moveaxis(y, -1, 1)]

    return Work(f"litert {version('ai-edge-litert')}", lambda _: interpreter.invoke(), fill, answers)


def _check(geometry: Geometry) -> None:
    """Refuse what its operator lacks, or what ends the process."""
    g = geometry
    lacks = {"three axes": g.axes == 3, "groups": g.groups > 1, "dilation": max(g.dilation) > 1}
    for what, asked in lacks.items():
        if asked:
            raise TconvError(f"{geometry}: LiteRT's TRANSPOSE_CONV has no {what}")
    if any(map(any, pads(_after(g)))):
        raise TconvError(f"{geometry}: LiteRT's TRANSPOSE_CONV has no negative padding")
    _, sizes = closest(g, by_numbers=False)
    if any(size < s for size, s in zip(sizes, g.stride, strict=True)):
        raise TconvError(f"{geometry}: XNNPACK crashes where an output is smaller than the stride")


def _after(geometry: Geometry) -> Any:
    """The cells that are added or cropped after TRANSPOSE_CONV, which pads as "SAME" or "VALID" only."""
    g = geometry
    padding, sizes = closest(g, by_numbers=False)
    given = [window(*of) for of in zip(g.input, g.kernel, g.stride, padding, sizes, strict=True)]
    return bridge(given, wanted(g))


class _Graph:
    """A flatbuffer under construction: tensors, with their numbers where they are constant, and operators."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema, self.model, self.graph = schema, schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs, self.model.operatorCodes = 3, [self.graph], []
        self.model.buffers, self.graph.tensors, self.graph.operators = [schema.BufferT()], [], []

    def tensor(self, shape: Sequence[int]) -> int:
        """A new tensor of float32, computed or given."""
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), self.schema.TensorType.FLOAT32, 0
        tensor.name = f"t{len(self.graph.tensors)}"
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, values: Any, kind: Any = np.float32) -> int:
        """A new tensor that holds numbers, float32 or int32."""
        array = np.ascontiguousarray(values, kind)
        number = self.tensor(np.shape(values))
        if array.dtype == np.int32:
            self.graph.tensors[number].type = self.schema.TensorType.INT32
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.graph.tensors[number].buffer = len(self.model.buffers)
        self.model.buffers.append(buffer)
        return number

    def add(
        self, name: str, inputs: list[int], shape: Sequence[int], *, since: int = 1, **options: Any
    ) -> int:
        """An operator, in its version `since`; its output of this shape is a new tensor."""
        code, operator = self.schema.OperatorCodeT(), self.schema.OperatorT()
        code.builtinCode = getattr(self.schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), since
        operator.opcodeIndex, operator.inputs = len(self.model.operatorCodes), inputs
        operator.outputs = [self.tensor(shape)]
        if options:
            kind = f"{''.join(word.title() for word in name.split('_'))}Options"
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(self.schema, f"{kind}T")()
            for option, value in options.items():
                setattr(operator.builtinOptions, option, value)
        self.model.operatorCodes.append(code)
        self.graph.operators.append(operator)
        output: int = operator.outputs[0]
        return output

    def packed(self, source: int, target: int) -> bytes:
        """The model from one tensor to another."""
        import flatbuffers

        self.graph.inputs, self.graph.outputs = [source], [target]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _model(task: Task, arrays: Arrays) -> bytes:
    """TRANSPOSE_CONV, then a SLICE where its padding is another, then the activation."""
    g, graph = task.geometry, _Graph()
    one = (1,) * (2 - g.axes)  # the axis that one axis lacks
    padding, sizes = closest(g, by_numbers=False)
    shape = (g.batch, *one, *sizes, g.out_channels)
    stride = (*one, *g.stride)
    weight = np.moveaxis(arrays.weight, 0, -1).reshape(g.out_channels, *one, *g.kernel, g.in_channels)
    source = graph.tensor((g.batch, *one, *g.input, g.in_channels))
    y = graph.add(
        "TRANSPOSE_CONV",
        [graph.constant(shape, np.int32), graph.constant(weight), source, graph.constant(arrays.bias)],
        shape,
        since=3,  # with a bias
        padding=getattr(graph.schema.Padding, padding[0]),
        strideH=stride[0],
        strideW=stride[1],
    )
    cropped = crops(_after(g))
    if any(map(any, cropped)):
        begin = (0, *(0 for _ in one), *(lo for lo, _ in cropped), 0)
        shape = (g.batch, *one, *g.output, g.out_channels)
        y = graph.add("SLICE", [y, *(graph.constant(each, np.int32) for each in (begin, shape))], shape)
    name, numbers = name_and_numbers(task.activation)
    for place, operator in enumerate(_OPERATORS.get(name, ())):
        if name == "leaky_relu":
            y = graph.add(operator, [y], shape, alpha=numbers[0])
        elif name == "prelu":
            slopes = np.broadcast_to(np.asarray(numbers, np.float32), g.out_channels)
            y = graph.add(operator, [y, graph.constant(slopes.reshape(1, 1, -1))], shape)
        else:
            y = graph.add(operator, [y, *map(graph.constant, numbers[place : place + 1])], shape)
    return graph.packed(source, y)
