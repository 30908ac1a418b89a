"""The demo on a handful of small pictures: what it prints, what it writes, and that its page stands alone."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")
pytest.importorskip("matplotlib")

from PIL import Image  # noqa: E402

from tconv.cli import main  # noqa: E402
from tconv.demos.upsampling import UPSAMPLINGS, as_dict, document, run  # noqa: E402
from tconv.errors import TconvError  # noqa: E402
from tconv.nets.fcn import FCN  # noqa: E402
from tconv.train import comparison  # noqa: E402
from tconv.train.batches import Normalisation, TrainingPictures  # noqa: E402
from tconv.train.comparison import Comparison  # noqa: E402
from tconv.train.evaluate import evaluate  # noqa: E402
from tconv.train.palette import series  # noqa: E402
from tconv.train.step_time import step_times, with_pytorch_layers  # noqa: E402


class Discs:
    """Bright discs on a dark ground, with a rim of their own class."""

    name = "discs"
    classes = ("background", "rim", "<inside & more>")
    channels = 1
    colours = ()

    def split(self, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
        number = {"train": 4, "val": 1, "test": 3}
        if name not in number:
            raise TconvError(f"no split {name!r}")
        return DiscSplit(number[name], len(name))


class DiscSplit(list):  # type: ignore[type-arg]
    def __init__(self, count: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        row, column = np.mgrid[:83, :90]
        for _ in range(count):
            far = np.hypot(row - draw.uniform(30, 50), column - draw.uniform(30, 60))
            label = (2 - (far > 15).astype(np.uint8) - (far > 22)).astype(np.uint8)
            picture = (label / 2 + draw.normal(0, 0.05, label.shape)).clip(0, 1).astype(np.float32)
            self.append((picture[:, :, None], label))
        self.names = [f"disc {index}" for index in range(count)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    out = tmp_path_factory.mktemp("demo") / "run"
    run(out, epochs=1, data=Discs(), rounds=1)
    # A second time in the same place: the first one's runs are replaced.
    return run(out, epochs=2, data=Discs(), rounds=1), out


def test_every_variant_is_trained_alike_and_evaluated_on_the_test_split(
    made: tuple[Comparison, Path],
) -> None:
    found, out = made
    assert tuple(v.upsampling for v in found.variants) == UPSAMPLINGS
    settings = []
    for variant in found.variants:
        assert len(variant.run.rows) == 2
        content = torch.load(out / variant.upsampling / "best.ckpt", weights_only=True)
        settings.append({k: v for k, v in content["hyper_parameters"].items() if k != "upsampling"})
        again = evaluate(out / variant.upsampling / "best.ckpt", Discs(), split="test")
        assert np.array_equal(again.confusion, variant.evaluation.confusion)
        assert variant.evaluation.confusion.sum() == 3 * 83 * 90
    assert settings[0] == settings[1] == settings[2]
    assert not list(out.rglob("*.part"))


def test_a_stopped_demo_goes_on_and_ends_equal(
    made: tuple[Comparison, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin = comparison.fit

    def stopped(data: Discs, out: Path, **options: object) -> object:
        if out.name == "bilinear":
            raise KeyboardInterrupt
        return begin(data, out, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(comparison, "fit", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, epochs=2, data=Discs(), rounds=1)
    assert "epoch 2/2" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()
    again = run(tmp_path, epochs=2, data=Discs(), rounds=1)
    notes = capsys.readouterr().err
    assert "has finished its 2 epochs already" in notes
    assert notes.count("epoch 2/2") == 2  # of the other two
    for old, new in zip(made[0].variants, again.variants, strict=True):
        assert np.array_equal(old.evaluation.confusion, new.evaluation.confusion)
        assert [r["train_loss"] for r in old.run.rows] == [r["train_loss"] for r in new.run.rows]


def test_only_learned_upsampling_moves(made: tuple[Comparison, Path]) -> None:
    learned, *others = made[0].variants
    assert [each.layer for each in learned.filters] == [
        f"{way}.up.weight" for way in ("s32to16", "s16to8", "s8to1")
    ]
    for each in learned.filters:
        off_diagonal = ~np.eye(3, dtype=bool)
        assert not each.before[off_diagonal].any()
        assert each.after[off_diagonal].any()
    assert not any(variant.filters for variant in others)


def test_shown_labels_are_those_that_were_measured(made: tuple[Comparison, Path]) -> None:
    """All three test pictures are shown here, so their labels must add up to the confusion matrix."""
    found = made[0]
    assert [shown.name for shown in found.shown] == ["disc 0", "disc 1", "disc 2"]
    for variant in found.variants:
        confusion = np.zeros((3, 3), int)
        for shown, labels in zip(found.shown, variant.labels, strict=True):
            np.add.at(confusion, (shown.truth, labels), 1)
        assert np.array_equal(confusion, variant.evaluation.confusion)


def test_the_table_and_the_json_say_what_was_measured(made: tuple[Comparison, Path]) -> None:
    found = made[0]
    (table,) = document(found)["variants"].items
    assert table.columns[0] == "upsampling"
    for cells, variant in zip(table.rows, found.variants, strict=True):
        measured = variant.evaluation.measures
        assert cells[0] == variant.upsampling
        assert cells[1:6] == tuple(
            f"{v:.4f}" for v in (measured.mean_iou, *measured.iou, measured.pixel_accuracy)
        )
        assert float(cells[6]) > 0
        assert (cells[7] == "-") == (variant.upsampling != "learned")
    plain = json.loads(json.dumps(as_dict(found)))
    assert plain["variants"]["nearest"]["mean_iou"] == found.variants[2].evaluation.measures.mean_iou
    assert plain["settings"]["epochs"] == 2


class Page(HTMLParser):
    """Collects a page's elements, and checks that they are closed in order."""

    VOID = ("meta", "img", "path", "use", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone(made: tuple[Comparison, Path]) -> None:
    found, out = made
    text = (out / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert not page.open
    assert "http" not in text  # no address at all, so none that could be asked for
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "embed"}
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", text)
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "#"))
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    for image in images:
        assert image["alt"] is not None
        uri = image["src"] or ""
        Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).verify()
    # Three rows and a closer look of five pictures each, and 3 layers x before/after x 3x3 filters.
    assert len(images) == 4 * 5 + 3 * 2 * 9
    assert "&lt;inside &amp; more&gt;" in text
    assert "<inside" not in text
    for variant in found.variants:
        assert f"<b>{variant.evaluation.measures.mean_iou:.3f}</b>" in text


