"""Estimates the register tiles on ARM CPUs that are not at hand: cycles of a step, by llvm-mca.

    python benchmarks/arm_tiles.py $(find build/wheels -path '*kernels_neon*/phases.cpp.o')

Needs what `make wheels` built, and llvm-objdump and llvm-mca of LLVM 17 or newer (Debian: llvm-19), from the
folder --llvm or the PATH. Nothing was measured on ARM: llvm-mca counts ports and latencies, with every
load in the first cache.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

#: llvm-mca's model, and how many FMAs of 16 bytes it starts per cycle. LLVM describes Cortex-A76 as an older
#: core, but has a model of its sibling, Neoverse N1. Its model of an M1 is that of Apple's core of 2013,
#: which starts three FMAs, two in float64; an M1 starts four.
MODELS = {
    "neoverse-v1": {"f32": 4, "f64": 4},
    "neoverse-n1": {"f32": 2, "f64": 2},
    "apple-m1": {"f32": 3, "f64": 2},
}
STEPS = 1000


def loops(text: str) -> Iterator[tuple[str, int, int, list[str]]]:
    """The innermost loop of each tile, from a disassembly: dtype, rows, vectors, instructions."""
    for name, body in re.findall(r"^[0-9a-f]+ <(\S+)>:\n((?:.+\n)+)", text, re.MULTILINE):
        tile = re.search(r"4tileI([fd])Li(\d+)ELi(\d+)E", name)
        if tile is None:
            continue
        lines = re.findall(r"^\s+([0-9a-f]+):\s+(.*?)(?:\s*//.*)?$", body, re.MULTILINE)
        place = {int(address, 16): index for index, (address, _) in enumerate(lines)}
        found = []
        for index, (_, instruction) in enumerate(lines):
            branch = re.match(r"(?:b\.\w+|cbn?z\s+\w+,)\s*0x([0-9a-f]+)", instruction)
            start = place.get(int(branch[1], 16), index + 1) if branch else index + 1
            inside = [words.partition(" <")[0] for _, words in lines[start : index + 1]]
            if any(words.startswith("fmla") for words in inside):
                found.append(inside)
        yield {"f": "f32", "d": "f64"}[tile[1]], int(tile[2]), int(tile[3]), min(found, key=len)


def cycles(llvm: str, model: str, loop: list[str]) -> float:
    """Cycles of one turn of a loop, the branch counted as not taken."""
    turned = [re.sub(r"^(b\.\w+\s+|cbn?z\s+\w+,\s*)0x[0-9a-f]+$", r"\1.turn", words) for words in loop]
    target = ".turn:\n" + "\n".join(turned)
    command = [f"{llvm}llvm-mca", "-mtriple=aarch64", f"-mcpu={model}", f"-iterations={STEPS}"]
    done = subprocess.run(command, input=target, capture_output=True, text=True, check=True)
    total = re.search(r"^Total Cycles:\s+(\d+)", done.stdout, re.MULTILINE)
    assert total is not None
    return int(total[1]) / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("object", type=Path, help="the compiled core/kernels/phases.cpp")
    parser.add_argument("--llvm", help="the folder of llvm-objdump and llvm-mca")
    parser.add_argument("--least", type=int, default=16, help="sums of the smallest tile shown")
    asked = parser.parse_args()
    llvm = f"{asked.llvm}/" if asked.llvm else ""
    command = [f"{llvm}llvm-objdump", "-d", "--no-show-raw-insn", asked.object]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    print("| tile | FMAs | loads | spills |", *(f"{model} |" for model in MODELS))
    print("|---|---|---|---|" + "---|" * len(MODELS))
    for dtype, rows, vectors, loop in loops(text):
        if rows * vectors < asked.least:
            continue
        fmas = sum(words.startswith("fmla") for words in loop)
        loads = sum(words.startswith("ld") for words in loop)
        spills = sum("[sp" in words for words in loop)
        shown = []
        for model, ports in MODELS.items():
            took, least = cycles(llvm, model, loop), fmas / ports[dtype]
            shown.append(f"{took:.1f} cycles, {least / took:.0%} of the limit {least:.1f} |")
        print(f"| {dtype} {rows}x{vectors} | {fmas} | {loads} | {spills} |", *shown)


if __name__ == "__main__":
    main()
