"""TFLite's operators, each run by the interpreter on a model of that one operator."""

from __future__ import annotations

from collections.abc import Sequence

import flatbuffers
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

TYPES = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32}


def run(
    operator: int,
    options_type: int,
    options: object,
    inputs: Sequence[np.ndarray],
    shapes: Sequence[Sequence[int]],
    *,
    constant: Sequence[int] = (),
    delegates: bool = True,
) -> list[np.ndarray]:
    """Build a model of one operator, run it; `constant` inputs are in the file, the others are fed."""
    model, graph, op, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT()]
    code.builtinCode = code.deprecatedBuiltinCode = operator
    code.version = 1
    graph.operators, graph.tensors = [op], []
    op.builtinOptionsType, op.builtinOptions = options_type, options
    kinds = [str(array.dtype) for array in inputs] + ["float32"] * len(shapes)
    for number, kind in enumerate(kinds):
        tensor = schema.TensorT()
        array = inputs[number] if number < len(inputs) else None
        tensor.shape = list(array.shape if array is not None else shapes[number - len(inputs)])
        tensor.type, tensor.name, tensor.buffer = TYPES[kind], f"t{number}", 0
        if array is not None and number in constant:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
            tensor.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(tensor)
    op.inputs = list(range(len(inputs)))
    op.outputs = graph.outputs = list(range(len(inputs), len(kinds)))
    graph.inputs = [number for number in op.inputs if number not in constant]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    kind = tf.lite.experimental.OpResolverType
    interpreter = tf.lite.Interpreter(
        model_content=bytes(builder.Output()),
        num_threads=1,
        experimental_op_resolver_type=kind.AUTO if delegates else kind.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    for number in graph.inputs:
        interpreter.set_tensor(number, inputs[number])
    interpreter.invoke()
    return [interpreter.get_tensor(number).copy() for number in graph.outputs]


def numbers(values: object) -> np.ndarray:
    return np.asarray(values, np.int32)


def operators(delegates: bool = True) -> dict[str, object]:
    """The functions that written code calls, by TFLite's names."""

    def transpose_conv(
        output_shape: Sequence[int],
        weights: np.ndarray,
        x: np.ndarray,
        *,
        padding: str,
        stride_h: int,
        stride_w: int,
    ) -> np.ndarray:
        options = schema.TransposeConvOptionsT()
        options.padding = {"SAME": schema.Padding.SAME, "VALID": schema.Padding.VALID}[padding]
        options.strideH, options.strideW = stride_h, stride_w
        return run(
            schema.BuiltinOperator.TRANSPOSE_CONV,
            schema.BuiltinOptions.TransposeConvOptions,
            options,
            [numbers(output_shape), np.ascontiguousarray(weights), np.ascontiguousarray(x)],
            [output_shape],
            constant=(0, 1),
            delegates=delegates,
        )[0]

    def pad(x: np.ndarray, paddings: Sequence[Sequence[int]]) -> np.ndarray:
        shape = [size + sum(pair) for size, pair in zip(x.shape, paddings, strict=True)]
        return run(
            schema.BuiltinOperator.PAD,
            schema.BuiltinOptions.PadOptions,
            schema.PadOptionsT(),
            [x, numbers(paddings)],
            [shape],
            constant=(1,),
        )[0]

    def cut(x: np.ndarray, begin: Sequence[int], size: Sequence[int]) -> np.ndarray:
        return run(
            schema.BuiltinOperator.SLICE,
            schema.BuiltinOptions.SliceOptions,
            schema.SliceOptionsT(),
            [x, numbers(begin), numbers(size)],
            [size],
            constant=(1, 2),
        )[0]

    def split(axis: int, x: np.ndarray, *, num_splits: int) -> list[np.ndarray]:
        options = schema.SplitOptionsT()
        options.numSplits = num_splits
        shape = [size // num_splits if a == axis else size for a, size in enumerate(x.shape)]
        return run(
            schema.BuiltinOperator.SPLIT,
            schema.BuiltinOptions.SplitOptions,
            options,
            [numbers(axis), x],
            [shape] * num_splits,
            constant=(0,),
        )

    def concatenation(parts: Sequence[np.ndarray], *, axis: int) -> np.ndarray:
        options = schema.ConcatenationOptionsT()
        options.axis = axis
        shape = list(parts[0].shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        return run(
            schema.BuiltinOperator.CONCATENATION,
            schema.BuiltinOptions.ConcatenationOptions,
            options,
            list(parts),
            [shape],
        )[0]

    return {
        "TRANSPOSE_CONV": transpose_conv,
        "PAD": pad,
        "SLICE": cut,
        "SPLIT": split,
        "CONCATENATION": concatenation,
    }