def test_the_curves_are_well_formed_and_take_the_pages_colours(made: tuple[Comparison, Path]) -> None:
    text = (made[1] / "report.html").read_text(encoding="utf-8")
    charts = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(charts) == 2
    for chart in charts:
        ElementTree.fromstring(chart.replace("xlink:href", "href"))
        for upsampling in UPSAMPLINGS:
            assert series(upsampling) in chart
        assert "#0000" not in chart


def test_the_summary_is_one_small_picture(made: tuple[Comparison, Path]) -> None:
    path = made[1] / "summary.png"
    assert path.stat().st_size < 150_000
    with Image.open(path) as image:
        assert image.width > 600


def test_pytorch_layers_answer_alike() -> None:
    torch.manual_seed(0)
    network = FCN(3, in_channels=1, width=2)
    for score in network.score.values():
        torch.nn.init.normal_(score.weight)
    twin = with_pytorch_layers(network)
    assert twin is not None
    assert {type(m) for m in twin.modules() if "ConvTranspose" in type(m).__name__} == {
        torch.nn.ConvTranspose2d
    }
    picture = torch.rand(1, 1, 50, 70)
    torch.testing.assert_close(twin.eval()(picture), network.eval()(picture), rtol=1e-4, atol=1e-4)
    assert with_pytorch_layers(FCN(3, upsampling="bilinear")) is None


def test_timing_leaves_the_networks_alone() -> None:
    network = FCN(3, in_channels=1, width=2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    training = TrainingPictures(
        Discs().split("train"), Normalisation((0.3,), (0.3,)), crop=None, augment=None, seed=0
    )
    times = step_times(
        {"learned": network, "nearest": FCN(3, upsampling="nearest", in_channels=1)}, training, 2, 1
    )
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert times["learned"].pytorch_step
    assert times["nearest"].pytorch_step is None
    assert min(times["learned"].step, times["nearest"].upsampling) > 0


def test_the_command_refuses_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--epochs", "0", "--out", str(tmp_path / "run")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip() == "tconv demo: epochs=0: must be at least 1"


def test_bad_settings_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TconvError, match="epochs=0: must be at least 1"):
        run(tmp_path / "run", epochs=0, data=Discs())
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TconvError, match="cannot make the folder"):
        run(tmp_path / "file" / "run", epochs=1, data=Discs())
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["file"]
