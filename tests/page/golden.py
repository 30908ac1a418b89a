"""What the page's JavaScript must agree on, from the live Python: `python -m tests.page.golden` prints it."""

from __future__ import annotations

import json
import random
from typing import Any

from tconv import TconvError
from tconv.geometry import Geometry
from tconv.testing import load_cases

__all__ = ["NONSENSE", "drawn", "fault", "golden", "goldens"]

#: Spellings that are no problem; each is refused in one line, the same in both languages.
NONSENSE = (
    "",
    " \t ",
    "hello",
    "c1>1 i4",
    "k3",
    "c1>1 i4 k0",
    "c1>1 i0 k3",
    "c1>1 i4 k3 s0",
    "c1>1 i4x4 k3 s2x0",
    "c1>1 i4 k3 d0",
    "c1>1 i4 k3 o1",
    "c1>1 i4 k3 s2 o2",
    "c1>1 i4x4 k3 s2 d5 o1x5",
    "c1>1 i4 k3 p9",
    "c1>1 i4x4 k3 p1x6:2",
    "c1>1 i4 k3 p-1:99",
    "c0>1 i4 k3",
    "c1>0 i4 k3",
    "c4>6 i4 k3 g3",
    "c4>6 i4 k3 g0",
    "c6>4 i4 k3 g3",
    "c1>1 i4x4x4x4 k3",
    "c1>1 i4x4 k3x3x3",
    "c1>1 i4 k3x3",
    "c1>1 i4x4 k3 p1x1x1",
    "c1>1 i4 k3 k3",
    "c1>1 i4 k3 K3",
    "c1>1 i4 k3.5",
    "c1>1 i4 k-3",
    "c1>1 i4 k3 s",
    "c1>1 i4 k3 p1:",
    "c1 i4 k3",
    "c1>1 i4 k3 n-1",
    "c1>1 i9999999999999 k3",
    "c1>1 i999999999999 k3",
    "n2147483648 c1>1 i4 k3",
    "c1>1 i4 k3 p2147483648",
    "c1>1 i4 k3 p0:-2147483648",
    "c1>1 i4 k3 x",
    "c1>1,i4,k3",
    "constructor",
    "__proto__ c1>1 i4 k3",
    "it's",
    'say "it\'s"',
    "a\\b\x00\x1b\x7f",
    "\ufeffc1>1 i4 k3",
    "e\u0301 \u200b \u202e \U0001f4a5 \U000e0001",
    "k\u0663",
    "<script>alert(1)</script>",
    "x" * 3000,
    "c1>1 i4 k3 " + "\U0001f4a5" * 70,
)


def golden(geometry: Geometry) -> dict[str, Any]:
    """Everything that the page says of a problem, as JSON holds it."""
    axes = [geometry.axis(a) for a in range(geometry.axes)]
    zeros = geometry.zero_insertion()
    facts: dict[str, Any] = {
        "spelling": str(geometry),
        "output": geometry.output,
        "phases": [[phase.taps for phase in geometry.phases(a)] for a in range(geometry.axes)],
        "taps_of_output": [
            [geometry.taps_of_output(a, o) for o in range(axis.output)] for a, axis in enumerate(axes)
        ],
        "outputs_of_input": [
            [geometry.outputs_of_input(a, i) for i in range(axis.input)] for a, axis in enumerate(axes)
        ],
        "coverage": geometry.coverage(),
        "evenness": geometry.evenness,
        "macs": str(geometry.macs),
        "macs_exact": str(geometry.macs_exact),
        "zero_insertion": [zeros.between, zeros.around, zeros.dilation],
        "padded": [
            _padded(axis.input, between, *around)
            for axis, between, around in zip(axes, zeros.between, zeros.around, strict=True)
        ],
    }
    facts["taps_of_windows"] = facts["taps_of_output"]
    facts = json.loads(json.dumps(facts))
    assert isinstance(facts, dict)
    return facts


def _padded(inputs: int, between: int, before: int, after: int) -> list[int]:
    """An axis with zeros inserted, by the recipe: the index of each input, and -1 for each zero."""
    line = [cell for i in range(inputs) for cell in (i, *[-1] * between)][: (inputs - 1) * (between + 1) + 1]
    line = [-1] * before + line + [-1] * after  # a negative number adds none
    return line[max(0, -before) : len(line) - max(0, -after)]


#: Letter -> what is drawn for each axis; small, and what is usual more often.
CHOICES = {
    "i": (1, 2, 3, 4, 5, 6),
    "k": (1, 2, 3, 4, 5, 6),
    "s": (1, 2, 3, 4, 5),
    "d": (1, 1, 1, 2, 3, 4),
    "o": (0, 0, 1, 2, 3),
}


def drawn(count: int, seed: int) -> list[Geometry]:
    """Problems drawn at random with every option: what a list of cases may have forgotten."""
    rng = random.Random(seed)
    found: list[Geometry] = []
    while len(found) < count:
        axes, groups = rng.choice((1, 2, 2, 3)), rng.choice((1, 1, 1, 2, 3))
        channels = [groups * rng.randint(1, 3) for _ in range(2)]
        words = [f"n{rng.choice((1, 2))} c{channels[0]}>{channels[1]} g{groups}"]
        for letter, values in CHOICES.items():
            words.append(letter + "x".join(str(rng.choice(values)) for _ in range(axes)))
        words.append("p" + "x".join(f"{rng.randint(-3, 5)}:{rng.randint(-3, 5)}" for _ in range(axes)))
        try:
            found.append(Geometry.parse(" ".join(words)))
        except TconvError:
            continue
    return found


def fault(text: str) -> str:
    """Why `text` is no problem."""
    try:
        return f"read as {Geometry.parse(text)}"
    except TconvError as error:
        return str(error)


def goldens() -> dict[str, Any]:
    """All of it: name -> facts of the problems of cases.txt, nonsense -> fault."""
    return {
        "cases": {name: golden(geometry) for name, geometry in load_cases()},
        "faults": {text: fault(text) for text in NONSENSE},
    }


if __name__ == "__main__":
    print(json.dumps(goldens()))
