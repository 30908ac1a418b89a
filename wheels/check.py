"""Installs a wheel into an empty environment, with no compiler on the PATH, and tests it there; or the sdist.

    python wheels/check.py WHEEL|SDIST [pytest's arguments, in place of the kernels' tests]

Runs README's first example, then the tests of the kernels and of which instruction sets the CPU has. Run it
by the Python that the wheel is for. A source distribution is unpacked into an empty folder and installed from
there, by a compiler and by what pip fetches to build it; README and the tests are its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ["tests/core/test_cpu.py", "tests/core/test_kernels.py"]


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(f"usage: {sys.argv[0]} WHEEL [pytest's arguments]")
    wheel, tests = Path(sys.argv[1]).resolve(), sys.argv[2:] or TESTS
    with tempfile.TemporaryDirectory() as folder:
        programs = Path(folder, "venv", "bin")
        venv.create(programs.parent, with_pip=True)
        hidden = {"PYTHONPATH"} if wheel.suffix == ".gz" else {"CC", "CXX", "PYTHONPATH"}
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        root, installed = ROOT, wheel
        if wheel.suffix == ".gz":
            with tarfile.open(wheel) as archive:
                archive.extractall(folder, filter="data")
            root = installed = Path(folder, wheel.name.removesuffix(".tar.gz"))
        else:
            environment["PATH"] = str(programs)
            for compiler in ("cc", "c++", "gcc", "g++", "clang++"):
                assert shutil.which(compiler, path=str(programs)) is None
        readme = (root / "README.md").read_text(encoding="utf-8")
        example = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
        assert example is not None

        def run(*command: str | Path, cwd: Path = root) -> None:
            done = subprocess.run([programs / command[0], *command[1:]], cwd=cwd, env=environment)
            if done.returncode:
                raise SystemExit(f"{wheel.name}: failed, with the message above")

        pip = ("python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
        run(*pip, "-c", root / "constraints.txt", installed, "pytest")
        run("tconv", "--version", cwd=Path(folder))
        run("python", "-c", example[1], cwd=Path(folder))
        run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)


if __name__ == "__main__":
    main()
