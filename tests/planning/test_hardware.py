"""What is known of the CPU, here and on systems that are made up."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tconv import _core
from tconv.planning import hardware
from tconv.planning.hardware import Cpu, cpu, kind_of


@pytest.fixture
def unread() -> Iterator[None]:
    """Nothing is known yet, nor afterwards."""
    cpu.cache_clear()
    yield
    cpu.cache_clear()


def test_this_cpu_is_known() -> None:
    if not Path("/proc/cpuinfo").exists():
        pytest.skip("no /proc/cpuinfo")
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    fields = dict(
        (part.strip() for part in line.partition(":")[::2]) for line in text.split("\n\n")[0].splitlines()
    )
    if "vendor_id" not in fields:
        pytest.skip("not an x86 CPU")
    known = hardware.cpu()
    found = (fields["vendor_id"], int(fields["cpu family"]), int(fields["model"]), fields["model name"])
    assert (known.vendor, known.family, known.model, known.name) == found


def system(folder: Path, **files: str) -> None:
    """Files of /sys/devices/system/cpu/cpu0; __ stands for a slash."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def level(index: int, number: str, kind: str, size: str, shared: str) -> dict[str, str]:
    names = zip(("level", "type", "size", "shared_cpu_list"), (number, kind, size, shared), strict=True)
    return {f"cache__index{index}__{name}": text for name, text in names}


@pytest.mark.usefixtures("unread")
def test_caches_are_those_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads of a core share its second level; four cores of an ARM cluster each have a part of it."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(hardware, "_CPU0", tmp_path)
    monkeypatch.setattr(_core, "cpu_name", lambda: (b"", 0, 0, b""))
    assert cpu()[:1] + cpu()[-2:] == ("", 0, 0)  # a system that says nothing
    system(
        tmp_path,
        **level(0, "1", "Data", "32K", "0-1"),
        **level(1, "1", "Instruction", "32K", "0-1"),
        **level(2, "2", "Unified", "1280K", "0-1"),
        **level(3, "3", "Unified", "49152K", "0-15"),
        topology__thread_siblings_list="0-1",
    )
    cpu.cache_clear()
    assert (cpu().second, cpu().third) == (1280 << 10, 48 << 20)
    system(tmp_path, **level(2, "2", "Unified", "2048K", "0-3"), topology__thread_siblings_list="0")
    system(tmp_path, regs__identification__midr_el1="0x00000000411fd401")
    cpu.cache_clear()
    assert cpu().second == 512 << 10
    assert (cpu().vendor, cpu().family) == ("0x41", 0xD40)  # Neoverse V1
    assert kind_of(cpu()) == "four_pipes"
    system(tmp_path, **level(3, "3", "Unified", "many", "0"))
    cpu.cache_clear()
    assert (cpu().second, cpu().third) == (512 << 10, 0)


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize("x86", [False, True])
def test_macos(monkeypatch: pytest.MonkeyPatch, x86: bool) -> None:
    """As sysctl answers there; no Mac was at hand."""
    answers = {
        b"machdep.cpu.brand_string": b"Apple M1\0",
        b"hw.perflevel0.l2cachesize": (12 << 20).to_bytes(8, "little"),
        b"hw.perflevel0.cpusperl2": (4).to_bytes(4, "little"),
    }
    if x86:
        answers = {
            b"machdep.cpu.brand_string": b"Intel(R) Core(TM) i7\0",
            b"hw.l2cachesize": (256 << 10).to_bytes(8, "little"),
            b"hw.l3cachesize": (8 << 20).to_bytes(8, "little"),
        }

    class Library:
        def sysctlbyname(self, name: bytes, text: Any, size: Any, new: None, length: Any) -> int:
            if name not in answers:
                return -1
            text[: len(answers[name])] = answers[name]
            size._obj.value = len(answers[name])
            return 0

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    monkeypatch.setattr(
        _core, "cpu_name", lambda: (b"GenuineIntel", 6, 158, b"") if x86 else (b"", 0, 0, b"")
    )
    if x86:
        assert cpu() == Cpu("GenuineIntel", 6, 158, "Intel(R) Core(TM) i7", 256 << 10, 8 << 20)
    else:
        assert cpu() == Cpu("Apple", 0, 0, "Apple M1", 3 << 20, 0)
    assert kind_of(cpu()) == ("" if x86 else "four_pipes")
