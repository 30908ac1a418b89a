"""The page of ``tconv demo units``."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from tconv.demos.pictures import credit
from tconv.demos.units.networks import EFFICIENTNET, VGG
from tconv.demos.units.occlusion import GRAY, LAYER, SIDE, SQUARE, Occlusion, class_name
from tconv.demos.units.patches import LARGEST
from tconv.demos.units.study import LayerStudy, Study, UnitStudy
from tconv.documents import Document, Entries, Figure, Figures, Item, Legend, Line, Section, Table

__all__ = ["report", "table"]

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

TILE, GAP = 88, 4  #: pixels
LIMIT = 0.995  #: the share of a projection's numbers that are not clipped
HUES = ("#2f7fb8", "#d98032", "#4f9d5b", "#a64d79", "#8a7a3c", "#6a6fb5")


def report(found: Study) -> Document:
    """The content of the page."""
    sections = [Section("how", "How a unit is projected back", tuple(_how(found)))]
    for name, title in (
        (VGG, "VGG16: a network with switches"),
        (EFFICIENTNET, "EfficientNet-Lite0: no switches"),
    ):
        layers = [each for each in found.layers if each.network.name == name]
        if layers:
            sections.append(Section(name, title, tuple(_network(layers))))
    sections.append(Section("alike", "How much of a projection is the picture's", tuple(_alike(found))))
    if found.occlusions:
        sections.append(
            Section("occlusion", "What the classifier looks at", tuple(_occlusion(found.occlusions)))
        )
    sections.append(
        Section("caveats", "The data, and what these pictures cannot say", tuple(_caveats(found)))
    )
    lead = (
        "A unit of a trained network answers to something in a picture. Run backwards from the unit, "
        "through transposed convolutions with the network's own filters, the answer becomes a picture "
        "again: the method of Zeiler & Fergus (2014), on real pictures and real classifiers."
    )
    return Document("What a unit sees", tuple(sections), lead, "tconv demo units")


def _how(found: Study) -> Iterator[Item]:
    yield Line(
        "A picture is run through the network up to a layer. There all activations but one are set to 0, "
        "and that one goes back, layer by layer:"
    )
    yield Entries(
        (
            ("convolution", "becomes the transposed convolution with the same filters, stride and padding."),
            (
                "max pooling",
                "keeps on the way forward which position of each window was the largest (the switch); on "
                "the way back the number goes to that position, and 0 to the others.",
            ),
            ("ReLU", "rectifies what comes back, whatever it did on the way forward."),
            ("batch norm, average pooling, addition", "become their transposes; constants are dropped."),
        )
    )
    yield Line(
        "Of the picture, only the activation and the switches enter the way back. The guided variant "
        "(Springenberg et al. 2015) differs in one thing: a ReLU also stops what it stopped on the way "
        "forward."
    )
    yield Line("tconv.nets.project(model, picture, layer, unit, guided=False)", formula=True)


def _network(layers: Sequence[LayerStudy]) -> Iterator[Item]:
    first = layers[0]
    yield Line(
        f"{first.network.about} Each row is one unit, drawn at random: its nine strongest patches, and the "
        "projection of each in the same place, first as Zeiler & Fergus have it, then guided. Mid-gray is "
        "0; each projection has its own scale."
    )
    if first.network.name == EFFICIENTNET:
        yield Line(
            "Without max pooling there are no switches. The way back is then the same for every picture, "
            "so the projections in a row are one pattern nine times, the unit's own. Guided projections "
            "still differ."
        )
    for each in layers:
        side = each.units[0].shown[0].pixels.shape[0] if each.units else 0
        whole = (
            "the receptive field"
            if each.layer.field <= LARGEST
            else f"the middle of a field of {each.layer.field}"
        )
        text = (
            f"{each.channels} units, one per {each.layer.stride} pixels; patches of {side} × {side}, {whole}."  # noqa: RUF001
        )
        for number, unit in enumerate(each.units):
            yield Figures(
                _unit(each, unit),
                f"{each.layer.title}" if not number else "",
                text if not number else "",
                layout="wide",
            )


def _unit(each: LayerStudy, unit: UnitStudy) -> tuple[Figure, ...]:
    where = f"unit {unit.unit} of {each.layer.title} in {each.network.name}"
    strongest, weakest = unit.shown[0].patch.strength, unit.shown[-1].patch.strength
    return (
        Figure(
            _sheet([s.pixels for s in unit.shown]),
            f"unit {unit.unit}: activations {strongest:.1f} to {weakest:.1f}",
            f"The nine strongest patches of {where}",
        ),
        Figure(_sheet([_shown(s.projection) for s in unit.shown]), "projections", f"Projections of {where}"),
        Figure(_sheet([_shown(s.guided) for s in unit.shown]), "guided", f"Guided projections of {where}"),
    )


def _alike(found: Study) -> Iterator[Item]:
    yield Line(
        "For each unit, the mean cosine between the projections of its nine patches: 1 means that they "
        "are one pattern times different numbers, 0 that they have nothing in common. The mean over the "
        "units above:"
    )
    yield table(found)
    yield Line(
        "With switches the picture decides where each number goes. Without them a projection shows the "
        "unit, and nothing of the picture but the activation; what lowers the number below 1 then is the "
        "border of the picture, where the way back is cut. Only the guided rule, which remembers what "
        "each ReLU stopped, brings the picture back in. A projection that looks like the patch is "
        "therefore evidence about the pooling switches and masks as much as about the unit."
    )


def table(found: Study) -> Table:
    """One row per layer."""
    columns = ("layer", "units", "stride", "field", "shown", "alike", "alike, guided")
    rows = tuple(
        (
            f"{each.network.name} {each.layer.title}",
            str(each.channels),
            str(each.layer.stride),
            str(each.layer.field),
            str(len(each.units)),
            *(f"{each.alike(guided=guided):.3f}" if each.units else "-" for guided in (False, True)),
        )
        for each in found.layers
    )
    return Table("layers", columns, rows, kinds=("name", *["number"] * (len(columns) - 1)))


def _occlusion(found: Sequence[Occlusion]) -> Iterator[Item]:
    yield Line(
        f"A gray square of {SQUARE} × {SQUARE} pixels slides over the picture of {SIDE} × {SIDE}, "  # noqa: RUF001
        f"{found[0].step} pixels at a time, and EfficientNet-Lite0 classifies each covered picture "
        f"({found[0].best.size} of them). Every number is drawn where the middle of the square was (figure "
        "7 of the paper)."
    )
    for each in found:
        name = class_name(each.target)
        low, high = float(each.probability.min()), float(each.probability.max())
        yield Figures(
            (
                Figure(
                    _jpeg(_covered(each)), f"{each.picture}, and the square", f"The picture {each.picture}"
                ),
                Figure(
                    _jpeg(_heat(each, each.probability)),
                    f"probability of “{name}”: {each.whole:.2f} uncovered, {low:.2f} to {high:.2f} covered",
                    f"Where covering the picture lowers the probability of {name}",
                ),
                Figure(
                    _jpeg(_heat(each, each.activity)),
                    f"activity of unit {each.unit} of the {LAYER}, the strongest: "
                    f"{each.activity.min():.2f} to {each.activity.max():.2f} of the uncovered",
                    "Where covering the picture lowers the activity of the strongest unit",
                ),
                Figure(_jpeg(_most(each)), "the most probable class", "The most probable class by place"),
            ),
            f"{each.picture}: {name}",
            layout="wide",
        )
        yield Legend(
            tuple(
                (class_name(c), HUES[i]) if i < len(HUES) - 1 else ("others", HUES[-1])
                for i, c in enumerate(_ranked(each)[: len(HUES)])
            )
        )
    yield Line("In the maps, yellow is the largest value and dark blue the smallest, each map by itself.")


def _caveats(found: Study) -> Iterator[Item]:
    drawn = sorted({len(each.units) for each in found.layers})
    entries = [
        f"The strongest patches are those among {len(found.pictures)} pictures, at most two of each; the "
        "paper had the 50,000 of ImageNet's validation set. A unit's true favourites are probably not "
        "among them.",
        f"Units were drawn at random (seed {found.seed}), {' or '.join(map(str, drawn))} per layer, among "
        "those that are active in nine places. None was chosen for its looks.",
        "Positions closer to the border than half a patch were left out.",
        "VGG16's weights are those of an edge detector that started from ImageNet's: late layers may have "
        "changed.",
        "A low probability under the square can also mean that the square itself looks like something.",
        *(f"One more network would be shown after {line}." for line in found.missing),
        f"The whole took {found.seconds:.0f} s.",
        credit(*found.pictures),
    ]
    yield Entries(tuple(("", text) for text in entries))


def _shown(projection: Tensor) -> Bytes:
    """Numbers as RGB around mid-gray."""
    values = projection.permute(1, 2, 0).double().numpy()
    limit = float(np.quantile(np.abs(values), LIMIT)) or float(np.abs(values).max()) or 1.0
    return (np.clip(values / (2 * limit) + 0.5, 0, 1) * 255).round().astype(np.uint8)


def _sheet(tiles: Sequence[Bytes]) -> str:
    """Nine pictures, three by three, with transparent-looking gaps of white."""
    from PIL import Image

    sheet = Image.new("RGB", (3 * TILE + 2 * GAP,) * 2, "white")
    for number, tile in enumerate(tiles):
        row, column = divmod(number, 3)
        smooth = Image.Resampling.LANCZOS if tile.shape[0] > TILE else Image.Resampling.NEAREST
        sheet.paste(
            Image.fromarray(tile).resize((TILE, TILE), smooth), (column * (TILE + GAP), row * (TILE + GAP))
        )
    return _jpeg(np.asarray(sheet))


def _jpeg(picture: Bytes) -> str:
    """A data URI; photographs as PNG would be five times as large."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _covered(each: Occlusion) -> Bytes:
    """The picture with the square where it hurts most."""
    row, column = np.unravel_index(each.probability.argmin(), each.probability.shape)
    covered = each.pixels.copy()
    top, left = int(row) * each.step, int(column) * each.step
    covered[top : top + SQUARE, left : left + SQUARE] = GRAY
    return covered


