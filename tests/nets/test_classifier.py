"""VGG16 weights from both kinds of file: by content, under any name, for this project's normalisation."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
h5py = pytest.importorskip("h5py")

from torch import Tensor, nn  # noqa: E402

from tconv.errors import TconvError  # noqa: E402
from tconv.nets import classifier  # noqa: E402
from tconv.nets.classifier import CONVOLUTIONS, FEATURES, read_vgg16  # noqa: E402
from tconv.nets.fcn import FCN  # noqa: E402

MEAN, DEVIATION = (0.4, 0.5, 0.3), (0.2, 0.3, 0.25)
CAFFE_MEAN = torch.tensor([122.679, 116.669, 104.007]).view(3, 1, 1)  # of red, green, blue in 0..255
WIDTHS = (2, 4, 5, 6, 6)  # small stand-ins for 64 .. 512 keep the files small


def convolutions() -> dict[tuple[int, int], tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(0)
    made, before = {}, 3
    for stage, number in CONVOLUTIONS:
        after = WIDTHS[stage - 1]
        weight = torch.randn(after, before, 3, 3, generator=draw)
        made[stage, number] = weight, torch.randn(after, generator=draw)
        before = after
    return made


def keras_file(path: Path) -> Path:
    """HWIO kernels, BGR first, in the groups that Keras writes."""
    with h5py.File(path, "w") as file:
        for (stage, number), (weight, bias) in convolutions().items():
            if (stage, number) == (1, 1):
                weight = weight.flip(1)
            group = f"block{stage}/layers/conv2d{f'_{number - 1}' if number > 1 else ''}/vars"
            file[f"{group}/0"] = weight.permute(2, 3, 1, 0).numpy()
            file[f"{group}/1"] = bias.numpy()
    return path


def pytorch_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(classifier.HEAD, "fc6", ("classifier.0", (-1, 6, 7, 7)))
    monkeypatch.setitem(classifier.HEAD, "fc7", ("classifier.3", (-1, 8, 1, 1)))
    state = {}
    for ((_, _), (weight, bias)), index in zip(convolutions().items(), FEATURES, strict=True):
        state |= {f"features.{index}.weight": weight, f"features.{index}.bias": bias}
    for name, (rows, columns) in {"classifier.0": (8, 6 * 7 * 7), "classifier.3": (8, 8)}.items():
        state |= {f"{name}.weight": torch.randn(rows, columns), f"{name}.bias": torch.randn(rows)}
    torch.save(state, path)
    return path


def first_layer(weights: dict[str, Tensor], picture: Tensor) -> Tensor:
    """What the first convolution makes of a picture, away from the border."""
    return nn.functional.conv2d(picture, weights["stage1.conv1.weight"], weights["stage1.conv1.bias"])


def normalised(picture: Tensor, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    return (picture - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(deviation).view(-1, 1, 1)


def test_keras_weights_see_the_same_picture(tmp_path: Path) -> None:
    weights = read_vgg16(keras_file(tmp_path / "any.name"), MEAN, DEVIATION)
    weight, bias = convolutions()[1, 1]
    rgb = torch.rand(1, 3, 9, 11)
    theirs = nn.functional.conv2d(rgb * 255 - CAFFE_MEAN, weight, bias)
    ours = first_layer(weights, normalised(rgb, MEAN, DEVIATION))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-2)
    # The others only change their layout.
    for (stage, number), (weight, bias) in list(convolutions().items())[1:]:
        assert torch.equal(weights[f"stage{stage}.conv{number}.weight"], weight)
        assert torch.equal(weights[f"stage{stage}.conv{number}.bias"], bias)
    assert len(weights) == 26


def test_gray_pictures_are_rgb_of_three_equal_values(tmp_path: Path) -> None:
    weights = read_vgg16(keras_file(tmp_path / "w.h5"), (0.4,), (0.2,))
    weight, bias = convolutions()[1, 1]
    gray = torch.rand(1, 1, 9, 11)
    theirs = nn.functional.conv2d(gray * 255 - CAFFE_MEAN, weight, bias)
    ours = first_layer(weights, normalised(gray, (0.4,), (0.2,)))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-2)
    with pytest.raises(TconvError, match="2 channels do not fit, 1 or 3 do"):
        read_vgg16(tmp_path / "w.h5", (0.4, 0.4), (0.2, 0.2))


def test_pytorch_weights_bring_their_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fc6 as a convolution over a 7x7 map is the linear layer over the map laid flat."""
    path = pytorch_file(tmp_path / "w.h5", monkeypatch)  # the name lies: content decides
    weights, state = read_vgg16(path, MEAN, DEVIATION), torch.load(path)
    rgb = torch.rand(1, 3, 9, 11)
    imagenet = normalised(rgb, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    theirs = nn.functional.conv2d(imagenet, *convolutions()[1, 1])
    ours = first_layer(weights, normalised(rgb, MEAN, DEVIATION))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    features = torch.rand(2, 6, 7, 7)
    fc6 = nn.functional.conv2d(features, weights["fc6.weight"], weights["fc6.bias"])
    weight, bias = state["classifier.0.weight"], state["classifier.0.bias"]
    linear = nn.functional.linear(features.flatten(1), weight, bias)
    torch.testing.assert_close(fc6.flatten(1), linear, rtol=1e-4, atol=1e-4)
    assert weights["fc7.weight"].shape == (8, 8, 1, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "neither a PyTorch file of plain tensors nor HDF5"),
        (b"GIF89a no weights", "neither a PyTorch file of plain tensors nor HDF5"),
        (pickle.dumps({"features": print}), "neither a PyTorch file of plain tensors nor HDF5"),
        (b"\x89HDF\r\n\x1a\n cut off", "a damaged HDF5 file"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(TconvError, match=message) as caught:
        read_vgg16(path, MEAN, DEVIATION)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_networks_are_refused_by_what_they_lack(tmp_path: Path) -> None:
    torch.save({"layer1.weight": torch.zeros(2)}, tmp_path / "resnet.pt")
    with pytest.raises(TconvError, match=r"lacks 'features\.0\.weight'"):
        read_vgg16(tmp_path / "resnet.pt", MEAN, DEVIATION)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(TconvError, match="not a state dict"):
        read_vgg16(tmp_path / "list.pt", MEAN, DEVIATION)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["dense/0"] = [1.0]
    with pytest.raises(TconvError, match="lacks 'block1/layers/conv2d/vars'"):
        read_vgg16(tmp_path / "other.h5", MEAN, DEVIATION)
    with pytest.raises(TconvError, match="cannot be read"):
        read_vgg16(tmp_path / "none", MEAN, DEVIATION)


FIRST = "block1/layers/conv2d/vars"


def _external(file: Any, name: str, secret: Path) -> None:
    file.create_dataset(name, (2,), "f4", external=[(str(secret), 0, 8)])


def _virtual(file: Any, name: str, secret: Path) -> None:
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "d", (2,))
    file.create_virtual_dataset(name, layout)


POINTING: dict[str, tuple[Callable[[Any, str, Path], None], str]] = {
    "to another file": (
        lambda f, n, s: f.__setitem__(n, h5py.ExternalLink(str(s), "/d")),
        "points elsewhere",
    ),
    "by a soft link": (lambda f, n, s: f.__setitem__(n, h5py.SoftLink("/nowhere")), "points elsewhere"),
    "to raw bytes": (_external, "lies in another file"),
    "to a part of another file": (_virtual, "lies in another file"),
    "to a group": (lambda f, n, s: f.create_group(n), "as numbers along 1 axes"),
    "to text": (lambda f, n, s: f.__setitem__(n, "text"), "as numbers along 1 axes"),
    "to more axes": (lambda f, n, s: f.__setitem__(n, [[1.0]]), "as numbers along 1 axes"),
    "to a bomb": (
        lambda f, n, s: f.create_dataset(n, (1 << 40,), "f4", chunks=(1 << 16,), compression="gzip"),
        "of up to 2,359,296 numbers",
    ),
}


@pytest.mark.parametrize("name", POINTING)
def test_what_hdf5_does_not_hold_itself_is_not_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"8 bytes!")
    change, said = POINTING[name]
    path = keras_file(tmp_path / "w.h5")
    with h5py.File(path, "a") as file:
        del file[f"{FIRST}/1"]
        change(file, f"{FIRST}/1", tmp_path / "secret")
    with pytest.raises(TconvError, match=said):
        read_vgg16(path, MEAN, DEVIATION)


def test_a_group_that_points_elsewhere_is_not_followed(tmp_path: Path) -> None:
    path, other = keras_file(tmp_path / "w.h5"), keras_file(tmp_path / "other.h5")
    with h5py.File(path, "a") as file:
        del file["block1/layers"]
        file["block1/layers"] = h5py.ExternalLink(str(other), "/block1/layers")
    with pytest.raises(TconvError, match="points elsewhere"):
        read_vgg16(path, MEAN, DEVIATION)


def test_a_net_takes_what_fits(tmp_path: Path) -> None:
    """The stand-ins' odd widths fit nowhere but in the first layer of a net of width 2."""
    net = FCN(2, backbone="vgg16", width=2)
    expected = read_vgg16(keras_file(tmp_path / "w"), MEAN, DEVIATION)
    report = net.init_from({f"backbone.{name}": value for name, value in expected.items()})
    assert "backbone.stage1.conv1.weight" in report.copied
    assert "backbone.stage3.conv1.weight" in report.other_shape
    assert "backbone.fc6.weight" in report.missing
    assert torch.equal(net.backbone.stage1.conv1.weight, expected["stage1.conv1.weight"])
