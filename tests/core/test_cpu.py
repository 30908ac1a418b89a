"""The instruction sets that the module offers are those that Linux says the CPU has."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tconv import _core

CPUINFO = Path("/proc/cpuinfo")

#: Flags of /proc/cpuinfo, which lists only what the system lets processes use.
FLAGS = {
    "avx2": {"avx2", "fma", "f16c"},
    "avx512": {"avx512f", "avx512vl", "avx512bw", "avx512dq", "avx2", "fma", "f16c"},
    "amx": {"amx_tile", "amx_bf16", "avx512_bf16", "avx512f"},
}


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not CPUINFO.exists(), reason="no /proc/cpuinfo of an x86 CPU"
)
def test_instruction_sets_are_those_of_the_cpu() -> None:
    lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    flags = set(next(line for line in lines if line.startswith("flags")).partition(":")[2].split())
    found = set(_core.instruction_sets())
    assert "baseline" in found
    for isa in ("avx2", "avx512"):
        assert (isa in found) == (FLAGS[isa] <= flags), isa
    assert "amx" not in found or FLAGS["amx"] <= flags  # the system may refuse a process the tiles


@pytest.mark.skipif(platform.machine() not in ("aarch64", "arm64"), reason="not an ARM CPU")
def test_arm_has_neon_which_is_its_baseline() -> None:
    assert list(_core.instruction_sets()) == ["neon", "baseline"]
