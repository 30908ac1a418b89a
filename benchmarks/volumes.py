"""A head of 0.5 mm, four times as fine along each axis: in little memory, and on two machines.

    python benchmarks/volumes.py whole FOLDER       9 GB of float32 under RLIMIT_AS of 2 GB
    python benchmarks/volumes.py check FOLDER       compares them by blocks
    python benchmarks/volumes.py picture FOLDER     slices.png: a slice across each axis, before and after
    python benchmarks/volumes.py grow FOLDER        a quarter, a half, three quarters, all of the slices
    python benchmarks/volumes.py machines FOLDER    as root: workers in network namespaces, one killed

The head is Colin27 (Debian's mricron-data, fetched by apt-get and checked by its hash). All numbers are
multiples of 1/512 below 256: sums are exact in float32, and answers are compared for equality.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SHA256 = "a094f3ccf383c495c9569625bd0c06993fd4b02d2a8d9966da5fea7d7e530e8d"
SCALE, EDGE = 4, 48  # the chunks read have 48 voxels along each axis, those written 192


def head(folder: Path) -> Path:
    """The file, fetched once."""
    path = folder / "ch2better.nii.gz"
    if not path.exists():
        work = folder / "deb"
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "mricron-data"], cwd=work, check=True, capture_output=True)
        subprocess.run(["dpkg", "-x", next(work.glob("*.deb")), work], check=True)
        shutil.copy(next(work.rglob("ch2better.nii.gz")), path)
        shutil.rmtree(work)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"{path}: sha256 {found}, expected {SHA256}")
    return path


def _kernel():
    """Linear interpolation along each axis."""
    import numpy as np

    one = 1 - abs(np.arange(2 * SCALE) - (2 * SCALE - 1) / 2) / SCALE
    return np.einsum("i,j,k->ijk", one, one, one).astype("float32")[None, None]


def _voxels(path: Path, part: float):
    import nibabel
    import numpy as np

    data = np.asarray(nibabel.load(path).dataobj).transpose(2, 1, 0)
    return np.ascontiguousarray(data[: max(1, round(len(data) * part))])


def upsample(path: Path, out: Path, part: float = 1.0, client=None) -> tuple[float, tuple[int, ...]]:
    """Write the finer head; seconds, and its shape."""
    import dask
    import dask.array as da
    import zarr

    import tconv.dask

    voxels = _voxels(path, part)
    x = da.from_array(voxels[None], chunks=(1, EDGE, EDGE, EDGE), name=f"head-{part}").astype("float32")
    y = tconv.dask.conv_transpose(x, _kernel(), stride=SCALE, padding=SCALE // 2)[0]
    store = zarr.create_array(
        str(out), shape=y.shape, chunks=(SCALE * EDGE,) * 3, dtype="float32", overwrite=True
    )
    start = time.perf_counter()
    where = {"scheduler": client} if client else {"scheduler": "threads", "num_workers": 2}
    with dask.config.set(**where):
        da.store(y, store, lock=False)
    return time.perf_counter() - start, y.shape


def check(path: Path, out: Path, part: float = 1.0) -> int:
    """Compare every block with a direct computation from a piece of the head; how many there are."""
    import numpy as np
    import zarr

    import tconv

    voxels, found, step = _voxels(path, part), zarr.open_array(str(out), mode="r"), 2 * EDGE + 5
    count = 0
    for start in itertools.product(*(range(0, size, step) for size in voxels.shape)):
        stops = [min(s + step, size) for s, size in zip(start, voxels.shape, strict=True)]
        # Two voxels more on each side: of the finer ones between them none lacks a neighbour.
        low = [max(0, s - 2) for s in start]
        piece = voxels[tuple(slice(lo, stop + 2) for lo, stop in zip(low, stops, strict=True))]
        whole = tconv.conv_transpose(
            piece[None].astype("float32"), _kernel(), stride=SCALE, padding=SCALE // 2
        )[0]
        inside = tuple(
            slice(SCALE * (s - lo), SCALE * (stop - lo))
            for s, lo, stop in zip(start, low, stops, strict=True)
        )
        part_found = found[tuple(slice(SCALE * s, SCALE * t) for s, t in zip(start, stops, strict=True))]
        if not np.array_equal(part_found, whole[inside]):
            sys.exit(f"{out}: the block from voxel {start} differs")
        count += 1
    return count


def picture(path: Path, out: Path, target: Path) -> None:
    """Draw a slice across each axis, whole and enlarged, of the head and of the finer one."""
    import matplotlib
    import zarr

    matplotlib.use("agg")
    from matplotlib import pyplot

    finer = zarr.open_array(str(out), mode="r")
    voxels = _voxels(path, 1)[: finer.shape[0] // SCALE]
    figure, shown = pyplot.subplots(3, 3, figsize=(11, 11.6), layout="constrained")
    for row, axis in zip(shown, range(3), strict=True):
        at = voxels.shape[axis] // 2
        rows, columns = (size for i, size in enumerate(voxels.shape) if i != axis)
        before, edge = voxels.take(at, axis), min(40, rows, columns)
        corners = itertools.product(*(range(0, size - edge + 1, edge // 2) for size in (rows, columns)))
        corner = max(corners, key=lambda c: before[c[0] : c[0] + edge, c[1] : c[1] + edge].std())
        after = finer[tuple(SCALE * at + SCALE // 2 if i == axis else slice(None) for i in range(3))]
        part, finer_part = (
            image[tuple(slice(scale * c, scale * (c + edge)) for c in corner)]
            for image, scale in ((before, 1), (after, SCALE))
        )
        titles = (
            f"slice {at} across axis {axis}: {rows} x {columns}",
            f"the part of {edge} x {edge} voxels that varies most",
            f"the same {SCALE} times as fine: {SCALE * edge} x {SCALE * edge}",
        )
        for place, image, title in zip(row, (before, part, finer_part), titles, strict=True):
            place.imshow(image, "gray", vmin=0, vmax=before.max(), origin="lower", interpolation="nearest")
            place.set_title(title, fontsize=10)
            place.axis("off")
        square = ((corner[1] - 0.5, corner[0] - 0.5), edge, edge)
        row[0].add_patch(pyplot.Rectangle(*square, fill=False, edgecolor="tab:orange"))
    figure.savefig(target, dpi=110)
    pyplot.close(figure)
    print(target)


def _peak() -> str:
    return f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"


def whole(folder: Path) -> None:
    """All of it, under the limit."""
    path, out = head(folder), folder / "fine.zarr"
    resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9, 2 * 10**9))
    seconds, shape = upsample(path, out)
    voxels = shape[0] * shape[1] * shape[2]
    print(f"{shape}: {voxels:,} voxels, {4 * voxels / 1e9:.1f} GB in {seconds:.1f} s, {_peak()}", flush=True)


def grow(folder: Path) -> None:
    """Four sizes, each in a process of its own."""
    path = head(folder)
    for part in (0.25, 0.5, 0.75, 1.0):
        code = f"import volumes as v, pathlib as p; f = p.Path({str(folder)!r}); "
        code += f"t, s = v.upsample(p.Path({str(path)!r}), f / 'fine.zarr', {part}); "
        code += (
            "print(s, f'{t:.1f} s, {s[0] * s[1] * s[2] / t / 1e6:.0f} million voxels a second,', v._peak())"
        )
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)


@contextlib.contextmanager
def _machines(folder: Path, workers: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """A bridge, and behind it a namespace for each worker; the scheduler is at 10.77.0.1."""
    run = lambda text: subprocess.run(text.split(), check=True)  # noqa: E731
    started: list[subprocess.Popen[bytes]] = []
    names = [f"tconv{i}" for i in range(workers)]
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        run("ip link add tconvbr type bridge")
        run("ip addr add 10.77.0.1/24 dev tconvbr")
        run("ip link set tconvbr up")
        scheduler = [*dask, "scheduler", "--host", "10.77.0.1", "--port", "8786", "--no-dashboard"]
        started.append(subprocess.Popen(scheduler, **quiet))
        for number, name in enumerate(names):
            run(f"ip netns add {name}")
            run(f"ip link add {name} type veth peer name eth0 netns {name}")
            run(f"ip link set {name} master tconvbr up")
            run(f"ip -n {name} addr add 10.77.0.{number + 2}/24 dev eth0")
            run(f"ip -n {name} link set eth0 up")
            run(f"ip -n {name} link set lo up")
            worker = ["ip", "netns", "exec", name, *dask, "worker", "tcp://10.77.0.1:8786", "--no-nanny"]
            worker += ["--host", f"10.77.0.{number + 2}", "--nthreads", "1", "--memory-limit", "2GB"]
            worker += ["--no-dashboard", "--local-directory", str(folder / name)]
            environ = {**os.environ, "OMP_NUM_THREADS": "1"}
            started.append(subprocess.Popen(worker, env=environ, **quiet))
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)
        subprocess.run(["ip", "link", "del", "tconvbr"], check=False)


def machines(folder: Path, part: float = 0.25) -> None:
    """One worker, two workers, and two of which one is killed half-way."""
    from distributed import Client

    path, out = head(folder), folder / "fine.zarr"
    for workers, killed in ((1, False), (2, False), (2, True)):
        with _machines(folder, workers) as started, Client("tcp://10.77.0.1:8786", timeout=30) as client:
            client.wait_for_workers(workers, timeout=60)
            if killed:
                import threading

                threading.Timer(3.0, lambda: started[-1].send_signal(signal.SIGKILL)).start()
            seconds, _ = upsample(path, out, part, client)
            left = len(client.scheduler_info(n_workers=-1)["workers"])
        told = f"{workers} workers, {left} at the end: {seconds:.1f} s"
        print(told, f"{check(path, out, part)} blocks equal", flush=True)


if __name__ == "__main__":
    what, place = sys.argv[1], Path(sys.argv[2])
    place.mkdir(parents=True, exist_ok=True)
    if what == "check":
        print(f"{check(head(place), place / 'fine.zarr')} blocks equal")
    elif what == "picture":
        picture(head(place), place / "fine.zarr", place / "slices.png")
    else:
        {"whole": whole, "grow": grow, "machines": machines}[what](place)
