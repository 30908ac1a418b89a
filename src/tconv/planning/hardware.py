"""Which CPU this is, and its caches: what chooses among the default records, and dates a tuned one.

x86 CPUs name themselves (core/cpu.cpp); of ARM's, Linux and macOS know. Everything is read once, when the
first plan is requested.
"""

from __future__ import annotations

import platform
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tconv import _core
from tconv.errors import clean

__all__ = ["Cpu", "cpu", "kind_of"]

_CPU0 = Path("/sys/devices/system/cpu/cpu0")


class Cpu(NamedTuple):
    """A CPU; of one with several kinds of cores, the first."""

    vendor: str = ""  #: as x86 CPUs name it, or ARM's number of it, such as "0x41"; "" where nothing is known
    family: int = 0  #: ARM: the part's number
    model: int = 0
    name: str = ""
    second: int = 0  #: bytes of a core's share of the second-level cache; 0 where nothing is known
    third: int = 0  #: bytes of the third-level cache; 0 where there is none


@cache
def cpu() -> Cpu:
    """This CPU."""
    if sys.platform == "darwin":
        return _macos()
    vendor, family, model, name = _core.cpu_name()
    named = Cpu(_text(vendor), family, model, _text(name))
    if not vendor:
        number = _number(_CPU0 / "regs/identification/midr_el1", 16)  # Arm's architecture manual, MIDR_EL1
        named = Cpu(f"{number >> 24 & 0xFF:#x}" if number else "", number >> 4 & 0xFFF, 0, platform.machine())
    return named._replace(second=_cache(2), third=_cache(3))


def kind_of(cpu: Cpu) -> str:
    """The kind of core, of those that `records.KINDS` tells apart; "" for all others.

    >>> kind_of(Cpu("AuthenticAMD", 26, 2))
    'zen5'
    """
    if cpu.vendor in ("AuthenticAMD", "HygonGenuine"):
        return "zen5" if cpu.family >= 26 else "zen4"
    if cpu.vendor == "Apple" or (cpu.vendor, cpu.family) in _FOUR_PIPES:
        return "four_pipes"
    return ""


#: ARM cores with four pipes of 128 bits: Neoverse V1 and V2, Cortex-X1 to X4.
_FOUR_PIPES = {("0x41", part) for part in (0xD40, 0xD4F, 0xD44, 0xD48, 0xD4E, 0xD82)}


def _text(given: bytes) -> str:
    return clean(given.split(b"\0")[0].decode("ascii", "replace").strip())


def _number(path: Path, base: int) -> int:
    """A number that the system stores in a file; 0 where it does not."""
    try:
        return int(path.read_text(encoding="ascii").strip(), base)
    except (OSError, ValueError):
        return 0


def _cache(level: int) -> int:
    """Bytes of a level of the first core's caches: of the second its share, of the third all."""
    try:
        for index in sorted((_CPU0 / "cache").glob("index*")):
            told = ((index / name).read_text(encoding="ascii").strip() for name in ("level", "type", "size"))
            of, kind, kib = told
            if of == str(level) and kind in ("Unified", "Data"):
                size = int(kib.removesuffix("K")) << 10
                return size // _sharing(index) if level == 2 else size
    except (OSError, ValueError):
        pass  # a system that does not say: the record's own sizes remain
    return 0


def _sharing(index: Path) -> int:
    """How many cores share a cache; two threads of one core count once."""

    def count(path: Path) -> int:
        ends = [part.split("-") for part in path.read_text(encoding="ascii").strip().split(",")]
        return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)

    return max(1, count(index / "shared_cpu_list") // max(1, count(_CPU0 / "topology/thread_siblings_list")))


def _macos() -> Cpu:
    """What the system says of its fast cores."""
    import ctypes

    library = ctypes.CDLL(None)

    def read(name: str) -> bytes:
        size = ctypes.c_size_t(256)
        text = ctypes.create_string_buffer(size.value)
        failed = library.sysctlbyname(name.encode(), text, ctypes.byref(size), None, ctypes.c_size_t(0))
        return b"" if failed else text.raw[: size.value]

    def number(*names: str) -> int:
        return next((int.from_bytes(found, "little") for name in names if (found := read(name))), 0)

    name = _text(read("machdep.cpu.brand_string"))
    vendor, family, model, _ = _core.cpu_name()
    second = number("hw.perflevel0.l2cachesize", "hw.l2cachesize")
    return Cpu(
        _text(vendor) or name.partition(" ")[0],
        family,
        model,
        name,
        second // max(1, number("hw.perflevel0.cpusperl2")),
        number("hw.perflevel0.l3cachesize", "hw.l3cachesize"),
    )
