"""The part of the page on noise."""

from __future__ import annotations

from collections.abc import Iterator

from tconv.demos.deconvnet.crops import VALIDATION
from tconv.demos.deconvnet.found import Found, mean
from tconv.demos.deconvnet.measuring import ABOVE, NOISY, WAYS, Denoised
from tconv.demos.deconvnet.tiles import shown
from tconv.documents import Cell, Figure, Figures, Item, Line, Mark, Table

__all__ = ["denoised_mean", "denoising"]


def denoised_mean(found: Found, way: str | None) -> float:
    """The mean ratio of the test pictures by a way, or of the noisy ones, in dB."""
    index = WAYS.index(way) if way else -1
    return mean(each.ratios[index] if way else each.ratio for each in found.denoised)


def denoising(found: Found) -> Iterator[Item]:
    """What each way makes of noisy test pictures, and what that says."""
    yield Line(
        f"Gaussian noise is added so that the SNR is {NOISY} dB, as in the paper. Each way has settings to "
        f"choose. Those that are best on a crop of {VALIDATION[0]} are used: {_chosen(found)}. "
        "Layers denoise by rebuilding: what the filters cannot paint with few numbers is left out."
    )
    for each in found.denoised:
        yield Figures(tuple(_denoised_row(each)), layout="wide")
    yield _denoised_table(found)
    yield Line(_verdict(found))


def _chosen(found: Found) -> str:
    parts = []
    for way, values in found.strengths.items():
        what = {"Gaussian blur": "deviation", "total variation": "weight"}.get(way, "strength")
        parts.append(f"{way} {what} {' and '.join(f'{value:.3g}' for value in values)}")
    return "; ".join(parts)


def _denoised_row(each: Denoised) -> Iterator[Figure]:
    yield Figure(shown(each.picture, each.picture), each.name, f"Test picture {each.name}")
    yield Figure(shown(each.noisy, each.picture), f"noisy: {each.ratio:.2f} dB", f"{each.name} with noise")
    for way, picture, ratio in zip(WAYS, each.pictures, each.ratios, strict=True):
        yield Figure(shown(picture, each.picture), f"{way}: {ratio:.2f} dB", f"{each.name} by {way}")


def _denoised_table(found: Found) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for each in found.denoised:
        best = max(each.ratios)
        marked = (Mark(f"{ratio:.2f}", "best" if ratio == best else "") for ratio in each.ratios)
        rows.append((each.name, f"{each.ratio:.2f}", *marked))
    return Table(
        "denoised", ("SNR, dB", "noisy", *WAYS), tuple(rows), kinds=("name", *["number"] * (len(WAYS) + 1))
    )


def _verdict(found: Found) -> str:
    before = denoised_mean(found, None)
    blur, variation, first, second = (denoised_mean(found, way) - before for way in WAYS)
    than = "as much as" if abs(second - first) < 0.3 else "more than" if second > first else "less than"
    edge = (
        " Its strength is the largest tried: it does best where it changes the maps of layer 1 least."
        if found.strengths["layer 2"][1] == max(ABOVE)
        else ""
    )
    return (
        f"On average layer 1 changes the SNR by {first:+.2f} dB and layer 2 by {second:+.2f} dB, the "
        f"Gaussian blur by {blur:+.2f} dB, and total variation, which knows that pictures are flat between "
        f"edges, by {variation:+.2f} dB. The paper reports, for its own picture and network, 13.84 dB "
        f"before, 16.31 dB from layer 1 and 18.01 dB from layer 2. Here layer 2 gains {than} layer 1.{edge}"
    )
