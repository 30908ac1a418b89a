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
    normalized,
    read_efficientnet_lite0,
)
from tests.helpers import refused_in_one_line  # noqa: E402
from tests.real_models.fetch import fetch  # noqa: E402

CATS = {281, 282, 283, 284, 285, 287}  # ImageNet's five kinds of cats, and the lynx
ESPRESSO = 967


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest) -> EfficientNetLite0:
    assert request.config.cache is not None
    folder = Path(request.config.cache.mkdir("real-models"))
    return read_efficientnet_lite0(fetch("efficientnet_lite0", folder))


def seen(name: str) -> Tensor:
    """The middle square of a picture of scikit-image, 224x224."""
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    from PIL import Image

    picture = Image.fromarray(getattr(data, name)())
    side = min(picture.size)
    left, top = ((size - side) // 2 for size in picture.size)
    square = picture.resize((224, 224), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
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
