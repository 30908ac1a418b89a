"""What a build says where it cannot succeed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("named", ["", "x86_64-linux-gnu-g++-none"])
def test_without_a_compiler_the_build_ends_in_three_lines(named: str, tmp_path: Path) -> None:
    """Also if CXX names one, to which scikit-build-core sets it: the one that built Python."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("CMake is not installed")
    folders = {*os.environ["PATH"].split(os.pathsep), "/usr/local/bin", "/usr/bin", "/bin"}
    options = {
        "CMAKE_IGNORE_PATH": ";".join(sorted(folders)),  # where compilers are
        "CMAKE_MAKE_PROGRAM": sys.executable,  # never run
    }
    defines = [f"-D{name}={it}" for name, it in options.items()]
    environment = {name: it for name, it in os.environ.items() if name not in ("CXX", "PATH")}
    done = subprocess.run(
        [cmake, "-S", ROOT, "-B", tmp_path, "-G", "Ninja", *defines],
        capture_output=True,
        text=True,
        env={**environment, **({"CXX": named} if named else {})},
    )
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.strip()]
    assert told[0].startswith("CMake Error at CMakeLists.txt")
    assert not named or named in told[1]
    assert [line.split()[:2] for line in told[1:]] == [["No", "C++"], ["Debian,", "Ubuntu:"], ["One", "that"]]
