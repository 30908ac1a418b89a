"""Thousands of broken ONNX models: small valid ones, changed at random, read in one process.

Run as a script, it is that process: it prints the current case and how each one ended, so that a crash of the
interpreter can be distinguished from an error. `tests/onnx/test_fuzz.py` reads its output.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tconv import TconvError
from tests.onnx.helpers import info, layer, model_proto

MEMORY = 6 << 30  # address space: libraries take a good part of it before anything is read
SLOW = 20.0  # seconds of processor time

Random = np.random.Generator


def seeds() -> dict[str, onnx.ModelProto]:
    """Valid models that together contain everything that is examined."""
    random = np.random.default_rng(5)

    def array(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    up = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    node = helper.make_node
    made = {
        "plain": layer(bias=True, **up, output_padding=[1, 0]),
        "open": layer(("n", 4, "h", "w"), (4, 2, 3, 3), group=2, auto_pad="SAME_UPPER", strides=[2, 2]),
        "wanted": layer((1, 4, 4, 4), output_shape=[8, 9], strides=[2, 2]),
        "long": layer((2, 4, 9), (4, 1, 4), strides=[2], group=4, dilations=[2]),
        "deep": layer((1, 2, 3, 3, 3), (2, 2, 2, 2, 2), strides=[2, 2, 2]),
    }
    norm = {"s": array(6), "b": array(6), "m": array(6), "v": np.abs(array(6)) + 1}
    made["norm"] = model_proto(
        [
            node("Constant", [], ["w"], value=numpy_helper.from_array(array(4, 3, 4, 4))),
            node("ConvTranspose", ["x", "w"], ["a"], name="up", group=2, **up),
            node("BatchNormalization", ["a", "s", "b", "m", "v"], ["n"], name="norm"),
            node("Relu", ["n"], ["y"]),
        ],
        inputs={"x": (1, 4, 5, 5)},
        weights=norm,
    )
    made["resize"] = model_proto(
        [
            node("Resize", ["x", "", "scales"], ["a"], mode="nearest", nearest_mode="floor",
                 coordinate_transformation_mode="asymmetric"),
            node("Conv", ["a", "w"], ["b"], pads=[1, 1, 1, 1]),
            node("Resize", ["b", "", "scales"], ["c"], mode="linear"),
            node("DepthToSpace", ["c"], ["d"], blocksize=2, mode="CRD"),
            node("Shape", ["d"], ["shape"]),
            node("Gather", ["shape", "zero"], ["first"]),
            node("Unsqueeze", ["first", "axis"], ["one"]),
            node("Concat", ["one", "rest"], ["new"], axis=0),
            node("Reshape", ["d", "new"], ["e"]),
            node("MatMul", ["e", "f"], ["g"]),
            node("Gemm", ["g", "g"], ["y"], transB=1),
        ],
        inputs={"x": (1, 4, 4, 4)},
        weights={
            "scales": np.float32([1, 1, 2, 2]), "w": array(4, 4, 3, 3), "zero": np.int64(0),
            "axis": np.int64([0]), "rest": np.int64([-1]), "f": array(256, 3),
        },
    )  # fmt: skip
    function = helper.make_function(
        "house", "Up", ["a", "b"], ["c"],
        [node("ConvTranspose", ["a", "b"], ["c"], name="inner", **up)],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    branches = {
        name: helper.make_graph(
            [node("ConvTranspose", ["x", "w"], [out], name=out, **up)], out, [], [info(out, None)]
        )
        for name, out in (("then_branch", "p"), ("else_branch", "q"))
    }
    body = helper.make_graph(
        [
            node("Identity", ["go"], ["goes"]),
            node("ConvTranspose", ["held", "w"], ["next"], pads=[1, 1, 1, 1]),
        ],
        "body",
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("held", [1, 4, 5, 5])],
        [info("goes", [], TensorProto.BOOL), info("next", None)],
    )
    made["nested"] = model_proto(
        [
            node("If", ["c"], ["y"], name="if", **branches),
            node("Loop", ["", "c", "x"], ["l"], name="loop", body=body),
            node("Up", ["x", "w"], ["z"], domain="house"),
            node("Thing", ["z"], ["t"], domain="elsewhere"),
        ],
        inputs={"x": (1, 4, 5, 5)},
        outputs=["y", "l", "z", "t"],
        weights={"w": array(4, 4, 3, 3)},
        functions=[function],
        domains=["house", "elsewhere"],
    )
    made["nested"].graph.input.append(info("c", [], TensorProto.BOOL))
    return made


NUMBERS = (0, 1, -1, 2, 3, 7, 255, 2**31 - 1, 2**31, -(2**31), 2**40, 2**63 - 1, -(2**63))
WORDS = (
    "",
    "x",
    "w",
    "y",
    "a",
    "../x",
    "/etc/passwd",
    "\x1b[2J",
    "\n",
    "\u202e",
    "\0",
    "If",
    "Conv",
    "auto_pad",
    "9" * 400,
)


def _messages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                yield from _messages(inner)


def _change(proto: Any, random: Random) -> None:
    """One field of one message, replaced."""
    everything = list(_messages(proto))
    message = everything[random.integers(len(everything))]
    fields = list(message.DESCRIPTOR.fields)
    present = [field for field, _ in message.ListFields()]
    field = (present if present and random.random() < 0.8 else fields)[
        random.integers(1 << 30) % len(present or fields)
    ]
    how = random.integers(6)
    if how == 0:
        message.ClearField(field.name)
    elif field.message_type is not None:
        alike = [other for other in everything if other.DESCRIPTOR is field.message_type]
        source = alike[random.integers(len(alike))] if alike else None
        copy = type(source)() if source is not None else None
        if copy is None:
            return
        copy.CopyFrom(source)
        held = getattr(message, field.name)
        if not field.is_repeated:
            held.CopyFrom(copy)
        elif how < 3 and len(held):
            del held[random.integers(len(held))]
        elif how == 3 and len(held) > 1:
            i, j = random.integers(len(held), size=2)
            one, two = type(copy)(), type(copy)()
            one.CopyFrom(held[i]), two.CopyFrom(held[j])
            held[i].CopyFrom(two), held[j].CopyFrom(one)
        else:
            held.append(copy)
    else:
        value = _value(field, random)
        if not field.is_repeated:
            setattr(message, field.name, value)
        else:
            held = getattr(message, field.name)
            if how < 3 and len(held):
                held[random.integers(len(held))] = value
            elif how == 3 and len(held):
                del held[random.integers(len(held))]
            else:
                held.append(value)


def _value(field: Any, random: Random) -> Any:
    if field.type == field.TYPE_STRING:
        return WORDS[random.integers(len(WORDS))]
    if field.type == field.TYPE_BYTES:
        return [b"", b"SAME_LOWER", b"\xff\xfe", bytes(random.integers(0, 256, 24, dtype=np.uint8))][
            random.integers(4)
        ]
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return [0.0, -1.0, float("nan"), float("inf"), 1e38, 0.5][random.integers(6)]
    if field.enum_type is not None:
        return field.enum_type.values[random.integers(len(field.enum_type.values))].number
    number = NUMBERS[random.integers(len(NUMBERS))]
    return number if field.type == field.TYPE_INT64 else int(np.clip(number, -(2**31), 2**31 - 1)) % 2**31


def broken(proto: onnx.ModelProto, random: Random) -> bytes:
    """A model with one to four faults: fields, or bytes."""
    if random.random() < 0.7:
        copy = onnx.ModelProto()
        copy.CopyFrom(proto)
        for _ in range(random.integers(1, 5)):
            try:
                _change(copy, random)
            except (ValueError, TypeError):  # protobuf itself refuses this value for this field
                continue
        return copy.SerializeToString()
    data = bytearray(proto.SerializeToString())
    for _ in range(random.integers(1, 5)):
        at = int(random.integers(len(data) + 1))
        how = random.integers(4)
        if how == 0:
            del data[at:]
        elif how == 1:
            del data[at : at + int(random.integers(1, 40))]
        elif how == 2:
            data[at:at] = data[: int(random.integers(1, 40))]
        elif at < len(data):
            data[at] = int(random.integers(256))
    return bytes(data)


def inspect(path: Path) -> None:
    from tconv.onnx.inspection import inspect

    found = inspect(path)
    found.as_dict()
    check_line = [line for line in str(found).splitlines() if not line.isprintable()]
    assert not check_line, f"control characters are printed: {check_line[0]!r}"


def diagnose(path: Path) -> None:
    """Then every layer gets other weights, and the written file must be readable."""
    from tconv.diagnosis import diagnose
    from tconv.models.onnx.reader import read

    found = diagnose(path)
    json.dumps(found.as_dict())
    check_line = [line for line in str(found).splitlines() if not line.isprintable()]
    assert not check_line, f"control characters are printed: {check_line[0]!r}"
    out = path.with_name("out.onnx")
    made = found.fix("bilinear")
    try:
        found.write(out, made)
        try:
            held = {layer.name: layer.weight for layer in read(out).layers}
        except TconvError as fault:
            raise AssertionError(f"what was written cannot be read: {fault}") from fault
        for name, weight in made.items():
            assert np.array_equal(held[name].astype(weight.dtype), weight), name
    finally:
        out.unlink(missing_ok=True)


def rewrite(path: Path) -> None:
    """For each kind of target in turn; the written file must be readable."""
    from tconv.models.onnx.reader import read
    from tconv.onnx.rewriting import rewrite
    from tconv.onnx.rewriting.goals import TARGETS

    goals = list(TARGETS)
    out = path.with_name("out.onnx")
    try:
        rewrite(path, out, goal=goals[path.stat().st_size % len(goals)], check=False)
    except TconvError:
        assert not out.exists(), "something was written"
        raise
    else:
        try:
            read(out)
        except TconvError as fault:
            raise AssertionError(f"what was written cannot be read: {fault}") from fault
    finally:
        out.unlink(missing_ok=True)


WAYS: dict[str, Callable[[Path], None]] = {"diagnose": diagnose, "inspect": inspect, "rewrite": rewrite}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("first", type=int)
    parser.add_argument("many", type=int)
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    models = seeds()
    names = list(models)
    folder = Path(tempfile.mkdtemp())
    bad = refused = 0
    for case in range(args.first, args.first + args.many):
        random = np.random.default_rng(case)
        path = folder / "model.onnx"
        path.write_bytes(broken(models[names[case % len(names)]], random))
        print(f"case {case}", flush=True)
        start = time.process_time()
        try:
            WAYS[args.way](path)
        except TconvError as fault:
            refused += 1
            text = str(fault)
            if not text.isprintable() or len(text) > 1200:
                bad += 1
                print(f"BAD {case} {names[case % len(names)]}: {text!r}")
        except BaseException:
            bad += 1
            print(f"BAD {case} {names[case % len(names)]}: {traceback.format_exc()}")
        if time.process_time() - start > SLOW:
            bad += 1
            print(f"BAD {case} {names[case % len(names)]}: took {time.process_time() - start:.0f} s")
        left = sorted(entry.name for entry in folder.iterdir())
        if left != ["model.onnx"]:
            bad += 1
            print(f"BAD {case}: left behind {left}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"done: {args.many} models, {refused} refused, {bad} bad, {peak} MB at most")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
