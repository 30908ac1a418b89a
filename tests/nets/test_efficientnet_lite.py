"""EfficientNet-Lite0: what its published weights say about pictures, and which files it refuses."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network is PyTorch's")

from torch import Tensor  # noqa: E402

from tconv.nets import project  # noqa: E402
from tconv.nets.efficientnet_lite import (  # noqa: E402
    EfficientNetLite0,
    LiteFeatures,
    features_from,
    normalized,
    read_efficientnet_lite0,
)
from tests.helpers import refused_in_one_line  # noqa: E402
from tests.real_models.fetch import fetch  # noqa: E402

CATS = {281, 282, 283, 284, 285, 287}  # ImageNet's five kinds of cats, and the lynx
ESPRESSO = 967


@pytest.fixture(scope="module")
def file(request: pytest.FixtureRequest) -> Path:
    assert request.config.cache is not None
    return fetch("efficientnet_lite0", Path(request.config.cache.mkdir("real-models")))


@pytest.fixture(scope="module")
def trained(file: Path) -> EfficientNetLite0:
    return read_efficientnet_lite0(file)


def seen(name: str, size: int = 224) -> Tensor:
    """The middle square of a picture of scikit-image."""
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    from PIL import Image

    picture = Image.fromarray(getattr(data, name)())
    side = min(picture.size)
    left, top = ((edge - side) // 2 for edge in picture.size)
    square = picture.resize((size, size), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    return normalized(torch.from_numpy(np.array(square)).permute(2, 0, 1))


def test_coffee_is_an_espresso(trained: EfficientNetLite0) -> None:
    with torch.no_grad():
        shares = trained(seen("coffee")[None]).softmax(1)[0]
    assert int(shares.argmax()) == ESPRESSO
    assert float(shares[ESPRESSO]) > 0.9


def test_a_cat_is_a_cat(trained: EfficientNetLite0) -> None:
    with torch.no_grad():
        scores = trained(seen("chelsea")[None])[0]
    assert set(scores.topk(3).indices.tolist()) <= CATS


def test_the_class_can_be_projected(trained: EfficientNetLite0) -> None:
    """Guided, where the cup is: the middle half of the picture has most of it."""
    picture = seen("coffee")
    found = project(trained, picture, "fc", ESPRESSO, guided=True)
    with torch.no_grad():
        assert found.activation == pytest.approx(float(trained(picture[None])[0, ESPRESSO]), rel=1e-4)
    power = found.picture.square().sum(0)
    assert power[56:168, 56:168].sum() > 0.5 * power.sum()


@pytest.mark.parametrize("size", [(224, 224), (225, 190), (33, 32), (1, 1)])
def test_features_of_every_size(size: tuple[int, int]) -> None:
    net = EfficientNetLite0().eval()
    with torch.no_grad():
        features = net.features(torch.randn(1, 3, *size))
    for stride, channels in net.channels.items():
        assert features[stride].shape == (1, channels, -(-size[0] // stride), -(-size[1] // stride))
    assert list(features) == list(net.channels)


class Backbone(torch.nn.Module):
    """A backbone with the classifier's own end behind it."""

    def __init__(self, features: LiteFeatures, whole: EfficientNetLite0) -> None:
        super().__init__()
        self.features, self.whole = features, whole

    def forward(self, x: Tensor) -> Tensor:
        whole = self.whole
        scores: Tensor = whole.fc(whole.pool(whole.head(self.features(x)[32])).flatten(1))
        return scores


@pytest.mark.parametrize("side", [224, 225, 480])
def test_the_backbone_still_knows_what_it_sees(trained: EfficientNetLite0, file: Path, side: int) -> None:
    """Its padding moves cells by a pixel, where sizes are even; the classes stay."""
    features = LiteFeatures()
    features.load_state_dict(features_from(file))
    net = Backbone(features, trained).eval()
    with torch.no_grad():
        assert int(net(seen("coffee", side)[None]).argmax()) == ESPRESSO
        assert set(net(seen("chelsea", side)[None])[0].topk(2).indices.tolist()) <= CATS


def lively(in_channels: int = 3) -> tuple[EfficientNetLite0, LiteFeatures]:
    """A classifier with norms that have seen something, and the backbone with its weights."""
    torch.manual_seed(0)
    net = EfficientNetLite0()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.running_var, module.weight):
                torch.nn.init.uniform_(tensor, 0.5, 2)
            for tensor in (module.running_mean, module.bias):
                torch.nn.init.normal_(tensor)
    features = LiteFeatures(in_channels)
    if in_channels == 3:
        features.load_state_dict({k: v for k, v in net.state_dict().items() if k in features.state_dict()})
    return net.eval(), features.eval()


