"""Broken files of every format but ONNX, read in one process: `python -m tests.soak.formats FIRST MANY`.

It prints what `tests.onnx.fuzz` prints.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tconv import TconvError

__all__ = ["broken", "formats"]

#: Address space: PyTorch takes a good part of it before anything is read.
_MEMORY = 8 << 30

#: Seconds of processor time that one file may take.
_SLOW = 20.0

Random = np.random.Generator
Format = tuple[Path, Callable[[Path], object]]

PICTURES = ("png", "jpg", "tif", "bmp", "gif", "webp")


def formats(folder: Path) -> dict[str, Format]:
    """A whole file of each format, and what reads it."""
    import torch
    from PIL import Image

    from tconv.diagnosis import diagnose
    from tconv.train.checkpoint import read_checkpoint
    from tconv.train.labels import read_classes
    from tconv.train.pictures import read_picture
    from tconv.train.run import fit
    from tests.train.helpers import SETTINGS, write_folder

    random = np.random.default_rng(0)
    weight = random.standard_normal((4, 6, 4, 4)).astype(np.float32)
    np.save(folder / "weight.npy", weight)
    state = {"up.weight": torch.from_numpy(weight), "up.bias": torch.zeros(6)}
    torch.save(state, folder / "state.pth")
    torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    layer = torch.nn.Sequential(torch.nn.ConvTranspose2d(4, 6, 4, 2, 1))
    torch.export.save(torch.export.export(layer, (torch.zeros(1, 4, 5, 5),)), folder / "program.pt2")
    fit(write_folder(folder / "data"), folder / "run", **{**SETTINGS, "epochs": 1})
    picture = random.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    for kind in PICTURES:
        Image.fromarray(picture).save(folder / f"picture.{kind}")
    (folder / "classes.txt").write_text("ground 0 0 0\ndisc 255 0 0\nbar 0 255 0\n")
    readers: dict[str, Callable[[Path], object]] = {
        **dict.fromkeys(("weight.npy", "state.pth", "legacy.pth", "program.pt2"), lambda p: str(diagnose(p))),
        **{f"picture.{kind}": read_picture for kind in PICTURES},
        "run/last.ckpt": read_checkpoint,
        "classes.txt": read_classes,
    }
    return {name: (folder / name, reader) for name, reader in readers.items()}


def broken(data: bytes, random: Random) -> bytes:
    """A file with one to twenty faults; half of them near its beginning or end, where its description is."""
    made = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 5, 20])):
        near = int(random.integers(min(len(made) + 1, 400)))
        at = int(random.choice([random.integers(len(made) + 1), random.choice([near, len(made) - near])]))
        how = random.integers(5)
        if how == 0 and random.random() < 0.3:
            del made[at:]
        elif how == 1:
            del made[at : at + int(random.integers(1, 40))]
        elif how == 2:
            made[at:at] = made[: int(random.integers(1, 40))]
        elif how == 3:
            made[at : at + 4] = int(random.choice([0, 2**31 - 1, 2**32 - 1, 2**16])).to_bytes(4, "little")
        elif at < len(made):
            made[at] = int(random.integers(256))
    return bytes(made)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("first", type=int)
    parser.add_argument("many", type=int)
    args = parser.parse_args()
    bad = refused = 0
    with tempfile.TemporaryDirectory() as name:
        known = formats(Path(name))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        names = list(known)
        for case in range(args.first, args.first + args.many):
            kind = names[case % len(names)]
            whole, read = known[kind]
            path = whole.with_name(f"broken{whole.suffix}")
            path.write_bytes(broken(whole.read_bytes(), np.random.default_rng(case)))
            print(f"case {case}", flush=True)
            start = time.process_time()
            try:
                read(path)
            except TconvError as fault:
                refused += 1
                if not str(fault).isprintable() or len(str(fault)) > 1200:
                    bad += 1
                    print(f"BAD {case} {kind}: {str(fault)!r}")
            except BaseException:
                bad += 1
                print(f"BAD {case} {kind}: {traceback.format_exc()}")
            if time.process_time() - start > _SLOW:
                bad += 1
                print(f"BAD {case} {kind}: took {time.process_time() - start:.0f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"done: {args.many} files, {refused} refused, {bad} bad, {peak} MB at most")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
