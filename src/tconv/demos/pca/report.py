"""The page of ``tconv demo pca``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tconv.demos.pca.analysis import Analysis, Rebuilt
from tconv.demos.pictures import credit
from tconv.documents import Code, Document, Figure, Figures, Item, Line, Matrix, Section, Table, Tally
from tconv.runs.figures import curves, png_uri, series

__all__ = ["decibels", "report"]

Floats = npt.NDArray[np.float64]

WINDOW = (slice(48, 208), slice(144, 304))  #: of the picture, where the face is
EXACT = 200  #: dB, beyond which only rounding is left
CORNER = 32  #: pixels
GAP = 1  #: pixels between the tiles of a montage


def report(found: Analysis) -> Document:
    """The content of the page."""
    k, last = found.kernel, found.rebuilt[-1]
    some = found.rebuilt[-2]
    tally = (
        (f"{found.rebuilt[0].variance:.1%}", "of the variance in the first component", series(0)),
        (f"{some.variance:.1%}", f"in the first {some.components} of {last.components}", series(1)),
        (f"{found.exact:.0e}", "largest error with all of them, on a scale of 0 to 1", series(2)),
    )
    sections = (
        Section("tally", "", (Tally(tally),)),
        Section("filters", "The components are filters", tuple(_filters(found))),
        Section("rebuilt", "Synthesis: the picture from its coefficients", tuple(_rebuilt(found))),
        Section("exact", "Why it is exact when the stride is the kernel", tuple(_exact(found))),
        Section("overlap", "When stamps overlap", tuple(_overlap(found))),
        Section("gradients", "Each map is the other's gradient", tuple(_gradients(found))),
        Section("data", "The picture", (Line(credit(found.name)),)),
    )
    lead = (
        f"Patches of {k} × {k} pixels are described by their principal components. A convolution with "  # noqa: RUF001
        f"stride {k} computes every patch's coefficients (analysis); the transposed convolution with the "
        "same filters rebuilds the picture from them (synthesis). The two layers are one matrix and its "
        "transpose."
    )
    return Document("PCA as a convolution and its transpose", sections, lead, "tconv demo pca")


def _filters(found: Analysis) -> Iterator[Item]:
    k, count = found.kernel, len(found.filters)
    _, rows, columns = found.coefficients.shape
    yield Line(
        f"The picture, minus its mean gray of {found.mean:.3f}, is cut into {rows} × {columns} patches of "  # noqa: RUF001
        f"{k} × {k}. The eigenvectors of the {count} × {count} matrix of their second moments, the "  # noqa: RUF001
        "strongest first, are the principal components. Written as squares they are the filters of a "
        f"layer: weight[component, 0, row, column], of shape {found.filters.shape}. The first is nearly "
        "flat, the next are slopes along both axes, and the later ones oscillate faster: natural pictures "
        "are smooth, and nothing else was put in."
    )
    yield Code(
        "Analysis and synthesis",
        f"z = tconv.conv(x, weight, stride={k})            # (1, {count}, {rows}, {columns}) from "
        f"(1, 1, {rows * k}, {columns * k})\n"
        f"x = tconv.conv_transpose(z, weight, stride={k})  # and back",
    )
    across = [*range(1, count + 1)]
    spectrum = curves(
        {"deviation": (across, np.sqrt(found.variances / found.variances[0]).tolist())},
        {"deviation": series(0)},
        title="Standard deviation of the coefficients by component",
        log=True,
        across="component",
    )
    yield Figures(
        (
            Figure(
                _montage(found.filters[:, 0]),
                f"The {count} filters, the strongest at the top left; each by itself from its most "
                "negative number (black) to its most positive (white), with 0 in mid-gray.",
                "The principal components as small pictures",
            ),
            Figure(
                spectrum, "Standard deviation of each component's coefficients, the first as 1, logarithmic."
            ),
        ),
        layout="pairs",
    )
    maps = [
        Figure(
            _signed(found.coefficients[index]),
            f"component {index + 1}",
            f"Coefficients of component {index + 1}",
        )
        for index in range(5)
    ]
    yield Figures(
        tuple(maps),
        "Coefficients",
        "What the convolution gives: one map per component. The first is a small copy of the picture; the "
        "others are 0 (mid-gray) wherever a patch has nothing of their kind.",
        layout="row",
    )


def _rebuilt(found: Analysis) -> Iterator[Item]:
    k = found.kernel
    yield Line(
        "A transposed convolution adds one stamp, its filter times the coefficient, for every position "
        f"and component. With the first n components of {k * k} only, each patch is replaced by the "
        "nearest one that n stamps can make: no other n filters have a smaller error on this picture."
    )
    for stride, title in ((k, "Side by side"), (found.strides[1], f"Overlapping, stride {found.strides[1]}")):
        figures = [_window(found.picture, "the picture")]
        for each in found.rebuilt:
            figures.append(_window(each.pictures[stride], f"{_many(each)}: {_told(each.psnr[stride])}"))
        text = (
            f"Stride {k}: the stamps do not overlap, and few components leave visible blocks."
            if stride == k
            else "The same filters at twice as many positions along each axis, and the sum divided by the "
            "number of stamps at each pixel. Every pixel is the average of what four patches say: the "
            "blocks are gone and the error is smaller, for four times as many coefficients."
        )
        yield Figures(tuple(figures), title, text, layout="row")
    columns = (
        "components",
        "of the variance",
        "coefficients per pixel",
        *(f"stride {s}" for s in found.strides),
    )
    rows = tuple(
        (
            str(each.components),
            f"{each.variance:.4f}",
            f"{each.kept:.3f}",
            *(decibels(each.psnr[s]) for s in found.strides),
        )
        for each in found.rebuilt
    )
    yield Table("rebuilt", columns, rows, kinds=("name", *["number"] * (len(columns) - 1)))
    yield Line(
        "Peak signal-to-noise ratio of the whole picture, in dB: 20 more is a tenth of the error. "
        f"Coefficients per pixel are those at stride {k}; stride {found.strides[1]} has four times as many."
    )


def _exact(found: Analysis) -> Iterator[Item]:
    k, count = found.kernel, len(found.filters)
    yield Line(
        f"At stride {k} every pixel is in one patch, so the matrix A of the convolution consists of "
        f"blocks, one per patch, and each block is the {count} × {count} matrix of the filters. "  # noqa: RUF001
        "Eigenvectors of a symmetric matrix are orthonormal, so the transpose of the block is its "
        "inverse, and the transpose of A is the inverse of A:"
    )
    yield Line("conv_transpose(conv(x)) = AᵀA x = x", formula=True)
    gram = found.filters.reshape(count, -1) @ found.filters.reshape(count, -1).T
    yield Line(
        f"Measured: the largest difference between the picture and what came back is {found.exact:.1e}, "
        "and between the filters' inner products and the identity "
        f"{np.abs(gram - np.eye(count)).max():.1e}. With fewer components AᵀA is a projection: it keeps "
        "the part of each patch that the kept filters span. In general the transpose is not the inverse, "
        "and a transposed convolution undoes nothing; with orthonormal filters side by side it does."
    )


def _overlap(found: Analysis) -> Iterator[Item]:
    k, stride = found.kernel, found.strides[1]
    inside = int(found.coverage.max())
    error = float(np.abs((found.summed - found.mean) / found.coverage + found.mean - found.picture).max())
    yield Line(
        f"At stride {stride} a pixel lies in up to {inside} patches. All {k * k} filters still rebuild "
        "each patch exactly, so the stamps at a pixel are that many copies of the same number, and their "
        "sum is the picture times the coverage:"
    )
    yield Line("conv_transpose(conv(x)) = coverage * x", formula=True)
    yield Line(
        f"Divided by the coverage, the picture is back: largest error {error:.1e}. With fewer components "
        "the copies differ, since each comes from another patch, and the division makes their average. "
        "The coverage is smaller near the border, which is why the sum fades there:"
    )
    corner = (slice(CORNER), slice(CORNER))
    faded = (found.summed - found.mean) / inside + found.mean
    even = (found.summed - found.mean) / found.coverage + found.mean
    cut = found.coverage[: 3 * k // 2, : 3 * k // 2].astype(int)
    yield Figures(
        (
            Figure(
                _gray(faded[corner]),
                f"The first {CORNER} × {CORNER} pixels of the sum, divided by {inside} everywhere: a "  # noqa: RUF001
                f"border of {stride} pixels fades to the mean.",
                "A corner of the picture with a faded border",
            ),
            Figure(
                _gray(even[corner]),
                "The same pixels, divided by their coverage.",
                "The same corner without a border",
            ),
        ),
        layout="pairs",
    )
    yield Matrix.of(
        "coverage", "stamps per pixel, near the corner", cut.shape, lambda row, column: int(cut[row, column])
    )


def _gradients(found: Analysis) -> Iterator[Item]:
    yield Line(
        "Let L(x) = ½ |conv(x) − u|² with any numbers u. Its gradient by x is conv_transpose(conv(x) − "  # noqa: RUF001
        "u). Let M(z) = ½ |conv_transpose(z) − y|². Its gradient by z is conv(conv_transpose(z) − y). So "  # noqa: RUF001
        "the backward pass of either layer is the forward pass of the other. In numbers, with the filters "
        f"above at stride {found.kernel // 2}:"
    )
    rows = tuple(
        (what, f"{one:.10f}", f"{other:.10f}", f"{abs(one - other) / max(abs(other), 1e-300):.0e}")
        for what, one, other in found.checks
    )
    columns = ("what", "by differences", "by the other map", "relative difference")
    yield Table("checks", columns, rows, kinds=("name", "number", "number", "number"))
    yield Line(
        "The first row is the definition of a transpose: both sides are inner products with random "
        "numbers u. In the others, one number is changed by ±1 and the loss computed twice; since the "
        "loss is quadratic, that difference is the derivative up to rounding."
    )


def _many(each: Rebuilt) -> str:
    return f"{each.components} component{'s' * (each.components > 1)}"


def decibels(psnr: float) -> str:
    """A signal-to-noise ratio for a table."""
    return "exact" if psnr > EXACT else f"{psnr:.1f}"


def _told(psnr: float) -> str:
    return "exact" if psnr > EXACT else f"{psnr:.1f} dB"


def _window(picture: Floats, caption: str) -> Figure:
    return Figure(_gray(picture[WINDOW]), caption, f"A part of the picture, {caption}")


def _gray(picture: Floats) -> str:
    return png_uri((np.clip(picture, 0, 1) * 255).round().astype(np.uint8))


def _signed(numbers: Floats) -> str:
    return _gray(numbers / (2 * np.abs(numbers).max()) + 0.5)


def _montage(tiles: Floats) -> str:
    """Square tiles of numbers around 0 in rows of equal length, each with its own scale."""
    side, k = int(np.sqrt(len(tiles))), tiles.shape[-1]
    step = k + GAP
    sheet = np.full((side * step - GAP, side * step - GAP), 1.0)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, side)
        shown = tile / (2 * np.abs(tile).max()) + 0.5
        sheet[row * step : row * step + k, column * step : column * step + k] = shown
    return _gray(sheet)
