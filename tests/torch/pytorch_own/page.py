"""Which of PyTorch's tests are run, as a page of the documentation."""

from __future__ import annotations

import torch

from tests import ROOT
from tests.torch.pytorch_own import Check, modules, older, ops
from tests.torch.pytorch_own.transforms import CHECKS

__all__ = ["PAGE", "UNUSABLE", "autocast_runs", "layer_runs", "operator_runs", "page"]

PAGE = ROOT / "docs" / "reference" / "pytorch_own_tests.md"

#: How many of its samples PyTorch's own reference refuses.
UNUSABLE = {
    ("TestCommon.test_numpy_ref", "conv_transpose2d"): 2,
    ("TestCommon.test_numpy_ref", "conv_transpose3d"): 2,
}

DIFFERENCES = (
    (
        "TestCommon.test_numpy_ref",
        "2 samples each of conv_transpose2d and 3d are left out",
        "PyTorch's reference refuses them; its OpInfo expects this failure of PyTorch's function too",
    ),
    (
        "TestCommon.test_dtypes",
        "more dtypes are taken than PyTorch lists: int8 to int32 and uint8 to uint64",
        "the engine has them",
    ),
    (
        "TestModule.test_memory_format",
        "ConvTranspose3d answers in channels_last_3d for every dtype",
        "PyTorch's layer does for some alone; its ModuleInfo expects that failure",
    ),
)

NOT_RUN = (
    ("TestCommon.test_errors", "PyTorch lists no error inputs for these operators"),
    ("TestCommon.test_out", "neither function has `out=`"),
    ("TestJit, TestNNCOpInfo", "PyTorch skips its own operators there, or expects failures"),
    (
        "TestInductorOpInfo.test_comprehensive",
        "compiles C++ for each sample; `tests/torch/test_compile.py` compiles a net",
    ),
    ("what needs CUDA, MPS or XPU", "the engine is for CPUs; other devices get PyTorch's operator"),
)


def _names(dtypes: object) -> set[str]:
    return {str(dtype).removeprefix("torch.") for dtype in dtypes}  # type: ignore[attr-defined]


def _dtypes(check: Check, listed: set[str]) -> list[str]:
    return sorted(listed & set(check.dtypes) if check.dtypes else listed)


def operator_runs() -> list[tuple[str, str, str]]:
    """(test, operator, dtype) of all that is run on OpInfo's samples."""
    return [
        (name, op, dtype)
        for name, check in CHECKS.items()
        for op, info in ops.OPS.items()
        for dtype in _dtypes(check, _names(info.supported_dtypes("cpu")))
    ]


def layer_runs() -> list[tuple[str, str, str]]:
    """(test, layer, dtype) of all that is run on ModuleInfo's inputs."""
    return [
        (name, module, dtype)
        for name, check in modules.CHECKS.items()
        for module, info in modules.MODULES.items()
        for dtype in _dtypes(check, _names(info.supported_dtypes("cpu")))
    ]


def autocast_runs() -> list[tuple[str, str]]:
    """(operator, dtype) of all that is run under autocast."""
    return [(name, dtype) for name in older.AUTOCAST for dtype in ("bfloat16", "float16")]


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, ("---",) * len(head), *rows))


def _breakable(name: str) -> str:
    """Class and method in pieces, so that a table's column can be narrow."""
    return " ".join(f"`{part}`" for part in name.removeprefix("torch.library.").split("."))


def _counted(checks: dict[str, Check], runs: list[tuple[str, str, str]], size: dict[str, int]) -> str:
    rows = []
    for name, check in checks.items():
        mine = [(each, dtype) for test, each, dtype in runs if test == name]
        samples = sum(size[each] - UNUSABLE.get((name, each), 0) for each, _ in mine)
        dtypes = ", ".join(sorted({dtype for _, dtype in mine})) if check.dtypes else "all"
        rows.append((_breakable(name), check.told, dtypes, samples))
    return _table(("PyTorch's test", "what is compared", "dtypes", "samples"), rows)


def page() -> str:
    """The page, from what the tests run."""
    samples = {name: len(ops.samples(op, torch.float32)) for name, op in ops.OPS.items()}
    inputs = {
        name: sum(len(modules.inputs(info, torch.float32, training)) for training in (True, False))
        for name, info in modules.MODULES.items()
    }
    operators, layers = operator_runs(), layer_runs()
    differences: list[tuple[object, ...]] = [(_breakable(name), *told) for name, *told in DIFFERENCES]
    listed = ", ".join(sorted(_names(ops.OPS["conv_transpose2d"].supported_dtypes("cpu"))))
    count = sum(samples[op] - UNUSABLE.get((name, op), 0) for name, op, _ in operators)
    count += sum(inputs[module] for _, module, _ in layers) + len(autocast_runs()) + len(older.TESTS)
    return f"""# PyTorch's own tests

PyTorch describes its operators and layers for its own tests: which dtypes they take, with which inputs they
are tried, which modes of differentiation they support. The installed package carries these descriptions
(`torch.testing._internal`), but not the tests that use them. `tests/torch/pytorch_own/` holds checks in the
manner of those tests, named after them. `make test` runs them with the functions and layers of `tconv.torch`
in the place of PyTorch's: {count:,} samples, of which all pass.

A sample is one set of arguments with one dtype. The counts are for PyTorch {torch.__version__.split("+")[0]};
`python -m tests.torch.test_pytorch_own` makes this page from the tables that the tests run by.

## Operators

`torch.nn.functional.conv_transpose1d`, `conv_transpose2d` and `conv_transpose3d`, on the samples of OpInfo:
{", ".join(map(str, samples.values()))} for each dtype. All dtypes are {listed}.

{_counted(CHECKS, operators, samples)}

Autocast, with the arguments of `AutocastCPUTestLists`: {len(autocast_runs())} runs, in bfloat16 and float16.
The dtype is PyTorch's, and the values are those of arguments cast before.

## Layers

`torch.nn.ConvTranspose1d` to `3d` and their lazy forms, on the inputs of ModuleInfo, for training and for
evaluation.

{_counted(modules.CHECKS, layers, inputs)}

The older tests of layers (`common_nn`), by PyTorch's own `NewModuleTest`, which checks gradients and second
gradients, inputs and gradients with gaps, saving and loading, and other dtypes:
{", ".join(f"`{name}`" for name in older.TESTS)}.

## What differs

{_table(("PyTorch's test", "difference", "reason"), differences)}

## Not run

{_table(("PyTorch's test", "reason"), [*NOT_RUN])}
"""
