"""FCN: sizes, alignment, receptive field, and weights handed from net to net."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from tconv.errors import TconvError  # noqa: E402
from tconv.nets import BACKBONES, NETS, UPSAMPLINGS  # noqa: E402
from tconv.nets.fcn import FCN  # noqa: E402
from tconv.nets.upsampling import upsampler  # noqa: E402

PUBLISHED = ("fcn32s", "fcn16s", "fcn8s", "fcn4s")
INTERPOLATING = ("learned", "fixed", "stack", "subpixel", "bilinear")


def tiny(net: str = "fcn8s", upsampling: str = "learned", **options: Any) -> FCN:
    torch.manual_seed(0)
    return FCN(3, net=net, upsampling=upsampling, **{"in_channels": 1, "width": 2, **options}).eval()


def scored(net: FCN) -> FCN:
    """With score layers that are not zero."""
    for score in net.score.values():
        nn.init.normal_(score.weight)
    return net


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("net", NETS)
@torch.no_grad()
def test_scores_have_the_size_of_any_picture(net: str, upsampling: str) -> None:
    model = tiny(net, upsampling)
    for height, width in ((1, 1), (2, 31), (13, 7), (32, 33), (64, 97)):
        assert model(torch.rand(2, 1, height, width)).shape == (2, 3, height, width)


class Places(nn.Module):
    """Stand-in features: at every stride the mean of the pixels that a cell pools."""

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        return {stride: self.pooled(x, stride) for stride in (4, 8, 16, 32)}

    def pooled(self, x: Tensor, stride: int) -> Tensor:
        return nn.functional.avg_pool2d(x, stride, ceil_mode=True, count_include_pad=False)


class Corners(Places):
    """The same where cell i of stride s lies at pixel s * i."""

    def pooled(self, x: Tensor, stride: int) -> Tensor:
        return x[..., ::stride, ::stride]


BACKBONES_BY_PLACE = {"small": Places, "efficientnet-lite0": Corners}


def with_places(net: str, upsampling: str, backbone: str = "small") -> FCN:
    """An FCN whose two scores are the two channels of its picture, carried through pooling and back."""
    model = FCN(2, net=net, upsampling=upsampling, in_channels=2, backbone=backbone).double()
    model.backbone = BACKBONES_BY_PLACE[backbone]()
    for name, score in model.score.items():
        score = nn.Conv2d(2, 2, 1, bias=False, dtype=torch.float64)
        nn.init.dirac_(score.weight)
        model.score[name] = score
    return model


@pytest.mark.parametrize("backbone", BACKBONES_BY_PLACE)
@pytest.mark.parametrize("upsampling", INTERPOLATING)
@pytest.mark.parametrize("net", PUBLISHED)
@pytest.mark.parametrize("size", [(256, 320), (257, 263), (319, 290)])
@torch.no_grad()
def test_a_ramp_comes_back_unmoved(net: str, upsampling: str, size: tuple[int, int], backbone: str) -> None:
    """Each fused stream rebuilds the ramp exactly: a shift of half a pixel anywhere would show as 0.5."""
    height, width = size
    rows = torch.arange(height, dtype=torch.float64).view(-1, 1).expand(size)
    columns = torch.arange(width, dtype=torch.float64).expand(size)
    ramp = torch.stack([rows, columns])[None]
    scores = with_places(net, upsampling, backbone)(ramp)
    streams = {"fcn32s": 1, "fcn16s": 2, "fcn8s": 3, "fcn4s": 4}[net]
    inner = (..., slice(64, height - 96), slice(64, width - 96))
    assert torch.equal(scores[inner], streams * ramp[inner])


@pytest.mark.parametrize("backbone", BACKBONES_BY_PLACE)
@pytest.mark.parametrize("upsampling", ["learned", "fixed", "subpixel"])
@pytest.mark.parametrize("net", PUBLISHED)
@torch.no_grad()
def test_transposed_convolution_starts_as_bilinear_interpolation(
    net: str, upsampling: str, backbone: str
) -> None:
    """Up to the border, and exactly: on integers every product and sum is a multiple of 2^-22."""
    picture = torch.randint(-8, 9, (2, 2, 96, 160), generator=torch.Generator().manual_seed(0)).double()
    ours, theirs = (with_places(net, kind, backbone)(picture) for kind in (upsampling, "bilinear"))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@torch.no_grad()
def test_scores_move_with_the_picture(net: str, upsampling: str) -> None:
    model = scored(tiny(net, upsampling).double())
    stride, margin = model.total_stride, model.receptive_field
    size = 2 * margin + 4 * stride
    picture = torch.rand(1, 1, size, size + stride, dtype=torch.float64)
    inner = slice(margin + stride, size - margin - stride)
    left, right = (model(part)[..., inner, inner] for part in (picture[..., :-stride], picture[..., stride:]))
    both = slice(stride, None), slice(None, -stride)
    torch.testing.assert_close(left[..., both[0]], right[..., both[1]], rtol=0, atol=1e-9)


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_no_score_sees_farther_than_the_receptive_field(upsampling: str) -> None:
    model = scored(tiny("fcn8s", upsampling).double())
    margin = model.receptive_field
    picture = torch.rand(1, 1, 2 * margin + 64, 40, dtype=torch.float64, requires_grad=True)
    for row in range(margin + 16, margin + 48, 3):
        (gradient,) = torch.autograd.grad(model(picture)[0, 0, row, 20], picture)
        seen = gradient.abs().sum((0, 1, 3)).nonzero()[:, 0]
        assert row - margin <= int(seen.min())
        assert int(seen.max()) <= row + margin


@pytest.mark.parametrize("factor", [2, 4, 8])
@torch.no_grad()
def test_nearest_from_corners_takes_the_nearest_cell(factor: int) -> None:
    """Cell i lies at factor * i; halfway between two cells the later one counts."""
    cells = torch.arange(5.0).view(1, 1, 1, 5)
    found = upsampler("nearest", 1, factor, corners=True)(cells)[0, 0, 0]
    assert found.tolist() == [min(4, int(j / factor + 0.5)) for j in range(5 * factor)]


def test_a_head_is_part_of_the_receptive_field() -> None:
    plain, headed = (tiny("fcn8s", "fixed", head=head) for head in (0, 3))
    assert headed.receptive_field == plain.receptive_field + 32
    assert headed(torch.rand(2, 1, 33, 20)).shape == (2, 3, 33, 20)
    names = {name for name, _ in headed.score.s8.named_parameters()}
    assert names == {"conv.weight", "norm.weight", "norm.bias", "score.weight", "score.bias"}


def test_width_is_no_option_of_efficientnet() -> None:
    with pytest.raises(TconvError, match="width=8 does not fit efficientnet-lite0"):
        FCN(2, backbone="efficientnet-lite0", width=8)
    with pytest.raises(TconvError, match="head=-1 does not fit"):
        FCN(2, head=-1)


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@torch.no_grad()
def test_efficientnet_answers_a_tile_as_the_whole(upsampling: str) -> None:
    """With exactly its margin, and not with one cell less."""
    torch.manual_seed(0)
    model = FCN(3, net="fcn4s", backbone="efficientnet-lite0", upsampling=upsampling, head=2).double().eval()
    for score in model.score.values():
        nn.init.normal_(score.score.weight)
    stride = model.total_stride
    margin = -(-model.receptive_field // stride) * stride
    picture = torch.randn(1, 3, margin + 3 * stride, 40, dtype=torch.float64)
    whole, tile = model(picture), model(picture[..., stride:, :])
    torch.testing.assert_close(tile[..., margin:, :], whole[..., stride + margin :, :], rtol=0, atol=1e-9)
    near = slice(stride, 2 * stride)
    assert not torch.allclose(tile[..., :stride, :], whole[..., near, :], rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_tile_with_its_margin_answers_as_the_whole() -> None:
    model = scored(tiny("fcn8s", "learned").double())
    margin = -(-model.receptive_field // model.total_stride) * model.total_stride
    picture = torch.rand(1, 1, 2 * margin + 170, 64, dtype=torch.float64)
    whole = model(picture)
    tile = model(picture[..., 64:, :])
    torch.testing.assert_close(tile[..., margin:, :], whole[..., 64 + margin :, :], rtol=0, atol=1e-9)


@torch.no_grad()
def test_weights_go_from_32s_to_16s_to_8s() -> None:
    picture = torch.rand(1, 1, 70, 90)
    before = scored(tiny("fcn32s", "fixed"))
    middle = tiny("fcn16s", "fixed")
    report = middle.init_from(before.state_dict())
    assert report.missing == (
        "score.s16.weight",
        "score.s16.bias",
        "upsample.s32to16.weight",
        "upsample.s16to1.weight",
    )
    assert report.unused == ("upsample.s32to1.weight",)
    assert not report.other_shape
    assert "new here: score.s16.weight" in str(report)
    # The new skip starts at zero, so the answer differs by the two bilinear filters' difference alone.
    assert middle(picture).argmax(1).eq(before(picture).argmax(1)).float().mean() > 0.9
    last = tiny("fcn8s", "fixed")
    assert "score.s16.weight" in last.init_from(middle.state_dict()).copied
    assert torch.equal(last.backbone.fc7.weight, before.backbone.fc7.weight)
    # One name more: a different number of classes is named, not copied.
    other = FCN(5, in_channels=1, width=2)
    assert "score.s8.weight" in other.init_from(last.state_dict()).other_shape
    with pytest.raises(TconvError, match="of 1 tensors none has"):
        last.init_from({"head.weight": torch.zeros(2)})


def test_what_is_learned() -> None:
    nets = {kind: tiny(upsampling=kind) for kind in UPSAMPLINGS}
    names = {kind: {name for name, _ in net.upsample.named_parameters()} for kind, net in nets.items()}
    assert names["learned"] == {"s32to16.up.weight", "s16to8.up.weight", "s8to1.up.weight"}
    stack = ("up1", "prelu1", "up2", "prelu2", "up3")
    assert names["stack"] == {f"s8to1.{layer}.weight" for layer in stack} | {
        "s32to16.up1.weight",
        "s16to8.up1.weight",
    }
    assert not any(names[kind] for kind in ("fixed", "nearest", "bilinear", "bicubic"))
    fixed = dict(tiny(upsampling="fixed").named_buffers())
    assert fixed["upsample.s8to1.weight"].shape == (3, 1, 16, 16)
    assert tiny().get_parameter("upsample.s8to1.up.weight").shape == (3, 3, 16, 16)
    assert tiny(dense=False).get_parameter("upsample.s8to1.up.weight").shape == (3, 1, 16, 16)


@pytest.mark.parametrize("upsampling", ["learned", "stack", "subpixel", "fixed"])
@pytest.mark.parametrize("dense", [True, False])
def test_every_parameter_learns(upsampling: str, dense: bool) -> None:
    model = scored(tiny("fcn8s", upsampling, dense=dense)).train()
    model(torch.rand(2, 1, 48, 40)).square().mean().backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_one_small_picture_is_enough_to_learn_from() -> None:
    """A picture below 32 pixels has one cell at stride 32, of which batch norm could make nothing."""
    model = scored(tiny()).train()
    model(torch.rand(1, 1, 20, 9)).square().mean().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(bool(g.isfinite().all()) for g in gradients)
    assert any(bool(g.any()) for g in gradients)


def test_at_once_scales_its_skips() -> None:
    assert tiny("fcn8s-atonce").skip_scale == {}  # its norms do it
    plain, at_once = (tiny(net, backbone="vgg16") for net in ("fcn8s", "fcn8s-atonce"))
    scored(plain)
    assert at_once.skip_scale == {16: 1e-2, 8: 1e-4}
    at_once.init_from(plain.state_dict())
    picture = torch.rand(1, 1, 64, 64)
    assert not torch.allclose(plain(picture), at_once(picture))
    # Undone in the score layers, it is the same net.
    with torch.no_grad():
        for stride, scale in at_once.skip_scale.items():
            at_once.score[f"s{stride}"].weight /= scale
    torch.testing.assert_close(plain(picture), at_once(picture), rtol=1e-4, atol=1e-4)


def test_vgg16_is_vgg16() -> None:
    with torch.device("meta"):
        model = FCN(21, backbone="vgg16")
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes["backbone.stage5.conv3.weight"] == (512, 512, 3, 3)
    assert shapes["backbone.fc6.weight"] == (4096, 512, 7, 7)
    assert shapes["backbone.fc7.weight"] == (4096, 4096, 1, 1)
    assert shapes["upsample.s8to1.up.weight"] == (21, 21, 16, 16)
    # Literature: the 13 convolutions of configuration D have 14,714,688 parameters.
    stages = sum(value.numel() for name, value in model.state_dict().items() if ".stage" in name)
    assert stages == 14_714_688
    assert sum(FCN(2, width=4, backbone="vgg16")(torch.rand(1, 3, 40, 50)).shape) == 1 + 2 + 40 + 50


@pytest.mark.parametrize("name", ["net", "backbone", "upsampling"])
def test_unknown_names_get_a_suggestion(name: str) -> None:
    known = {"net": NETS, "backbone": BACKBONES, "upsampling": UPSAMPLINGS}[name][0]
    with pytest.raises(TconvError, match=rf"^FCN: {name}='{known}z' is unknown; did you mean '{known}'\?$"):
        FCN(2, **{name: known + "z"})
    with pytest.raises(TconvError, match=r"is unknown; .* would fit"):
        FCN(2, **{name: "???"})


def test_bad_input_is_one_line() -> None:
    model = tiny()
    for shape in ((1, 8, 8), (1, 3, 8, 8), (1, 1, 0, 8)):
        with pytest.raises(TconvError) as caught:
            model(torch.zeros(shape))
        assert str(shape) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(TconvError, match="num_classes=0 is too few"):
        FCN(0)
    assert model(torch.zeros(0, 1, 8, 8)).shape == (0, 3, 8, 8)
