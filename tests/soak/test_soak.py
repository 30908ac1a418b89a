"""A few cases of each part of the soak, and what they are to find."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import ROOT
from tests.core import helpers
from tests.soak import values

CASES = 400


def test_random_problems_agree_with_the_definitions() -> None:
    ran = {values.check(np.random.default_rng([7, case])) for case in range(CASES)}
    assert {name.split()[1] for name in ran} == {"phases", "winograd", "col2im", "dots", "reference"}
    assert {name.split()[0] for name in ran} >= {"f32", "f64", "f16", "bf16", "c64", "c128"}


@pytest.mark.parametrize("code", ["f32", "i16"])
def test_an_output_that_is_off_is_found(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def off(chosen: object, arrays: object) -> np.ndarray:
        out = helpers.run(chosen, arrays)  # type: ignore[arg-type]
        out.flat[0] = 77
        return out

    monkeypatch.setattr(values, "run", off)
    with pytest.raises(AssertionError, match=rf"(?s)threads, problem .* {code}_"):
        values.check(np.random.default_rng(8), code)


def test_broken_files_of_every_format_are_read_or_refused() -> None:
    words = [sys.executable, "-m", "tests.soak.formats", "0", "240"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, "\n".join(
        line for line in done.stdout.splitlines() if not line.startswith("case")
    )
    words = done.stdout.splitlines()[-1].replace(",", "").split()
    assert 120 < int(words[3]) < 240  # refused


def apart(program: str, folder: Path) -> str:
    """What a program prints, in a process of its own: libraries that others loaded forbid forks."""
    words = [sys.executable, "-c", f"import sys; from pathlib import Path; import numpy as np; {program}"]
    done = subprocess.run([*words, str(folder)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_killed_writers_leave_whole_files(tmp_path: Path) -> None:
    program = (
        "from tests.soak.kills import kill_writers;"
        "print(sum(kill_writers(Path(sys.argv[1]), np.random.default_rng([9, case])) for case in range(8)))"
    )
    assert int(apart(program, tmp_path)) == 8


def test_killed_training_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    program = (
        "from tests.soak.kills import Training;"
        "print(Training(Path(sys.argv[1])).kill(np.random.default_rng(3)))"
    )
    assert int(apart(program, tmp_path)) >= 1
