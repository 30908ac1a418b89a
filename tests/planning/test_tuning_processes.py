"""The file of `tconv tune` in several processes: when it is read, the bits of its plans, writers at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tconv import planning
from tconv.planning.tuning_file import tuned
from tests.helpers import PATIENCE
from tests.planning.helpers import another, kept


def test_a_process_reads_it_at_its_first_plan_and_only_then(folder: Path) -> None:
    kept(another())
    program = """if True:
        import sys
        opened = []
        sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
        import tconv
        from tconv.geometry import Geometry
        def read(): return sum(name.endswith("kept/tuned") for name in opened)
        print(read())
        for text in ("n1 c24>16 i13x14 k4 s2 p1", "n1 c2>2 i3 k3", "n1 c2>2 i4 k3"):
            print(read(), "tconv tune" in repr(tconv.plan(Geometry.parse(text))))
        print(read())
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0", "True", "1", "False", "1", "False", "1"]


def test_the_same_file_gives_the_same_bits_on_any_number_of_threads(folder: Path) -> None:
    kept(another())
    program = """if True:
        import hashlib, numpy as np, tconv
        from tconv.geometry import Geometry
        g = Geometry.parse("n1 c24>16 i13x14 k4 s2 p1")
        rng = np.random.default_rng(0)
        x, w = (rng.standard_normal(s).astype("f4") for s in (g.input_shape, g.weight_shape))
        layer = tconv.prepare(w, stride=2, padding=1)
        print(layer.plan_for(x.shape).name)
        for threads in (1, 2, 3, 7):
            tconv.set_num_threads(threads)
            print(hashlib.sha256(layer(x).tobytes()).hexdigest())
    """
    lines = set[str]()
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        lines |= set(done.stdout.splitlines())
    assert len(lines) == 2
    assert another().name in lines


WRITER = """if True:
    import sys
    from tconv import planning
    from tconv.planning.tuning_file import keep
    name = sys.argv[1]
    planning.isas()
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(int(sys.argv[2])):
        key = f"{name}{n}", "conv", "f32", "channels_first", "avx2", True
        keep(planning.isas()[0], None, {key: "x" * 2000})
        print(n, flush=True)
"""


def test_of_two_processes_that_write_neither_loses_a_result(folder: Path) -> None:
    command = [sys.executable, "-c", WRITER]
    pipe = subprocess.PIPE
    writers = [subprocess.Popen([*command, name, "30"], stdin=pipe, stdout=pipe, text=True) for name in "ab"]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    while any(writer.poll() is None for writer in writers):
        planning.refresh()
        assert tuned().why == ""  # a reader never sees a part
        time.sleep(0.01)
    for writer in writers:
        writer.communicate(timeout=PATIENCE)
    assert [writer.returncode for writer in writers] == [0, 0]
    planning.refresh()
    assert {key[0] for key in tuned().plans} == {f"{name}{n}" for name in "ab" for n in range(30)}


def test_a_writer_that_is_killed_leaves_a_whole_file(folder: Path) -> None:
    kept(another())
    command = [sys.executable, "-c", WRITER]
    for delay in (0.0, 0.003, 0.008, 0.02):
        with subprocess.Popen(
            [*command, f"k{delay}", "100000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
            assert [writer.stdout.readline() for _ in range(2)] == ["ready\n", "0\n"]
            time.sleep(delay)
            writer.send_signal(signal.SIGKILL)
        planning.refresh()
        assert tuned().why == ""
        assert another().name in tuned().plans.values()
    kept(another())
    assert os.listdir(folder) == ["tuned"]  # the next writer removes what they left
