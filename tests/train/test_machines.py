"""Training on two machines, which are network namespaces; skipped where none can be made."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tconv.train.run import fit
from tests.train.helpers import assert_same_end

SETTINGS = {"epochs": 8, "batch": 2, "crop": 40, "seed": 3}


def ip(text: str) -> bool:
    return subprocess.run(["ip", *text.split()], check=False, capture_output=True).returncode == 0


@pytest.fixture
def machines() -> Iterator[list[str]]:
    """Two namespaces, joined by a cable: 10.78.0.1 and 10.78.0.2."""
    names = [f"tconv-{os.getpid()}-{n}" for n in (1, 2)]
    with contextlib.ExitStack() as undo:
        for name in names:
            try:
                made = ip(f"netns add {name}")
            except OSError:
                made = False
            if not made:
                pytest.skip("network namespaces need root and iproute2")
            undo.callback(ip, f"netns del {name}")
        if not ip(f"link add eth0 netns {names[0]} type veth peer name eth0 netns {names[1]}"):
            pytest.skip("no virtual cables here")
        for number, name in enumerate(names, 1):
            assert ip(f"-n {name} addr add 10.78.0.{number}/24 dev eth0")
            assert ip(f"-n {name} link set eth0 up")
            assert ip(f"-n {name} link set lo up")
        yield names


def start(machines: list[str], folder: Path, out: Path, *more: str) -> list[subprocess.Popen[bytes]]:
    words = [f"--{name}={value}" for name, value in SETTINGS.items()]
    started = []
    for number, name in enumerate(machines, 1):
        command = ["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run"]
        command += ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d"]
        command += ["--rdzv-endpoint", "10.78.0.1:29500", "--local-addr", f"10.78.0.{number}"]
        # By itself torchrun compares the endpoint with the host's name, which namespaces share.
        command += ["--rdzv-conf", f"is_host={2 - number}"]
        command += ["-m", "tconv", "train", str(folder), "--out", str(out), "--nodes", "2", *words, *more]
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": "eth0", "OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen(command, env=environment))
    return started


def die(machine: str) -> None:
    """End every process of a machine: torchrun's own, and those that it started in sessions of their own."""
    found = subprocess.run(["ip", "netns", "pids", machine], check=True, capture_output=True)
    for process in found.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process), signal.SIGKILL)


def rows(log: Path) -> int:
    """Lines of a log, of which the first has the names."""
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_two_machines_train_as_two_processes_and_go_on_after_a_kill(
    folder: Path, tmp_path: Path, machines: list[str]
) -> None:
    here = fit(folder, tmp_path / "here", devices=2, **SETTINGS)
    out, log = tmp_path / "there", tmp_path / "there" / "log.csv"
    first = start(machines, folder, out)
    end = time.monotonic() + 120
    while rows(log) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    for name in reversed(machines):  # one is lost, and the other is stopped
        die(name)
    assert [process.wait() for process in first] == [-signal.SIGKILL] * 2
    assert 3 <= rows(log) <= SETTINGS["epochs"]  # some epochs were finished, not all
    second = start(machines, folder, out, "--resume")
    assert [process.wait(180) for process in second] == [0, 0]
    there = fit(folder, out, resume=True)  # which has finished
    assert_same_end(here, there)
