"""How several workers run the suite (``pytest -n 2``): the threads of each, and the order of the files."""

from __future__ import annotations

import os
import sys

import pytest

#: Rooms and files whose tests take longest, from the longest on. They are begun first, or one worker would
#: be left with them when the others have nothing more to do.
LONGEST = (
    "tests/train/test_run.py",
    "tests/torch/test_pytorch_own.py",
    "tests/train/",
    "tests/page/test_address.py",
    "tests/torch/test_compile.py",
    "tests/torch/",
    "tests/page/",
    "tests/onnx/",
    "tests/jax/",
)


def _share_threads() -> None:
    """Workers divide the processors among them, before any library has counted them.

    Two teams of two threads on two processors wait for each other most of the time. What several threads do
    is shown by tests that set their number; no answer depends on it.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, processors // workers)))


_share_threads()

# OpenVINO would fork processes that report its use, of which JAX warns. Without the package it goes on.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

# What a developer's `tconv tune` keeps changes no test.
os.environ["TCONV_CACHE"] = "off"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(
            key=lambda item: next((i for i, at in enumerate(LONGEST) if item.nodeid.startswith(at)), 99)
        )
