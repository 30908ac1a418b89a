"""Labels for volumes, slice by slice and tile by tile, here or on the workers of a dask cluster."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tconv.errors import TconvError, clean, said
from tconv.files import alone, make_folder
from tconv.pictures import to_channels
from tconv.train.checkpoint import load_segmenter
from tconv.train.label_store import Index, LabelStore, digest, write_chunk
from tconv.train.module import Segmenter
from tconv.train.predict import TILE, window
from tconv.train.volume import Volume, open_volume

__all__ = ["BATCH", "Labelled", "predict_volume"]

BATCH = 8  #: slices of a chunk, which a call of the net takes together
MOST_CHUNKS = 10_000_000
PATIENCE = "10s"  # with a scheduler that does not answer


@dataclass(frozen=True)
class Labelled:
    """What a call did: the store, its shape, how many chunks it made and found finished."""

    labels: Path
    shape: tuple[int, int, int]
    chunks: int
    made: int
    found: int


@dataclass(frozen=True)
class _Work:
    """All that a worker needs to make any chunk."""

    checkpoint: str
    volume: str
    out: str
    white: float
    chunks: Index
    shape: tuple[int, int, int]

    def where(self, index: Index) -> tuple[slice, slice, slice]:
        """The voxels of a chunk."""
        z, y, x = (
            slice(i * c, min((i + 1) * c, size))
            for i, c, size in zip(index, self.chunks, self.shape, strict=True)
        )
        return z, y, x


def predict_volume(
    checkpoint: str | Path,
    volume: str | Path,
    out: str | Path,
    *,
    tile: int | None = None,
    batch: int = BATCH,
    white: float | None = None,
    scheduler: str | None = None,
    progress: Any = None,
) -> Labelled:
    """Label each slice of a volume as if it were a whole picture, and write OME-Zarr chunk by chunk.

    A call that was killed is continued by the same call: chunks that are finished, and whose labels are those
    that were noted, are not made again.

    Args:
        checkpoint: best.ckpt or last.ckpt of a run.
        volume: see `open_volume`; slices are along the first axis (the third of NIfTI).
        out: a folder, new or of the same call. Its array "0" has one uint8 for each voxel.
        tile: rows and columns of a chunk; None: 1024, 0: whole slices.
        batch: slices of a chunk, which the net takes together.
        white: the value of white in the training pictures; None: what the dtype says.
        scheduler: tcp://HOST:PORT of a dask cluster whose workers see the same files; None: this process.
        progress: called with (chunks done, all chunks) after each.

    Raises:
        TconvError: arguments or files that do not fit, no such scheduler, or a file cannot be written.
    """
    out = Path(out)
    tile = TILE if tile is None else tile
    if tile < 0:
        raise TconvError(f"tile={tile}: must be at least 1, or 0 for whole slices")
    if batch < 1:
        raise TconvError(f"batch={batch}: must be at least 1")
    if scheduler is not None and not re.fullmatch(r"(tcp|tls|ws|wss|ucx)://\S+:\d+", scheduler):
        raise TconvError(f"--scheduler {clean(scheduler)}: no address; tcp://HOST:PORT would fit")
    segmenter = load_segmenter(checkpoint)
    opened = open_volume(volume)
    numbers = opened.white(white)
    whole = opened.shape
    chunks = (min(batch, whole[0]), min(tile or whole[1], whole[1]), min(tile or whole[2], whole[2]))
    counts = [-(-size // chunk) for size, chunk in zip(whole, chunks, strict=True)]
    count = counts[0] * counts[1] * counts[2]
    if count > MOST_CHUNKS:
        raise TconvError(
            f"{clean(volume, 300)}: {count:,} chunks of {chunks}; at most {MOST_CHUNKS:,} would fit"
        )
    net, source, target = (str(Path(each).absolute()) for each in (checkpoint, volume, out))
    work = _Work(net, source, target, numbers, chunks, whole)
    about = {
        "checkpoint": hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest(),
        "volume": [Path(volume).name, *whole, opened.channels, opened.dtype],
        "white": numbers,
        "chunks": list(chunks),
    }
    classes = {"classes": list(segmenter.classes), "colours": segmenter.colours.tolist()}
    with alone(make_folder(out)):
        store = LabelStore(out, about)
        noted = store.open(whole, chunks, opened.scale, opened.unit, classes)
        found = {
            index
            for index, value in noted.items()
            if all(i < n for i, n in zip(index, counts, strict=True))
            and store.holds(work.where(index), value)
        }
        wanted = (
            index
            for index in product(range(counts[0]), range(counts[1]), range(counts[2]))
            if index not in found
        )
        made = 0
        finished = (
            _here(segmenter, opened, work, wanted) if scheduler is None else _there(work, wanted, scheduler)
        )
        for index, value in finished:
            store.note(index, value)
            made += 1
            if progress is not None:
                progress(len(found) + made, count)
    return Labelled(out, whole, count, made, len(found))


def _here(
    segmenter: Segmenter, volume: Volume, work: _Work, wanted: Iterator[Index]
) -> Iterator[tuple[Index, str]]:
    for index in wanted:
        yield index, _make(segmenter, volume, work, index)


def _make(segmenter: Segmenter, volume: Volume, work: _Work, index: Index) -> str:
    """Write a chunk, and return its digest."""
    slices, rows, columns = work.where(index)
    height, width = work.shape[1:]
    # Rows as the net sees them.
    seen = slice(height - rows.stop, height - rows.start) if volume.flipped else rows
    from_rows, from_columns = window(segmenter, seen, height), window(segmenter, columns, width)
    pictures = volume.pictures(work.white, slices, from_rows, from_columns)
    x = torch.stack(
        [segmenter.normalisation(to_channels(picture, segmenter.in_channels)) for picture in pictures]
    )
    with torch.inference_mode():
        scores = segmenter(x.to(segmenter.dtype))
    top, left = seen.start - from_rows.start, columns.start - from_columns.start
    inside = scores[:, :, top : top + seen.stop - seen.start, left : left + columns.stop - columns.start]
    labels = inside.argmax(1).numpy().astype(np.uint8)
    labels = np.ascontiguousarray(labels[:, ::-1] if volume.flipped else labels)
    write_chunk(Path(work.out), (slices, rows, columns), labels)
    return digest(labels)


@lru_cache(maxsize=2)
def _opened(work: _Work) -> tuple[Segmenter, Volume]:
    import tconv

    # A worker runs as many tasks at once as it has threads: each computes with one.
    torch.set_num_threads(1)
    tconv.set_num_threads(1)
    return load_segmenter(work.checkpoint), open_volume(work.volume)


def _task(work: _Work, indices: Sequence[Index]) -> list[tuple[Index, str]]:
    """What a worker is asked for."""
    segmenter, volume = _opened(work)
    return [(index, _make(segmenter, volume, work, index)) for index in indices]


def _there(work: _Work, wanted: Iterator[Index], scheduler: str) -> Iterator[tuple[Index, str]]:
    """The chunks that workers have finished; those of a worker that died go to another."""
    try:
        import distributed
    except ImportError:
        raise TconvError("--scheduler: dask.distributed is missing: pip install 'tconv[dask]'") from None
    library: Any = distributed  # without annotations
    try:
        client = library.Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except Exception as fault:  # which errors a network has cannot be listed
        raise TconvError(f"--scheduler {clean(scheduler)}: not reached: {said(fault)}") from None
    try:
        threads = sum(
            worker["nthreads"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()
        )

        def submit(index: Index) -> Any:
            return client.submit(_task, work, [index], pure=False)

        # A few for each thread, so that none waits, and the list stays short.
        running = library.as_completed(
            [submit(index) for index in islice(wanted, 3 * max(1, threads))], loop=client.loop
        )
        for future in running:
            if future.status != "finished":
                wrong = future.exception()
                if isinstance(wrong, TconvError):
                    raise wrong
                raise TconvError(
                    f"--scheduler {clean(scheduler)}: a chunk failed: {said(wrong or future.status)}"
                )
            yield from future.result()
            for index in islice(wanted, 1):
                running.add(submit(index))
    finally:
        client.close()
