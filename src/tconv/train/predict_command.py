"""The command ``tconv predict``: pictures into a folder, or a volume into a Zarr store."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tconv.errors import TconvError, clean, printable

__all__ = ["add_predict"]

PREDICT = """\
example:
  tconv predict runs/street/best.ckpt photo.jpg other.png --out predicted

Writes for each picture NAME-label.png (class indices, with a palette), NAME-overlay.png (the picture under
its labels, and a legend below) and on request NAME-probabilities.npy (float32, classes x height x width).
Pictures may have any size; large ones are processed in overlapping tiles, with the result of the whole
picture. Photos are read upright, as their EXIF orientation says.

  tconv predict runs/brain/best.ckpt head.nii.gz --out labels.zarr

With --out NAME.zarr, the one IMAGE is a volume of any size: OME-Zarr or a Zarr 3 array, NIfTI, a TIFF stack,
a folder of slices, or .npy. Its slices are labelled as pictures and written chunk by chunk, as OME-Zarr. A
call that was killed is continued by the same call."""


def add_predict(subparsers: Any) -> None:
    """Register ``tconv predict``."""
    parser = subparsers.add_parser("predict", help="label pictures with a trained net", description=PREDICT)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="best.ckpt or last.ckpt of a run")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="pictures (PNG or JPEG), or one volume")
    parser.add_argument(
        "--out", required=True, type=Path, help="the folder to write to; NAME.zarr for a volume"
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="also write the probability of each class"
    )
    parser.add_argument(
        "--tile", type=int, metavar="N", help="label N x N pixels at a time; default: 1024, 0: whole"
    )
    parser.add_argument("--batch", type=int, metavar="N", help="volumes: slices at a time; default: 8")
    parser.add_argument(
        "--white", type=float, metavar="N", help="volumes: the value of white; default: what the dtype says"
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="volumes: tcp://HOST:PORT of a dask cluster; default: this process",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(func=_predict)


def _predict(args: argparse.Namespace) -> int:
    from tconv.train.volume import is_volume

    if args.out.name.lower().endswith(".zarr"):
        return _predict_volume(args)
    for path in map(Path, args.images):
        if is_volume(path) and not (path.is_file() and path.suffix.lower() in (".tif", ".tiff")):
            raise TconvError(f"{path}: a volume; --out NAME.zarr would fit")
    for name in ("batch", "white", "scheduler"):
        if getattr(args, name) is not None:
            raise TconvError(f"--{name}: for volumes, with --out NAME.zarr; leave it out")
    from tconv.train.predict import predict

    results = []
    for found in predict(
        args.checkpoint, args.images, args.out, probabilities=args.probabilities, tile=args.tile
    ):
        files = {
            kind: str(path)
            for kind in ("label", "overlay", "probabilities")
            if (path := getattr(found, kind))
        }
        results.append({"image": str(found.image), **files, "shares": list(found.shares)})
        if not args.json:
            only = f"  only {found.classes[0]} is predicted" if len(found.classes) == 1 else ""
            print(printable(f"{found.image}  {'  '.join(files.values())}{only}"), flush=True)
    if args.json:
        print(json.dumps(results))
    return 0


def _predict_volume(args: argparse.Namespace) -> int:
    from tconv.train.predict_volume import BATCH, predict_volume
    from tconv.train.progress import bar

    if len(args.images) > 1 or args.probabilities:
        raise TconvError(f"--out {clean(args.out)}: one volume at a time, without --probabilities, would fit")
    with bar(f"{args.out.name}") as step:
        done = predict_volume(
            args.checkpoint,
            args.images[0],
            args.out,
            tile=args.tile,
            batch=BATCH if args.batch is None else args.batch,
            white=args.white,
            scheduler=args.scheduler,
            progress=step,
        )
    if args.json:
        result = {"volume": args.images[0], "labels": str(done.labels), "shape": list(done.shape)}
        print(json.dumps(result | {"chunks": done.chunks, "made": done.made, "found": done.found}))
    else:
        size = " x ".join(map(str, done.shape))
        found = f", {done.found} found finished" if done.found else ""
        print(printable(f"{args.images[0]}  {done.labels}  {size}  {done.made} chunks made{found}"))
    return 0
