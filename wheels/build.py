"""Builds the wheels of every target, all on one machine, by zig as cross-compiler: ``make wheels``.

    python wheels/build.py [--python python3.11 ...] [--target x86_64-linux ...] [--out dist]

A wheel for CPython 3.11 is built by a Python 3.11, one for 3.12 and newer (the stable ABI) by any newer one.
Tools go into an environment per Python in build/wheels. Linux wheels are checked by auditwheel, those of the
stable ABI by abi3audit, those of macOS here, since its own tools run only there; all by twine.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "wheels"


class Target(NamedTuple):
    zig: str  #: zig's name, with the oldest system that the wheel is for
    platform: str  #: what its Python calls it
    suffix: str  #: of modules, after cpython-311
    glibc: str = ""  #: the oldest, in the wheel's name


TARGETS = {
    "x86_64-linux": Target("x86_64-linux-gnu.2.28", "linux-x86_64", "x86_64-linux-gnu", "2_28"),
    "aarch64-linux": Target("aarch64-linux-gnu.2.28", "linux-aarch64", "aarch64-linux-gnu", "2_28"),
    "arm64-macos": Target("aarch64-macos.11.0", "macosx-11.0-arm64", "darwin"),
    "x86_64-macos": Target("x86_64-macos.11.0", "macosx-11.0-x86_64", "darwin"),
}


class Tools:
    """The environment of one Python with everything that builds and checks."""

    def __init__(self, python: str) -> None:
        if shutil.which(python) is None:
            raise SystemExit(f"{python} is not on the PATH; name one that is by --python (make: PYTHONS=...)")
        asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(asked, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{python} does not run; name another by --python (make: PYTHONS=...)")
        self.version = done.stdout.strip()
        folder = WORK / f"tools-{self.version}"
        self.bin = folder / "bin"
        if not (self.bin / "python").exists():
            subprocess.run([python, "-m", "venv", folder], check=True)
        wanted = ROOT / "wheels" / "requirements.txt"
        pip = [self.bin / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "-r", wanted], check=True)

    def run(self, program: str, *arguments: str | Path, **environment: str) -> None:
        """One of the tools; the others, such as patchelf and cmake, are found before the system's."""
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [self.bin / program, *arguments], cwd=ROOT, env={**os.environ, "PATH": path, **environment}
        )
        if done.returncode:
            raise SystemExit(f"{program} failed, with the message above")

    def ask(self, code: str) -> str:
        done = subprocess.run([self.bin / "python", "-c", code], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def headers(self) -> Path:
        """A copy of Python's headers, which are the same on all systems but for pyconfig.h.

        Debian keeps that in a folder that only its own compiler looks into. Types have the same sizes on all
        targets; macOS alone lacks <crypt.h>, which no module needs.
        """
        include = self.ask("import sysconfig; print(sysconfig.get_path('include'))")
        multiarch = self.ask("import sysconfig; print(sysconfig.get_config_var('MULTIARCH'))")
        own = WORK / f"headers-{self.version}"
        shutil.copytree(include, own, dirs_exist_ok=True)
        moved = Path(include).parent / multiarch / Path(include).name / "pyconfig.h"
        config = (moved if moved.exists() else own / "pyconfig.h").read_text(encoding="utf-8")
        (own / "pyconfig.h").write_text(config.replace("#define HAVE_CRYPT_H 1", ""), encoding="utf-8")
        return own

    def zig(self) -> Path:
        return Path(self.ask("import ziglang; print(ziglang.__path__[0])")) / "zig"


def build(tools: Tools, zig: Path, target: Target, out: Path) -> Path:
    """One wheel, checked."""
    name = f"{tools.version}-{target.zig}"
    raw = WORK / "raw" / name
    shutil.rmtree(raw, ignore_errors=True)
    tools.run(
        *("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", raw),
        *("-C", f"cmake.define.CMAKE_TOOLCHAIN_FILE={ROOT / 'wheels' / 'zig.cmake'}"),
        *("-C", f"cmake.define.Python_INCLUDE_DIR={tools.headers()}"),
        *("-C", f"build-dir=build/wheels/{name}", ROOT),
        TCONV_ZIG=str(zig),
        TCONV_ZIG_TARGET=target.zig,
        _PYTHON_HOST_PLATFORM=target.platform,
        SETUPTOOLS_EXT_SUFFIX=f".cpython-{tools.version.replace('.', '')}-{target.suffix}.so",
    )
    (wheel,) = raw.glob("*.whl")
    if "abi3" in wheel.name:
        tools.run("abi3audit", "--strict", "--summary", wheel)
    if target.glibc:
        check_linux(tools, wheel, target)
        named = f"many{target.platform.replace('-', f'_{target.glibc}_')}"
        tools.run("python", "-m", "wheel", "tags", "--remove", "--platform-tag", named, wheel)
        (wheel,) = raw.glob("*.whl")
    else:
        check_mac(wheel, target)
    tools.run("twine", "check", "--strict", wheel)
    return Path(shutil.move(wheel, out / wheel.name))


def check_linux(tools: Tools, wheel: Path, target: Target) -> None:
    """Whether auditwheel finds that the module needs no newer glibc."""
    done = subprocess.run([tools.bin / "auditwheel", "show", wheel], capture_output=True, text=True)
    found = re.search(r'tag:\s+"manylinux_(\d+)_(\d+)_(\w+)"', done.stdout)
    if found is None or f"linux-{found[3]}" != target.platform:
        raise SystemExit(f"{wheel.name}: auditwheel says otherwise: {done.stdout or done.stderr}")
    needs, has = (int(found[1]), int(found[2])), tuple(int(part) for part in target.glibc.split("_"))
    if needs > has:
        raise SystemExit(f"{wheel.name}: auditwheel finds that it needs glibc {found[1]}.{found[2]}")
    print(f"{wheel.name}: auditwheel finds that glibc {found[1]}.{found[2]} is enough")


def check_mac(wheel: Path, target: Target) -> None:
    """Whether both libraries are for the CPU and system of the wheel's name, and need only its libraries.

    The load commands say that, as <mach-o/loader.h> lays them out.
    """
    with zipfile.ZipFile(wheel) as files:
        found = {name: files.read(name) for name in files.namelist() if name.endswith(".so")}
    if len(found) != 2:
        raise SystemExit(f"{wheel.name}: {', '.join(found)}; the module and ONNX Runtime's library would fit")
    for name, data in found.items():
        check_library(wheel, target, name, data)


def check_library(wheel: Path, target: Target, name: str, data: bytes) -> None:
    """The same for one of them."""
    magic, cpu, _, _, commands, _ = struct.unpack_from("<6I", data)
    cpus = {"arm64": 0x0100000C, "x86_64": 0x01000007}
    if magic != 0xFEEDFACF or cpu != cpus[target.platform.rpartition("-")[2]]:
        raise SystemExit(f"{wheel.name}: {name} is not for {target.platform}")
    libraries, oldest, at = [], None, 32
    for _ in range(commands):
        command, size = struct.unpack_from("<2I", data, at)
        if command == 0xC:  # LC_LOAD_DYLIB
            start = at + struct.unpack_from("<I", data, at + 8)[0]
            libraries.append(data[start : at + size].rstrip(b"\0").decode())
        elif command == 0x32:  # LC_BUILD_VERSION
            version = struct.unpack_from("<I", data, at + 12)[0]
            oldest = f"{version >> 16}.{version >> 8 & 255}"
        at += size
    if oldest != "11.0" or not libraries or any(not one.startswith("/usr/lib/") for one in libraries):
        raise SystemExit(f"{wheel.name}: {name} needs macOS {oldest} and {', '.join(libraries)}")
    print(f"{wheel.name}, {name}: macOS {oldest}, {', '.join(libraries)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", nargs="+", default=["python3.11", "python3.12"])
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    every = [Tools(python) for python in asked.python]
    zig = every[0].zig()  # one for all, which keeps the C++ library that it builds for each target
    made = [build(tools, zig, TARGETS[name], asked.out) for name in asked.target for tools in every]
    print("\n".join(str(wheel) for wheel in made), file=sys.stderr)


if __name__ == "__main__":
    main()
