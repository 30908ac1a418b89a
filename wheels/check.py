"""Installs a wheel into an empty environment, with no compiler on the PATH, and tests it there.

    python wheels/check.py WHEEL [pytest's arguments, in place of the kernels' tests]

Runs README's first example, then the tests of the kernels and of which instruction sets the CPU has. Run it
by the Python that the wheel is for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ["tests/core/test_cpu.py", "tests/core/test_kernels.py"]


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(f"usage: {sys.argv[0]} WHEEL [pytest's arguments]")
    wheel, tests = Path(sys.argv[1]).resolve(), sys.argv[2:] or TESTS
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert example is not None
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        programs = Path(folder, "bin")
        for compiler in ("cc", "c++", "gcc", "g++", "clang++"):
            assert shutil.which(compiler, path=str(programs)) is None
        environment = {
            name: value for name, value in os.environ.items() if name not in ("CC", "CXX", "PYTHONPATH")
        }
        environment["PATH"] = str(programs)

        def run(*command: str | Path, cwd: Path = ROOT) -> None:
            done = subprocess.run([programs / command[0], *command[1:]], cwd=cwd, env=environment)
            if done.returncode:
                raise SystemExit(f"{wheel.name}: failed, with the message above")

        pip = ("python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
        run(*pip, "-c", ROOT / "constraints.txt", wheel, "pytest")
        run("tconv", "--version", cwd=Path(folder))
        run("python", "-c", example[1], cwd=Path(folder))
        run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)


if __name__ == "__main__":
    main()
