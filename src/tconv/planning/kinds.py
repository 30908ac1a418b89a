"""The records of costs by instruction set and kind of CPU.

`tconv tune` measures one on the machine at hand, and `benchmarks/fit_costs.py` prints one as source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType

from tconv.planning.hardware import cpu, kind_of
from tconv.planning.records import Caches, Col2im, Phases, Ports, Record, Stream

__all__ = ["KINDS", "RECORDS", "caches_of", "default_record"]

#: `col2im` was measured on a Zen 5 alone: beside the other numbers of these records, its plans are chosen
#: best at 1.4 to 1.6 with vectors of 512 bits. In matrix registers products are cheaper.
_WIDE, _BESIDE_MATRICES = Col2im(measured=1.5), Col2im(measured=1.75)

#: Measured on a Xeon of the Sapphire Rapids family, with AVX-512 and AMX. Narrower vectors differ in
#: registers, tiles and lanes, which the formulas count.
RECORDS: Mapping[str, Record] = MappingProxyType(
    {
        "amx": Record(col2im=_BESIDE_MATRICES),
        "avx512": Record(col2im=_WIDE),
        **{isa: Record() for isa in ("avx2", "neon", "baseline")},
    }
)

#: (kind of core, instruction set) -> what differs from that. Two multiplies and two loads of a vector per
#: cycle are also those of Zen 2 to 5 and of Intel's cores since Haswell with 256 bits, and of Neoverse N1 and
#: Cortex-A76 to A78 with 128 bits.
KINDS: Mapping[tuple[str, str], Record] = MappingProxyType(
    {
        # Fitted to 3,600 plans of 400 random layers on an EPYC, one thread. The chosen plan is 5.8 % slower
        # than the fastest of a dozen in the mean, some of which is the noise of a dozen times.
        ("zen5", "avx512"): Record(
            ports=Ports(latency=4.6, line=2.2),
            stream=Stream(near=0.024, middle=0.05, far=0.09),
            phases=Phases(
                fed_by_weights=1.32,
                call=45.0,
                again=0.75,
                row=54.0,
                line=26.0,
                pack=0.54,
                lone=1.15,
                crowded=0.23,
                store=1.6,
                store_long=1.6,
                store_short=1.8,
                store_run=0.31,
                store_run_begin=5.0,
            ),
            col2im=Col2im(
                fed_by_weights=1.04,
                sum=3.6,
                read=0.0145,
                add=1.3,
                add_begin=8.4,
                run_begin=33.0,
                term=2.2,
                measured=1.21,
            ),
        ),
        # Fitted to 1,800 plans of 220 of these layers: from 8.5 % to 4.2 %.
        ("zen5", "avx2"): Record(
            ports=Ports(latency=4.2, line=1.8),
            stream=Stream(near=0.016, middle=0.078),
            phases=Phases(
                fed_by_weights=1.32,
                call=23.0,
                again=0.8,
                row=61.0,
                line=25.0,
                pack=0.52,
                crowded=0.22,
                store=0.9,
                store_long=0.9,
                store_short=3.2,
                store_run=0.54,
                store_run_begin=1.6,
            ),
            col2im=Col2im(
                fed=1.23,
                fed_by_weights=1.24,
                sum=2.4,
                read=0.022,
                add=1.1,
                collect=0.75,
                term=1.7,
                run_begin=16.0,
                measured=1.0,
            ),
        ),
        # Not measured. Two pipes multiply 256 bits and two load them, so that 512 take both: LLVM's
        # X86ScheduleZnver4.td, after AMD's "Software Optimization Guide for the AMD Zen4 Microarchitecture".
        ("zen4", "avx512"): Record(ports=Ports(multiply=1.0, load=1.0), col2im=_WIDE),
        # Not measured. Four pipes multiply 128 bits and three load them: LLVM's
        # AArch64SchedNeoverseV1.td, after the "Arm Neoverse V1 Software Optimization Guide".
        ("four_pipes", "neon"): Record(ports=Ports(multiply=4.0, load=3.0)),
    }
)


@cache
def default_record(isa: str) -> Record:
    """The record of this CPU's kind, for its caches."""
    record = KINDS.get((kind_of(cpu()), isa), RECORDS[isa])
    return replace(record, caches=caches_of(record.caches, cpu().second, cpu().third))


def caches_of(usual: Caches, second: int, third: int) -> Caches:
    """A record's sizes where the second and the third level have so many bytes; 0 where one is not known.

    Measured with 1 and 2 MiB in the second level, the same sizes were best. Below that they follow the
    cache. A third level of more than twice `far` is shared by many cores.

    >>> caches_of(Caches(), 1 << 19, 8 << 20).panels
    (196608, 393216, 786432)
    """
    part = min(second, _SECOND) or _SECOND
    names = ("sums", "task_sums", "near", "plane", "matrix")
    scaled = {name: getattr(usual, name) * part // _SECOND for name in names}
    small, middle, large = (panel * part // _SECOND for panel in usual.panels)
    far = min(usual.far, third // 2) if third else usual.far
    return replace(usual, **scaled, panels=(small, middle, large), far=max(far, scaled["near"]))


_SECOND = 1 << 20  #: bytes of the smallest second-level cache for which `Caches` was measured