def _spread(each: Occlusion, values: npt.NDArray[np.generic]) -> tuple[slice, slice, npt.NDArray[np.generic]]:
    """Values by position as cells of `step` pixels, and where in the picture they lie."""
    cells = values.repeat(each.step, 0).repeat(each.step, 1)
    first = (SQUARE - each.step) // 2
    return slice(first, first + cells.shape[0]), slice(first, first + cells.shape[1]), cells


def _heat(each: Occlusion, values: Floats) -> Bytes:
    """The picture in gray under a map in colours, from its smallest value to its largest."""
    import matplotlib

    rows, columns, cells = _spread(each, (values - values.min()) / (np.ptp(values) or 1.0))
    return _over(each, rows, columns, matplotlib.colormaps["viridis"](cells)[..., :3] * 255)


def _most(each: Occlusion) -> Bytes:
    """The picture in gray under a colour per class."""
    ranked = _ranked(each)
    index = np.vectorize(lambda c: min(ranked.index(c), len(HUES) - 1))(each.best)
    rows, columns, cells = _spread(each, index)
    palette = np.array([[int(hue[i : i + 2], 16) for i in (1, 3, 5)] for hue in HUES], float)
    return _over(each, rows, columns, palette[np.asarray(cells, int)])


def _ranked(each: Occlusion) -> list[int]:
    """The most probable classes, the most frequent first."""
    classes, counts = np.unique(each.best, return_counts=True)
    return [int(c) for c in classes[np.argsort(-counts, kind="stable")]]


def _over(each: Occlusion, rows: slice, columns: slice, colours: Floats) -> Bytes:
    gray = each.pixels.astype(float) @ np.array([0.299, 0.587, 0.114])
    picture = np.repeat(gray[:, :, None], 3, 2)
    picture[rows, columns] = 0.3 * picture[rows, columns] + 0.7 * colours
    return picture.round().astype(np.uint8)
