"""Tests the ARM wheel on another CPU: `make test-arm`.

    python wheels/arm.py WHEEL [pytest's arguments]

An ARM Python of Debian runs in qemu's emulation of a CPU. It, its libraries and qemu are unpacked into
build/arm, and nothing of the system changes. NumPy and pytest come from the package index.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "arm"
DEBIAN = "https://deb.debian.org/debian"
#: What Python needs to start and to import NumPy and pytest.
ARM = [
    *(
        "python3.11-minimal",
        "libpython3.11-minimal",
        "libpython3.11-stdlib",
        "libc6",
        "libgcc-s1",
        "libstdc++6",
    ),
    *(
        "libstdc++6",
        "libexpat1",
        "zlib1g",
        "libffi8",
        "libssl3",
        "libbz2-1.0",
        "liblzma5",
        "libuuid1",
        "libcrypt1",
    ),
]
#: A part that takes minutes. All candidates, halves and several threads, whose waiting is emulated too,
#: take much longer.
TESTS = [
    *("tests/core/test_cpu.py", "tests/core/test_kernels.py"),
    *("-k", "not every_candidate and not same_bits"),
]


def unpack(architecture: str, names: list[str], folder: Path) -> None:
    """Packages of Debian 12, with the versions of its index, into a folder."""
    if folder.exists():
        return
    at = f"{DEBIAN}/dists/bookworm/main/binary-{architecture}/Packages.xz"
    with urllib.request.urlopen(at) as answer:
        index = lzma.decompress(answer.read()).decode()
    partial = folder.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    for name in names:
        entry = re.search(rf"^Package: {re.escape(name)}\n(?:.+\n)+", index, re.MULTILINE)
        if entry is None:
            raise SystemExit(f"Debian has no package {name} for {architecture}")
        fields = dict(re.findall(r"^(Filename|SHA256): (.+)$", entry[0], re.MULTILINE))
        package = WORK / Path(fields["Filename"]).name
        urllib.request.urlretrieve(f"{DEBIAN}/{fields['Filename']}", package)
        if hashlib.sha256(package.read_bytes()).hexdigest() != fields["SHA256"]:
            raise SystemExit(f"{package.name} is not the one of Debian's index")
        subprocess.run(["dpkg-deb", "-x", package, partial], check=True)
    partial.rename(folder)


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(f"usage: {sys.argv[0]} WHEEL [pytest's arguments]")
    WORK.mkdir(parents=True, exist_ok=True)
    root, emulator, site = WORK / "root", WORK / "qemu", WORK / "site"
    unpack("amd64", ["qemu-user-static"], emulator)
    unpack("arm64", ARM, root)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--upgrade"]
    arm = ["--platform", "manylinux_2_28_aarch64", "--python-version", "3.11", "--only-binary", ":all:"]
    wanted = ["numpy", "pytest", sys.argv[1]]
    pins = ["-c", ROOT / "constraints.txt"]
    subprocess.run([*pip, *arm, *pins, "--target", site, "--force-reinstall", *wanted], check=True)
    python = [emulator / "usr/bin/qemu-aarch64-static", "-L", root, root / "usr/bin/python3.11"]
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONHOME": str(root / "usr")}
    environment.update(PYTHONDONTWRITEBYTECODE="1", OMP_NUM_THREADS="1")
    tests = sys.argv[2:] or TESTS
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    raise SystemExit(subprocess.run([*python, *arguments], cwd=ROOT, env=environment).returncode)


if __name__ == "__main__":
    main()
