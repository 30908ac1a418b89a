"""How XLA calls the engine: its structures, its threads, failures, other processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")
import jax.numpy as jnp  # noqa: E402

import tconv  # noqa: E402
import tconv.jax as ours  # noqa: E402
from tconv.errors import TconvError  # noqa: E402
from tconv.geometry import Geometry  # noqa: E402
from tconv.jax import call_cache, ffi  # noqa: E402
from tconv.testing import assert_same, integer_arrays  # noqa: E402
from tests.helpers import PATIENCE  # noqa: E402

#: Ours -> XLA's structure, and its names of our fields where they are others.
STRUCTURES: dict[Any, tuple[str, dict[str, str]]] = {
    ffi._Version: ("XLA_FFI_Api_Version", {"major": "major_version", "minor": "minor_version"}),
    ffi._Metadata: ("XLA_FFI_Metadata", {"version": "api_version"}),
    ffi._Extension: (
        "XLA_FFI_Metadata_Extension",
        {"size": "extension_base.struct_size", "type": "extension_base.type", "next": "extension_base.next"},
    ),
    ffi._Buffer: ("XLA_FFI_Buffer", {"address": "data"}),
    ffi._Buffers: ("XLA_FFI_Args", {"count": "size", "each": "args"}),
    ffi._Text: ("XLA_FFI_ByteSpan", {"start": "ptr", "length": "len"}),
    ffi._Attributes: ("XLA_FFI_Attrs", {"count": "size", "each": "attrs"}),
    ffi._ErrorArguments: ("XLA_FFI_Error_Create_Args", {"code": "errc"}),
    ffi._Api: (
        "XLA_FFI_Api",
        {"version": "api_version", "internal": "internal_api", "make_error": "XLA_FFI_Error_Create"},
    ),
    ffi._Call: (
        "XLA_FFI_CallFrame",
        {"context": "ctx", "arguments": "args", "results": "rets", "attributes": "attrs"},
    ),
}


@pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler reads XLA's header")
def test_structures_are_those_of_xla_s_header(tmp_path: Path) -> None:
    """Every offset, and the constants, as a C compiler has them from the header that jaxlib ships."""
    wanted = {}
    for mine, (theirs, renamed) in STRUCTURES.items():
        names = {"size": "struct_size", "extensions": "extension_start", **renamed}
        for name, *_ in mine._fields_:
            wanted[f"offsetof({theirs}, {names.get(name, name)})"] = getattr(mine, name).offset
    wanted["(size_t)XLA_FFI_Extension_Metadata"] = ffi._METADATA
    wanted["(size_t)XLA_FFI_Error_Code_INVALID_ARGUMENT"] = ffi._INVALID_ARGUMENT
    lines = [f'  printf("%zu\\n", {expression});' for expression in wanted]
    source = tmp_path / "offsets.c"
    head = "#include <stddef.h>\n#include <stdio.h>\n#include <stdbool.h>\n#include <xla/ffi/api/c_api.h>\n"
    source.write_text(head + "int main(void) {\n" + "\n".join(lines) + "\n}\n")
    program = tmp_path / "offsets"
    subprocess.run(["cc", f"-I{jax.ffi.include_dir()}", str(source), "-o", str(program)], check=True)
    told = subprocess.run([str(program)], capture_output=True, text=True, check=True)
    assert dict(zip(wanted, map(int, told.stdout.split()), strict=True)) == wanted


def test_nothing_is_copied() -> None:
    """The engine is given XLA's own memory: that of the input, and that of the answer."""
    x, weight = jnp.ones((1, 2, 64, 64)), jnp.ones((2, 2, 2, 2))
    call = jax.jit(lambda x, w: ours.conv_transpose(x, w, stride=2))
    jax.block_until_ready(call(x, weight))
    with mock.patch.object(ffi, "execute", side_effect=ffi.execute) as run:
        made = jax.block_until_ready(call(x, weight))
    (_, *addresses), _ = run.call_args
    x_at, weight_at, made_at = (array.unsafe_buffer_pointer() for array in (x, weight, made))
    assert addresses == [x_at, weight_at, None, made_at]