def test_where_sizes_are_odd_backbone_and_classifier_compute_the_same() -> None:
    net, features = (part.double() for part in lively())
    picture = torch.randn(1, 3, 225, 97, dtype=torch.float64)
    with torch.no_grad():
        for stride, found in features(picture).items():
            torch.testing.assert_close(found, net.features(picture)[stride], rtol=0, atol=1e-9)


def test_a_frozen_norm_is_the_norm_and_its_gradients() -> None:
    """Against PyTorch's own batch norm in evaluation mode."""
    _, features = lively()
    layer = features.blocks[1].expand.double()
    x = torch.randn(2, 16, 5, 6, dtype=torch.float64, requires_grad=True)
    theirs = layer.relu(layer.norm(layer.conv(x.detach().requires_grad_())))
    tensors = [layer.conv.weight, layer.norm.weight, layer.norm.bias]
    wanted = torch.autograd.grad(theirs.square().sum(), tensors)
    found = torch.autograd.grad(layer(x).square().sum(), [*tensors, x])
    for one, two in zip(found, wanted, strict=False):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)
    assert found[-1].any()


def test_frozen_norms_stay_in_evaluation_mode() -> None:
    _, features = lively()
    features.train()
    assert features.stem.norm.training
    features.frozen = True
    features.train()
    norms = [module for module in features.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(norms) == 49 - 1  # the classifier's head has one more
    assert features.training
    assert not any(norm.training for norm in norms)


def test_gray_is_rgb_of_three_equal_values(tmp_path: Path) -> None:
    net, rgb = lively()
    torch.save(net.state_dict(), tmp_path / "own.pt")
    gray = LiteFeatures(1).eval()
    gray.load_state_dict(features_from(tmp_path / "own.pt", 1))
    picture = torch.randn(1, 1, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(
            gray(picture)[8], rgb(picture.expand(1, 3, 40, 40))[8], rtol=1e-3, atol=1e-3
        )


def test_padding_is_that_of_tensorflow() -> None:
    """Windows for ceil(size / stride) outputs; of an odd number of cells around, the far end has one more."""
    net = EfficientNetLite0().eval()
    padded: list[Tensor] = []
    for layer in (net.stem, net.blocks[3].depthwise, net.blocks[11].depthwise, net.blocks[15].depthwise):
        (kernel, _), (stride, _) = layer.conv.kernel_size, layer.conv.stride
        layer.conv.register_forward_pre_hook(lambda m, x: padded.append(x[0][0, 0].amax(1)))
        for size in range(1, 20):
            with torch.no_grad():
                out = layer(torch.ones(1, layer.conv.in_channels, size, 1))
            outputs = -(-size // stride)
            assert out.shape[2] == outputs
            around = max((outputs - 1) * stride + kernel - size, 0)
            cells = torch.nn.functional.pad(torch.ones(size), (around // 2, around - around // 2))
            assert torch.equal(padded.pop(), cells)


def test_our_own_state_dict_is_read(tmp_path: Path) -> None:
    net = EfficientNetLite0()
    torch.save(net.state_dict(), tmp_path / "own.pt")
    back = read_efficientnet_lite0(tmp_path / "own.pt")
    assert all(torch.equal(value, back.state_dict()[name]) for name, value in net.state_dict().items())


class Runs:
    """Runs code when it is unpickled, unless nobody does."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("touched"),))


def legacy(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def changed(name: str, value: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        torch.save({**EfficientNetLite0().state_dict(), name: value}, path)

    return write


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "no file": (lambda path: None, "weights.pth"),
    "empty": (lambda path: path.write_bytes(b""), "not a PyTorch file of plain tensors"),
    "code": (lambda path: path.write_bytes(pickle.dumps(Runs())), "not a PyTorch file of plain tensors"),
    "code, legacy": (lambda path: legacy({"fc.weight": Runs()}, path), "not a PyTorch file of plain"),
    "a list": (lambda path: torch.save([1], path), "it lacks _conv_stem.weight"),
    "another network": (lambda path: legacy(torch.nn.Linear(2, 2).state_dict(), path), "it lacks"),
    "text": (changed("fc.bias", "bias"), "it lacks _fc.bias"),
    "sparse": (changed("fc.weight", torch.zeros(1000, 1280).to_sparse()), "it lacks _fc.weight"),
    "another size": (changed("fc.weight", torch.zeros(10, 1280)), "is torch.float32 of (10, 1280)"),
    "whole numbers": (changed("fc.bias", torch.zeros(1000, dtype=torch.int64)), "_fc.bias is torch.int64"),
    "no numbers": (changed("fc.bias", torch.zeros(1000, device="meta")), "_fc.bias"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write, said = HOSTILE[kind]
    write(tmp_path / "weights.pth")
    refused_in_one_line(lambda: read_efficientnet_lite0(tmp_path / "weights.pth"), [said])
    assert not (tmp_path / "touched").exists()
