"""Tests the ARM wheel on another CPU: `make test-arm`.

    python wheels/arm.py [--part] [--or-skip] WHEEL [-- pytest's arguments]

An ARM Python of Debian runs in qemu's emulation of a CPU. It, its libraries and qemu are unpacked into
build/arm, and nothing of the system changes. NumPy and pytest come from the package index.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "arm"
#: What Python needs to start and to import NumPy and pytest.
ARM = (
    *(
        "python3.11-minimal",
        "libpython3.11-minimal",
        "libpython3.11-stdlib",
        "libc6",
        "libgcc-s1",
        "libstdc++6",
    ),
    *("libexpat1", "zlib1g", "libffi8", "libssl3", "libbz2-1.0", "liblzma5", "libuuid1", "libcrypt1"),
)
#: Everything that needs NumPy and pytest alone, but what starts other programs, which the emulator cannot.
TESTS = [
    *("tests/core", "tests/planning", "tests/ops"),
    "--deselect=tests/core/test_build.py",
    "--deselect=tests/planning/test_automatic.py::test_the_environment_allows_it",
]
#: A part that takes minutes. All candidates, halves, and threads, whose waiting is emulated too, take longer.
PART = [
    *("tests/core/test_cpu.py", "tests/core/test_kernels.py"),
    *("-k", "not every_candidate and not same_bits"),
]
#: A mirror that does not answer is given up, in seconds.
PATIENCE = {"Acquire::http::Timeout": 20, "Acquire::https::Timeout": 20, "Acquire::Retries": 1}


def unpack(architecture: str, names: Sequence[str], folder: Path) -> None:
    """Packages of Debian 12 into a folder; apt, with lists of its own in build/arm, checks signatures."""
    if folder.exists():
        return
    if shutil.which("apt-get") is None:
        raise SystemExit("make test-arm needs Debian 12: there is no apt-get here")
    apt = WORK / f"apt-{architecture}"
    for part in ("lists/partial", "cache/archives/partial", "packages"):
        (apt / part).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()  # nothing is installed
    options = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",  # which here is the caller: the folders are the caller's
        "Dir::Cache": apt / "cache",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        **PATIENCE,
    }
    words = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    subprocess.run([*words, "update"], check=True, timeout=300)
    subprocess.run([*words, "download", *names], check=True, cwd=apt / "packages", timeout=300)
    partial = folder.with_suffix(".partial")
    partial.mkdir(exist_ok=True)
    for package in (apt / "packages").iterdir():
        subprocess.run(["dpkg-deb", "-x", package, partial], check=True)
    partial.rename(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", action="store_true", help="the tests that take minutes")
    parser.add_argument(
        "--or-skip", action="store_true", help="end well if Debian's mirror cannot be reached"
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("tests", nargs="*", help="pytest's arguments, in place of the tests")
    asked = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    root, emulator, site = WORK / "root", WORK / "qemu", WORK / "site"
    try:
        unpack("amd64", ["qemu-user-static"], emulator)
        unpack("arm64", ARM, root)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        said = "qemu and an ARM Python cannot be downloaded from Debian, see above"
        if not asked.or_skip:
            raise SystemExit(said) from None
        print(f"ARM's tests are skipped: {said}")
        return
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--upgrade"]
    arm = ["--platform", "manylinux_2_28_aarch64", "--python-version", "3.11", "--only-binary", ":all:"]
    wanted = ["numpy", "pytest", asked.wheel]
    pins = ["-c", ROOT / "constraints.txt"]
    subprocess.run([*pip, *arm, *pins, "--target", site, "--force-reinstall", *wanted], check=True)
    python = [emulator / "usr/bin/qemu-aarch64-static", "-L", root, root / "usr/bin/python3.11"]
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONHOME": str(root / "usr")}
    environment.update(PYTHONDONTWRITEBYTECODE="1", OMP_NUM_THREADS="1")
    tests = asked.tests or (PART if asked.part else TESTS)
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    raise SystemExit(subprocess.run([*python, *arguments], cwd=ROOT, env=environment).returncode)


if __name__ == "__main__":
    main()