def test_a_failure_is_an_error_and_no_answer() -> None:
    call = jax.jit(lambda x: ours.conv_transpose(x, x, stride=2))
    x = jnp.ones((1, 1, 3))
    good = call(x)
    fault = TconvError("n1: not enough memory")
    with (
        mock.patch.object(ffi, "execute", side_effect=fault),
        pytest.raises(Exception, match="TconvError: n1: not enough memory"),
    ):
        jax.block_until_ready(call(x))
    assert_same(call(x), good)


def test_another_device_is_refused() -> None:
    call = jax.jit(lambda x: ours.conv(x, x))
    with pytest.raises(TconvError, match=r"conv on cuda; tconv.jax runs on the CPU: .*device_put"):
        call.trace(jnp.ones((1, 1, 3))).lower(lowering_platforms=("cuda",))


def test_a_measured_plan_is_used() -> None:
    """By programs that were compiled before it was measured."""
    geometry = Geometry.parse("n1 c3>3 i7x5 k3 s2 p1")
    x, weight, _, _ = integer_arrays(geometry)
    call = jax.jit(lambda x: ours.conv_transpose(x, weight, stride=2, padding=1))
    before = call(x)
    chosen = tconv.plan(geometry, algorithm="reference")
    with (
        mock.patch.object(call_cache, "plan", return_value=chosen),
        mock.patch.object(ffi, "execute", side_effect=ffi.execute) as run,
    ):
        assert_same(jax.block_until_ready(call(x)), before)
    assert run.call_args[0][0] is chosen


def child(code: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**environment, "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("processors", [1, 2])
def test_no_deadlock_on_few_threads(processors: int) -> None:
    """Many large calls under way at once, from two threads, between XLA's own operators."""
    code = f"""
import os, threading
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{processors}])
import jax, jax.numpy as jnp
import tconv.jax as tj

@jax.jit
def net(x, w):
    for _ in range(3):
        y = tj.conv_transpose(x, w, stride=2, padding=1)
        x = jnp.tanh(tj.conv(y, w, stride=2, padding=1)) @ jnp.eye(96)
    return x

def work(out):
    w = jnp.full((8, 8, 4, 4), 0.01)
    x = jnp.ones((1, 8, 96, 96))
    under_way = [net(x + i, w) for i in range(12)]
    grads = jax.vmap(jax.grad(lambda w: net(x, w).sum()))(jnp.stack([w, w]))
    out.append(float(sum(y.sum() for y in under_way) + grads.sum()))

sums = []
threads = [threading.Thread(target=work, args=(sums,)) for _ in range(2)]
for t in threads: t.start()
for t in threads: t.join()
assert sums[0] == sums[1]
print("done")
"""
    assert child(code) == "done\n"


def test_an_exported_program_runs_in_another_process(tmp_path: Path) -> None:
    """What a program holds is text, no address: XLA's caches and files of jax.export keep it."""
    pytest.importorskip("flatbuffers", reason="jax.export writes with flatbuffers, which is not installed")
    from jax import export

    geometry = Geometry.parse("n2 c4>6 i5x4 k3x2 s2x3 p1:0x-1:2 o1x0 g2")
    x, weight, bias, _ = integer_arrays(geometry)
    options = {"stride": (2, 3), "padding": ((1, 0), (-1, 2)), "output_padding": (1, 0), "groups": 2}

    def layer(x: Any) -> Any:
        return ours.conv_transpose(x, weight, bias, activation=("leaky_relu", 0.5), **options)

    allowed = [export.DisabledSafetyCheck.custom_call(ffi.TARGET)]
    written = export.export(jax.jit(layer), disabled_checks=allowed)(jnp.asarray(x)).serialize()
    assert re.search(rb"n2 c4>6 i5x4 k3x2 s2x3 p1:0x-1:2 o1x0 g2", bytes(written))
    (tmp_path / "layer").write_bytes(written)
    np.save(tmp_path / "x.npy", x)
    code = f"""
import numpy as np, tconv.jax
from jax import export
layer = export.deserialize(bytearray(open({str(tmp_path / "layer")!r}, "rb").read()))
np.save({str(tmp_path / "y.npy")!r}, layer.call(np.load({str(tmp_path / "x.npy")!r})))
"""
    child(code)
    assert_same(np.load(tmp_path / "y.npy"), np.asarray(layer(x)))


def test_without_jax_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["jax"] = None
try:
    import tconv.jax
except ImportError as error:
    print(error)
"""
    assert child(code) == "tconv.jax needs JAX 0.5 or newer: pip install 'tconv[jax]'\n"
