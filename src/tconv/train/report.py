"""The report of a comparison, as a document: measures, pictures, curves, filters, caveats."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from tconv.documents import (
    Bars,
    Document,
    Entries,
    Figures,
    Item,
    Legend,
    Line,
    Mark,
    Section,
    Table,
    Tally,
    html,
)
from tconv.files import write_aside
from tconv.train.comparison import Comparison, Variant
from tconv.train.figures import colours
from tconv.train.palette import series
from tconv.train.report_pictures import closer_look, curve, filters, picture_row

__all__ = ["document", "write_report"]

#: Caveats about a built-in data set.
CAVEATS = {
    "brain": (
        "The pictures are axial slices of the MNI152 template: one brain, the average of 152 "
        "people's, made left-right symmetric. Nothing here says how well another person's scan would be "
        "labelled.",
        "Neighbouring slices look alike, so the splits are contiguous blocks with a gap of four slices on "
        "either side, never random ones. Even so the network has seen the same brain a few millimetres away.",
        "The labels were not drawn by hand. Background is where the T1 picture is 0; elsewhere a pixel is "
        "the largest of grey matter, white matter and what is left of the two (called CSF, cerebrospinal "
        "fluid) in the template's own tissue maps, so thin and mixed tissue is labelled by a threshold.",
        "CSF is rare (8 % of the brain's pixels) and thin: its IoU suffers first from coarse edges.",
        "One run for each variant. Two seeds of the learned variant gave a mean IoU of 0.752 and 0.790 "
        "while the settings were chosen: differences of a few hundredths may be chance.",
        "The settings were chosen with learned upsampling, in part with the test results in view. "
        "Other variants might gain from their own settings.",
    ),
}


def write_report(comparison: Comparison, path: Path) -> None:
    """Write the page of a comparison.

    Raises:
        TconvError: the file cannot be written, or Jinja2 is not installed.
    """
    page = html.render(document(comparison))
    with write_aside(path) as file:
        file.write(page.encode())


def document(comparison: Comparison) -> Document:
    """The content of the page."""
    variants = comparison.variants
    tally = tuple(
        (f"{v.evaluation.measures.mean_iou:.3f}", f"mean IoU, {v.upsampling}", series(v.upsampling))
        for v in variants
    )
    sections = [
        Section("tally", "", (Tally(tally),)),
        Section("test", "On the test split", tuple(_test(comparison))),
        Section("pictures", "Pictures", tuple(_pictures(comparison))),
        Section("learning", "Learning", tuple(_learning(variants))),
        *filters(comparison),
        Section("step", "What a training step costs", (Line(_speed(variants)), _speed_table(variants))),
        Section(
            "caveats",
            "The data, and what these numbers cannot say",
            (Entries(tuple(("", text) for text in _caveats(comparison))),),
        ),
        Section("settings", "Settings", tuple(_settings(comparison))),
    ]
    return Document("Learning to upsample", tuple(sections), _lead(comparison), "tconv demo")


def _lead(comparison: Comparison) -> str:
    settings = comparison.settings
    names = [v.upsampling for v in comparison.variants]
    net = settings["net"].replace("fcn", "FCN-")
    return (
        f"One small {net} labels {comparison.data.name} pictures, trained {len(names)} times from "
        "scratch with nothing changed but the way its scores are brought back to full size: "
        f"{', '.join(names[:-1])} or {names[-1]} upsampling. Learned means transposed "
        "convolutions that start as bilinear interpolation."
    )


def _test(comparison: Comparison) -> Iterator[Item]:
    variants, classes = comparison.variants, comparison.data.classes
    best, *others = sorted(variants, key=lambda v: -v.evaluation.measures.mean_iou)
    told = "; ".join(f"{v.upsampling} {v.evaluation.measures.mean_iou:.3f}" for v in others)
    yield Line(
        f"The highest mean IoU over the {best.evaluation.pictures} test pictures is "
        f"{best.evaluation.measures.mean_iou:.3f}, with {best.upsampling} upsampling ({told})."
    )
    found = [v.evaluation.measures for v in variants]
    numbers = [tuple(round(share, 3) for share in (m.mean_iou, *m.iou, m.pixel_accuracy)) for m in found]
    tops = np.nan_to_num(np.asarray(numbers), nan=-1).max(axis=0)
    rows: list[Sequence[str | Mark]] = [
        (
            *(
                Mark(f"{value:.3f}", "best" if value == top else "")
                for value, top in zip(values, tops, strict=True)
            ),
            f"{variant.parameters:,}",
        )
        for variant, values in zip(variants, numbers, strict=True)
    ]
    columns = ("mean IoU", *(f"IoU {name}" for name in classes), "pixel accuracy", "parameters")
    yield _table("results", columns, variants, rows)
    yield Bars(
        tuple(
            (
                f"IoU {name}",
                tuple(
                    (v.upsampling, iou, series(v.upsampling))
                    for v in variants
                    if (iou := v.evaluation.measures.iou[index]) == iou
                ),
            )
            for index, name in enumerate(classes)
        )
    )
    yield Line(
        "IoU is the share of pixels on which truth and prediction agree, among those that either of them "
        "gives to the class; the mean is over classes (Long, Shelhamer, Darrell 2015, section 5)."
    )


def _table(
    name: str, columns: Sequence[str], variants: Sequence[Variant], rows: Sequence[Sequence[str | Mark]]
) -> Table:
    """One row per variant, with its colour."""
    named = tuple(
        (Mark(v.upsampling, colour=series(v.upsampling)), *row) for v, row in zip(variants, rows, strict=True)
    )
    return Table(name, ("upsampling", *columns), named, kinds=("name", *["number"] * len(columns)))


def _pictures(comparison: Comparison) -> Iterator[Item]:
    classes = comparison.data.classes
    yield Line(
        "Slices of the test split, evenly spread over it; none was used for training or for choosing an "
        "epoch. The number under each prediction is its mean IoU on that slice."
    )
    named = zip(classes, colours(classes), strict=True)
    yield Legend(tuple((name, f"#{bytes(colour).hex()}") for name, colour in named))
    yield from (picture_row(comparison, index) for index in range(len(comparison.shown)))
    yield closer_look(comparison)


def _learning(variants: Sequence[Variant]) -> Iterator[Item]:
    yield Legend(tuple((v.upsampling, series(v.upsampling)) for v in variants))
    loss = "Training loss: cross-entropy per pixel, logarithmic scale."
    kept = "Mean IoU on the validation split; the best epoch's weights are kept."
    yield Figures(
        (
            curve(variants, "train_loss", "Training loss by epoch", loss, log=True),
            curve(variants, "val_mean_iou", "Mean IoU on the validation split by epoch", kept),
        ),
        layout="pairs",
    )


def _speed(variants: Sequence[Variant]) -> str:
    text = (
        "Median time of a training step (forward, loss, backward, AdamW), all variants in turns on the same "
        "batches in this run, and of only the upsampling layers, forward and backward."
    )
    for v in variants:
        if v.step.pytorch_step is not None and v.step.pytorch_upsampling is not None:
            text += (
                " With torch.nn.ConvTranspose2d in place of this project's layers, a step "
                f"of the {v.upsampling} variant takes {v.step.pytorch_step / v.step.step:.2f} times "
                f"as long, its upsampling {v.step.pytorch_upsampling / v.step.upsampling:.2f} times."
            )
    return text


def _speed_table(variants: Sequence[Variant]) -> Table:
    columns = ("step", "step, PyTorch's op", "upsampling", "upsampling, PyTorch's op", "training in all")
    rows = []
    for v in variants:
        times = (v.step.step, v.step.pytorch_step, v.step.upsampling, v.step.pytorch_upsampling)
        rows.append([*("" if t is None else f"{1000 * t:.2f} ms" for t in times), f"{v.seconds:.0f} s"])
    return _table("steps", columns, variants, rows)


def _caveats(comparison: Comparison) -> Iterator[str]:
    yield from CAVEATS.get(comparison.data.name, ())
    counts = ", ".join(f"{len(comparison.data.split(name))} {name}" for name in ("train", "val", "test"))
    yield f"Pictures: {counts}."


def _settings(comparison: Comparison) -> Iterator[Item]:
    yield Line(
        "All variants share everything but the upsampling: the network, the first weights of all other "
        "layers (one seed), the order of the pictures, the learning rate and the number of epochs."
    )
    shown: dict[str, object] = {
        "data": comparison.data.name,
        **{name: value for name, value in comparison.settings.items() if name != "upsampling"},
        "optimiser": "AdamW; its rate rises over a twentieth of the steps, then falls along half a cosine",
        "loss": "cross-entropy, averaged over pixels",
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "versions": ", ".join(
            f"{name} {version(name)}" for name in ("tconv", "torch", "pytorch-lightning", "numpy")
        ),
        "time": f"{comparison.seconds:.0f} s in all",
    }
    words = {"None": "none", "True": "yes", "False": "no"}
    rows = tuple((name, words.get(str(value), str(value))) for name, value in shown.items())
    yield Table("settings", ("setting", "value"), rows, kinds=("name", "words"))
