"""The page of the demo: filters, rebuilt pictures, sparsity, denoising, learning, and what it cannot say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from tconv.demos.deconvnet.crops import TEST, TRAINING, VALIDATION
from tconv.demos.deconvnet.found import Found, summary
from tconv.demos.deconvnet.measuring import WAYS, Rebuilt
from tconv.demos.deconvnet.report_denoising import denoised_mean, denoising
from tconv.demos.deconvnet.tiles import filters, filters_picture, mosaic, shown
from tconv.demos.pictures import credit
from tconv.documents import (
    Document,
    Entries,
    Figure,
    Figures,
    Item,
    Legend,
    Line,
    Section,
    Table,
    Tally,
    html,
)
from tconv.files import write_aside
from tconv.runs.figures import curves, png_uri, series

__all__ = ["document", "write_filters", "write_report"]


def write_report(found: Found, path: Path) -> None:
    """Write the page.

    Raises:
        TconvError: the file cannot be written, or Jinja2 is not installed.
    """
    page = html.render(document(found))
    with write_aside(path) as file:
        file.write(page.encode())


def write_filters(found: Found, path: Path) -> None:
    """Write the filters of both layers as one PNG.

    Raises:
        TconvError: the file cannot be written.
    """
    from PIL import Image

    made = filters_picture(*(found.net.projected(layer)[:, 0] for layer in (1, 2)))
    with write_aside(path) as file:
        Image.fromarray(made).save(file, format="PNG", optimize=True)


def document(found: Found) -> Document:
    """The content of the page."""
    layers = found.net.layers
    lead = (
        f"Two layers of sparse maps, {len(layers[0].filters)} and {len(layers[1].filters)}, learn to rebuild "
        f"{len(TRAINING) * found.settings.crops} crops of natural pictures without labels. A picture is a "
        "sum of maps convolved with filters, and each layer's maps are the picture of the next (Zeiler, "
        "Krishnan, Taylor, Fergus 2010)."
    )
    sections = (
        Section("summary", "", tuple(_summary(found))),
        Section("filters", "Filters", tuple(_filters(found))),
        Section("rebuilt", "Pictures rebuilt from each layer", tuple(_rebuilt(found))),
        Section("sparsity", "Sparsity against error", tuple(_sparsity(found))),
        Section("denoising", "Removing noise", tuple(denoising(found))),
        Section("learning", "Learning", tuple(_learning(found))),
        Section("caveats", "The data, and what these numbers cannot say", (_caveats(found),)),
        Section("settings", "Settings", (_settings(found),)),
    )
    return Document("Deconvolutional networks", sections, lead, "tconv demo deconvnet")


def _summary(found: Found) -> Iterator[Item]:
    before, after = denoised_mean(found, None), [denoised_mean(found, way) for way in WAYS]
    yield Tally(
        (
            (f"{before:.1f} dB", "noisy test pictures", series(3)),
            (f"{after[0]:.1f} dB", "after a Gaussian blur", series(4)),
            (f"{after[1]:.1f} dB", "after total variation", series(5)),
            (f"{after[2]:.1f} dB", "rebuilt from layer 1", series(0)),
            (f"{after[3]:.1f} dB", "rebuilt from layer 2", series(1)),
        )
    )
    columns = ("picture", "maps", "numbers not 0 per pixel", "rebuilt: SNR, dB", "denoised: SNR, dB")
    yield Table("layers", columns, tuple(summary(found)), kinds=("name", *["number"] * 4))
    yield Line(
        "SNR is 10 log10 of the picture's energy over the error's, the mean over "
        f"{len(found.denoised)} test pictures that nothing was learned or chosen with."
    )


def _filters(found: Found) -> Iterator[Item]:
    first, second = (found.net.projected(layer)[:, 0] for layer in (1, 2))
    side, wide = first.shape[-1], second.shape[-1]
    yield Line(
        f"A filter of layer 1 has {side} × {side} pixels. One of layer 2 joins one or two maps of layer 1, "  # noqa: RUF001
        "so it is shown as what one unit of its map paints through the filters of layer 1, "
        f"{wide} × {wide} pixels. Gray is 0. Each tile has its own scale; its sign carries no meaning, since "  # noqa: RUF001
        "maps may be negative."
    )
    yield Figures(
        (
            Figure(
                png_uri(filters(first, len(first))),
                f"Layer 1: {len(first)} filters",
                "The filters of layer 1",
            ),
            Figure(
                png_uri(filters(second, len(first))),
                f"Layer 2, projected to pixels: {len(second)} filters. The first {len(first)} see one map of "
                "layer 1 each, in its order; the others see each pair of maps.",
                "What the filters of layer 2 paint",
            ),
        )
    )


def _rebuilt(found: Found) -> Iterator[Item]:
    yield Line(
        "Test pictures with normalised contrast, and what the maps of each layer rebuild. Layer 2 rebuilds "
        "the maps of layer 1, which rebuild the picture"
        f"{'; it does so with fewer numbers, and loses more' if _sparser(found) else ''}."
    )
    for each in found.rebuilt:
        yield Figures(tuple(_row(each)), layout="wide")
    figures = []
    for each in found.rebuilt:
        maps = each.maps[0]
        figures.append(
            Figure(
                png_uri(mosaic(maps, math.isqrt(len(maps)), gap=2)),
                f"The maps of layer 1 for {each.name}, row by row in the order of the filters. Gray is 0; "
                f"{each.densities[0] / len(maps):.1%} of the numbers are not.",
                f"The sparse maps of layer 1 for {each.name}",
            )
        )
    yield Figures(tuple(figures), layout="pairs")


def _sparser(found: Found) -> bool:
    return all(each.densities[1] < each.densities[0] for each in found.rebuilt)


def _row(each: Rebuilt) -> Iterator[Figure]:
    yield Figure(shown(each.picture, each.picture), f"{each.name}", f"Test picture {each.name}")
    for number, picture in enumerate(each.pictures):
        yield Figure(
            shown(picture, each.picture),
            f"layer {number + 1}: {each.ratios[number]:.1f} dB, {each.densities[number]:.2f} per pixel",
            f"{each.name}, rebuilt from layer {number + 1}",
        )


def _sparsity(found: Found) -> Iterator[Item]:
    lines = {
        name: (
            [100 * point.density for point in points],
            [100 * point.error for point in points],
        )
        for name, points in found.curves.items()
    }
    colours = {name: series(number) for number, name in enumerate(lines)}
    yield Line(
        "Along a line the strength of the error term rises, and the filters stay the same. To the right, "
        "more numbers of the maps differ from 0; below, the rebuilt pictures are closer. The exponent p of "
        "the sparsity term decides how a sum of sizes is spread: with p = 0.8, few large numbers cost less "
        "than many small ones. Layer 2 rebuilds the maps of layer 1 as they are, so its error does not fall "
        "below theirs."
    )
    yield Legend(tuple(colours.items()))
    yield Figures(
        (
            Figure(
                curves(
                    lines,
                    colours,
                    title="error against sparsity",
                    log=True,
                    across="numbers that are not 0, per 100 pixels",
                ),
                "Error: the squared error of the rebuilt test pictures, in % of their energy",
            ),
        ),
        layout="pairs",
    )


def _learning(found: Found) -> Iterator[Item]:
    yield Line(
        "An epoch infers the maps of all crops from zeros and then takes "
        f"{found.settings.steps} steps of gradient descent on the filters. The cost is "
        "strength/2 × squared error + sum of |z|^p, the mean over the crops, before the steps."  # noqa: RUF001
    )
    figures = []
    for number, rows in enumerate(found.learned.rows):
        epochs = list(range(1, len(rows) + 1))
        name = f"layer {number + 1}"
        figures.append(
            Figure(
                curves(
                    {name: (epochs, [row[0] for row in rows])},
                    {name: series(number)},
                    title=f"cost of {name}",
                ),
                f"{name}: cost. After the last epoch {rows[-1][1]:.1%} of the energy is error, "
                f"{rows[-1][2]:.2f} numbers per pixel are not 0, and {rows[-1][3]:.0f} of "
                f"{len(found.net.layers[number].filters)} maps are in use.",
            )
        )
    yield Figures(tuple(figures), layout="pairs")


def _caveats(found: Found) -> Entries:
    names = [*TRAINING, VALIDATION[0], *(name for name, _, _ in TEST)]
    texts = (
        credit(*names),
        f"Pictures are gray, halved in size, and their contrast is normalised: each pixel's local mean is "
        f"subtracted and the rest divided by the local deviation. All numbers are of such pictures. "
        f"{', '.join(TRAINING)} are learned from, strengths of denoising are chosen with {VALIDATION[0]}.",
        "Few pictures, one run: the seed decides the crops and the first filters. A difference of some "
        "tenths of a dB between pictures or seeds is no result.",
        "The paper stops inference after the continuation. Here some proximal gradient steps follow, which "
        "bring the cost closer to its minimum; with enough of them the cost is that of SPORCO, an "
        "independent solver, to 0.2 %. The norm of 1 is that of all filters of a map together.",
    )
    return Entries(tuple(("", text) for text in texts))


def _settings(found: Found) -> Entries:
    s, c = found.settings, found.settings.continuation
    return Entries(
        (
            ("pictures", f"{len(TRAINING)} × {s.crops} crops of {s.side} × {s.side} pixels"),  # noqa: RUF001
            ("filters", f"{s.kernel} × {s.kernel}, {s.maps} and {s.maps * (s.maps + 1) // 2} maps"),  # noqa: RUF001
            ("strengths", f"{s.strengths[0]:g} and {s.strengths[1]:g}, p = {s.p:g}"),
            ("epochs", f"{s.epochs[0]} and {s.epochs[1]}"),
            (
                "inference",
                f"beta from {c.first:g} to {c.last:g} by {c.growth:g} with {c.iterations} iterations "
                f"of conjugate gradients each, then {c.refinement} proximal gradient steps: {c.applications} "
                "convolutions and transposed convolutions per picture and layer",
            ),
            ("seed", str(s.seed)),
            ("time", f"{found.seconds:.0f} s in this run"),
        )
    )
