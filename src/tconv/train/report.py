"""The report of a comparison: one HTML page that holds all it shows and asks no network for anything."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
import torch

from tconv.files import write_aside
from tconv.train.comparison import Comparison, Variant
from tconv.train.figures import colours
from tconv.train.report_pictures import WINDOW, closer_look, curve, filter_section, picture_row

__all__ = ["write_report"]

#: What has to be said about a built-in data set.
CAVEATS = {
    "brain": (
        "The pictures are axial slices of the MNI152 template: <em>one</em> brain, the average of 152 "
        "people's, and made left-right symmetric. Nothing here says how well another person's scan would be "
        "labelled.",
        "Neighbouring slices look alike, so the splits are contiguous blocks with a gap of four slices on "
        "either side, never random ones. Even so the network has seen the same brain a few millimetres away.",
        "The labels were not drawn by hand. Background is where the T1 picture is 0; elsewhere a pixel is "
        "the largest of grey matter, white matter and what is left of the two (called CSF, cerebrospinal "
        "fluid) in the template's own tissue maps, so thin and mixed tissue is labelled by a threshold.",
        "CSF is rare (8 % of the brain's pixels) and thin: its IoU suffers first from coarse edges.",
        "One run for each variant. Two seeds of the learned variant gave a mean IoU of 0.752 and 0.790 "
        "while the settings were sought: differences of a few hundredths may be luck.",
        "The settings were found with learned upsampling, in some runs whose test results were seen, too. "
        "Other variants might gain from settings of their own.",
    )
}


def write_report(comparison: Comparison, path: Path) -> None:
    """Write the page of a comparison.

    Raises:
        TconvError: the file cannot be written.
    """
    template = Template(files("tconv.train").joinpath("report.html").read_text(encoding="utf-8"))
    variants = comparison.variants
    page = template.substitute(
        title="Learning to upsample",
        lead=_lead(comparison),
        tally="".join(
            f"<li {_own(v.upsampling)}><b>{v.evaluation.measures.mean_iou:.3f}</b>"
            f"<span>mean IoU, {escape(v.upsampling)}</span></li>"
            for v in variants
        ),
        verdict=_verdict(variants),
        table=_results(comparison),
        bars=_bars(comparison),
        columns=2 + len(variants),
        classes=len(comparison.data.classes),
        key=_legend(
            (name, f"#{bytes(colour).hex()}")
            for name, colour in zip(comparison.data.classes, colours(comparison.data.classes), strict=True)
        ),
        pictures="".join(picture_row(comparison, index) for index in range(len(comparison.shown))),
        close=closer_look(comparison),
        close_size=f"{WINDOW} &times; {WINDOW}",
        lines=_legend((v.upsampling, f"var(--{v.upsampling})") for v in variants),
        loss_curve=curve(variants, "train_loss", "Training loss by epoch", log=True),
        iou_curve=curve(variants, "val_mean_iou", "Mean IoU on the validation split by epoch"),
        filters=filter_section(comparison),
        speed=_speed(variants),
        speed_table=_speed_table(variants),
        caveats="".join(
            f"<li>{text}</li>" for text in (*CAVEATS.get(comparison.data.name, ()), _splits(comparison))
        ),
        settings=_settings(comparison),
        footer=f"Made by <code>tconv demo</code>, version {version('tconv')}, in {comparison.seconds:.0f} s.",
    )
    with write_aside(path) as file:
        file.write(page.encode())


def _own(name: str) -> str:
    return f'style="--own: var(--{name})"'


def _legend(entries: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<span><i class="dot ringed" style="--own: {colour}"></i>{escape(name)}</span>'
        for name, colour in entries
    )


def _lead(comparison: Comparison) -> str:
    settings = comparison.settings
    names = [v.upsampling for v in comparison.variants]
    net = settings["net"].replace("fcn", "FCN-")
    return (
        f"One small {net} labels {escape(comparison.data.name)} pictures, trained {len(names)} times from "
        "scratch with nothing changed but the way its scores are brought back to full size: "
        f"{', '.join(names[:-1])} or {names[-1]} upsampling. <em>Learned</em> means transposed "
        "convolutions that start as bilinear interpolation."
    )


def _verdict(variants: Sequence[Variant]) -> str:
    ranked = sorted(variants, key=lambda v: -v.evaluation.measures.mean_iou)
    best = ranked[0]
    others = "; ".join(f"{v.upsampling} {v.evaluation.measures.mean_iou:.3f}" for v in ranked[1:])
    return (
        f"The highest mean IoU over the {best.evaluation.pictures} test pictures is "
        f"{best.evaluation.measures.mean_iou:.3f}, with {best.upsampling} upsampling ({others})."
    )


def _results(comparison: Comparison) -> str:
    columns = [
        "mean IoU",
        *(f"IoU {name}" for name in comparison.data.classes),
        "pixel accuracy",
        "parameters",
    ]
    found = [v.evaluation.measures for v in comparison.variants]
    numbers = [tuple(round(share, 3) for share in (m.mean_iou, *m.iou, m.pixel_accuracy)) for m in found]
    best = np.nan_to_num(np.asarray(numbers), nan=-1).max(axis=0)
    rows = []
    for variant, values in zip(comparison.variants, numbers, strict=True):
        cells = "".join(
            f"<td{' class=best' if value == top else ''}>{value:.3f}</td>"
            for value, top in zip(values, best, strict=True)
        )
        rows.append((variant.upsampling, f"{cells}<td>{variant.parameters:,}</td>"))
    return _table(columns, rows)


def _table(columns: Sequence[str], rows: Iterable[tuple[str, str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row"><i class="dot" {_own(name)}></i>{escape(name)}</th>{cells}</tr>'
        for name, cells in rows
    )
    return (
        f'<table><thead><tr><th scope="col">upsampling</th>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def _bars(comparison: Comparison) -> str:
    groups = []
    for index, name in enumerate(comparison.data.classes):
        bars = "".join(
            f'<div class="bar"><span>{escape(v.upsampling)}</span>'
            f'<i style="--own: var(--{v.upsampling}); --share: {100 * iou:.1f}%"></i><b>{iou:.3f}</b></div>'
            for v in comparison.variants
            if (iou := v.evaluation.measures.iou[index]) == iou
        )
        groups.append(f"<div><h3>IoU {escape(name)}</h3>{bars}</div>")
    return "".join(groups)


def _speed(variants: Sequence[Variant]) -> str:
    text = (
        "Median time of a training step (forward, loss, backward, AdamW), all variants in turns on the same "
        "batches in this very run, and of the upsampling layers alone, forward and backward."
    )
    for v in variants:
        if v.step.pytorch_step is not None and v.step.pytorch_upsampling is not None:
            text += (
                " With <code>torch.nn.ConvTranspose2d</code> in place of this project's layers, a step "
                f"of the {escape(v.upsampling)} variant takes {v.step.pytorch_step / v.step.step:.2f} times "
                f"as long, its upsampling {v.step.pytorch_upsampling / v.step.upsampling:.2f} times."
            )
    return text


def _speed_table(variants: Sequence[Variant]) -> str:
    columns = ["step", "step, PyTorch's op", "upsampling", "upsampling, PyTorch's op", "training in all"]
    rows = []
    for v in variants:
        times = (v.step.step, v.step.pytorch_step, v.step.upsampling, v.step.pytorch_upsampling)
        cells = "".join(f"<td>{'&ndash;' if t is None else f'{1000 * t:.2f} ms'}</td>" for t in times)
        rows.append((v.upsampling, f"{cells}<td>{v.seconds:.0f} s</td>"))
    return _table(columns, rows)


def _splits(comparison: Comparison) -> str:
    counts = ", ".join(f"{len(comparison.data.split(name))} {name}" for name in ("train", "val", "test"))
    return f"Pictures: {counts}."


def _settings(comparison: Comparison) -> str:
    settings = {name: value for name, value in comparison.settings.items() if name != "upsampling"}
    shown: Mapping[str, object] = {
        "data": comparison.data.name,
        **settings,
        "optimiser": "AdamW; its rate rises over a twentieth of the steps, then falls along half a cosine",
        "loss": "cross-entropy, averaged over pixels",
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "versions": ", ".join(
            f"{name} {version(name)}" for name in ("tconv", "torch", "pytorch-lightning", "numpy")
        ),
    }
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="text">{_plain(value)}</td></tr>'
        for name, value in shown.items()
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _plain(value: object) -> str:
    words = {"None": "none", "True": "yes", "False": "no"}
    return words.get(str(value), escape(str(value)))
