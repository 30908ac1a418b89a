"""Freed memory is kept: a large block that is allocated again touches no fresh pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CODE = """
import ctypes, resource, sys
from tconv.runs.memory import keep_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def touched(size=64 << 20):
    before = faults()
    bytearray(size)
    return faults() - before

touched()
before = touched()
kept = keep_memory()
touched()
print(kept, before, touched())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_a_block_that_is_allocated_again_brings_no_page_faults() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    kept, before, after = done.stdout.split()
    assert kept == "True"
    assert int(after) < 20 <= int(before)
