"""Projections against Captum's Deconvolution, and against gradients with another rule for ReLU."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="projections are of PyTorch's networks")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from tconv.nets import FCN, project  # noqa: E402
from tconv.nets.efficientnet_lite import EfficientNetLite0  # noqa: E402
from tests.helpers import refused_in_one_line  # noqa: E402


class Mixed(nn.Module):
    """Whatever has a way back, as modules and functions; overlapping pools, a residual addition."""

    def __init__(self, relu: Callable[[Tensor], Tensor], relu6: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.relu, self.relu6 = relu, relu6
        self.one = nn.Conv2d(3, 8, 5, 2, 2)
        self.norm = nn.BatchNorm2d(8)
        self.two = nn.Conv2d(8, 8, 3, padding="same", dilation=2, groups=4, padding_mode="reflect")
        self.three = nn.Conv2d(16, 6, (3, 2), (2, 1))
        self.up = nn.ConvTranspose2d(6, 6, 3, 2)
        self.end = nn.Linear(6 * 4, 5)
        self.scale = torch.tensor([2.0, 1.0, 0.5]).view(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.one((x - 0.1) * self.scale)))
        x = F.max_pool2d(F.pad(x, (1, 2, 0, 1)), 3, 2, 1)
        x = x + self.relu6(self.two(x))
        x = torch.cat([x, F.avg_pool2d(x, 3, 1, 1)], 1)
        x = self.relu(self.up(F.max_pool2d(self.three(x), 2, 1)))
        return self.end(F.adaptive_avg_pool2d(x, 2).flatten(1))


class _Rectified(torch.autograd.Function):
    """A ReLU whose way back rectifies what comes back and ignores what went in."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float) -> Tensor:
        return x.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.clamp(min=0), None


class Rectifier(nn.Module):
    """The same as a module."""

    def __init__(self, top: float = float("inf")) -> None:
        super().__init__()
        self.top = top

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = _Rectified.apply(x, self.top)
        return made


def random(module: nn.Module, seed: int = 0) -> Any:
    """The module with random numbers, also in its norms."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5 if "var" in name else torch.randn_like(value) * 0.5)
    return module.eval()


CAPTUMS = {
    "2-d": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.BatchNorm2d(8),
            nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(8, 6, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, 10), nn.ReLU(),
        ),
        (3, 48, 51),
    ),
    "unread": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3, 4), nn.ReLU(), nn.Conv2d(4, 4, 2, 3)), (2, 30, 26)),
}  # fmt: skip


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("kind", CAPTUMS)
def test_projections_are_captums(kind: str, guided: bool) -> None:
    attr = pytest.importorskip("captum.attr", reason="captum is not installed")
    method = attr.GuidedBackprop if guided else attr.Deconvolution
    make, shape = CAPTUMS[kind]
    net = random(make())
    picture = torch.randn(shape)
    seen = 0
    for layer in range(len(net)):
        for unit in range(4):
            found = project(net, picture, str(layer), unit, guided=guided)
            # An activation below 0 comes back as another thing than that many times one of 1.
            if found.activation <= 0:
                continue
            until = copy.deepcopy(net[: layer + 1])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that it sets hooks
                truth = method(until).attribute(picture[None].clone(), target=(unit, *found.at))[0]
            torch.testing.assert_close(found.picture, found.activation * truth, rtol=1e-5, atol=1e-5)
            seen += bool(found.picture.any())
    assert seen > len(net)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layer", ["one", "norm", "two", "three", "up", "end"])
def test_projections_are_gradients_with_another_rule_for_relu(layer: str, dtype: torch.dtype) -> None:
    ours = random(Mixed(nn.ReLU(inplace=True), F.relu6)).to(dtype)
    ours.scale = ours.scale.to(dtype)
    theirs = copy.deepcopy(ours)
    theirs.relu = Rectifier()
    theirs.relu6 = Rectifier(6.0)
    picture = torch.randn(3, 37, 40, dtype=dtype)
    for unit in range(5):
        found = project(ours, picture, layer, unit)
        outputs: list[Tensor] = []
        hook = theirs.get_submodule(layer).register_forward_hook(lambda m, x, y, held=outputs: held.append(y))
        x = picture[None].clone().requires_grad_()
        theirs(x)
        hook.remove()
        out = outputs[0]
        assert out[0, unit].max() == out[(0, unit, *found.at)]
        assert abs(out[(0, unit, *found.at)].item() - found.activation) < 1e-5
        start = torch.zeros_like(out)
        start[(0, unit, *found.at)] = out[(0, unit, *found.at)].detach()
        (truth,) = torch.autograd.grad(out, x, start)
        near = 1e-5 if dtype == torch.float32 else 1e-12
        assert (found.picture - truth[0]).abs().max() <= near * truth.abs().max()
        assert found.picture.any()


@pytest.mark.parametrize("axes", [1, 3])
def test_other_numbers_of_axes(axes: int) -> None:
    """One and three axes; a `picture` has the three axes that pictures have, or four with its batch."""
    pool, conv = [(nn.MaxPool1d, nn.Conv1d), (nn.MaxPool3d, nn.Conv3d)][axes == 3]

    class Folded(nn.Module):
        """Takes the picture's axes for others: rows as time, or channels as depth."""

        def __init__(self, relu: nn.Module | Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.conv, self.pool, self.last, self.relu = conv(1, 4, 3), pool(3, 2), conv(4, 3, 2), relu

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(2) if axes == 1 else x[:, None]
            return self.last(self.pool(self.relu(self.conv(x))))

    net = random(Folded(torch.relu))
    truth = copy.deepcopy(net)
    truth.relu = Rectifier()
    picture = torch.randn((1, 6, 7) if axes == 1 else (9, 10, 11))
    found = project(net, picture, "last", 1)
    x = picture[None].clone().requires_grad_()
    out = truth(x)
    start = torch.zeros_like(out)
    start[(0, 1, *found.at)] = found.activation
    (grad,) = torch.autograd.grad(out, x, start)
    torch.testing.assert_close(found.picture, grad[0], rtol=1e-5, atol=1e-5)
    assert found.picture.any()


WINDOWS = {
    "chain": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3, 2, 1), nn.AvgPool2d(3, 2, 1), nn.ZeroPad2d((2, 0, 1, 0)), nn.ReLU6(),
        nn.Conv2d(3, 3, (2, 3), padding=(0, 2), dilation=(3, 2)), nn.BatchNorm2d(3), nn.AvgPool2d(2),
    ),
    "lite": EfficientNetLite0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "layer"), [("chain", "6"), ("lite", "blocks.2"), ("lite", "blocks.4.expand")]
)
def test_the_window_is_what_the_activation_depends_on(kind: str, layer: str) -> None:
    """With positive filters and no switches, it is where the gradient is not 0."""
    net = WINDOWS[kind]().eval().double()
    with torch.no_grad():
        for value in net.parameters():
            value.fill_(0.01)  # small, or ReLU6 would cut
    picture = torch.rand(2 if kind == "chain" else 3, 120, 97, dtype=torch.float64) * 0.1
    outputs: list[Tensor] = []
    net.get_submodule(layer).register_forward_hook(lambda m, x, y: outputs.append(y))
    x = picture[None].clone().requires_grad_()
    with torch.enable_grad():
        net(x)
    sizes = outputs[0].shape[2:]
    for at in ((0, 0), (sizes[0] - 1, sizes[1] - 1), (sizes[0] // 2, sizes[1] // 3)):
        found = project(net, picture, layer, 1, at)
        (grad,) = torch.autograd.grad(outputs[0][(0, 1, *at)], x, retain_graph=True)
        rows, columns = grad[0].abs().sum(0).nonzero(as_tuple=True)
        assert found.window == (
            slice(int(rows.min()), int(rows.max()) + 1),
            slice(int(columns.min()), int(columns.max()) + 1),
        )


def vgg() -> FCN:
    return random(FCN(3, backbone="vgg16", width=4))


def test_a_crop_on_the_grid_of_the_pools_has_the_projection_of_the_whole() -> None:
    backbone = vgg().backbone
    picture = torch.randn(3, 160, 192)
    whole = project(backbone, picture, "stage3.conv2", 5, (19, 21))
    rows, columns = whole.window
    top, left = (part.start // 4 * 4 for part in (rows, columns))
    crop = picture[:, top : rows.stop, left : columns.stop]
    part = project(backbone, crop, "stage3.conv2", 5, (19 - top // 4, 21 - left // 4))
    assert part.activation == pytest.approx(whole.activation, rel=1e-5)
    # In float32 a sum near 0 may be rounded to either side of a ReLU: relative to the largest number.
    expected = whole.picture[:, top : rows.stop, left : columns.stop]
    torch.testing.assert_close(part.picture, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    inside = torch.zeros_like(whole.picture)
    inside[:, rows, columns] = whole.picture[:, rows, columns]
    assert torch.equal(inside, whole.picture)


def test_an_fcn_can_be_projected_up_to_its_labels() -> None:
    """Through this project's own transposed convolutions, which upsample the scores."""
    net = vgg()
    picture = torch.randn(3, 64, 64)
    names = [name for name, module in net.named_modules() if type(module).__name__ == "ConvTranspose2d"]
    assert names
    for name in names:
        assert project(net, picture, name, 1).picture.any()


def test_without_switches_the_picture_does_not_matter() -> None:
    """Nothing of the picture but the activation enters the way back: ReLUs look at what comes back alone."""
    net = random(nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU()))
    pooled = random(nn.Sequential(*copy.deepcopy(net), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU()))
    for last in (net[2], pooled[5]):
        nn.init.constant_(last.bias, 1000)  # active wherever it is asked
    one, other = torch.randn(2, 3, 24, 24)

    def same(model: nn.Module, layer: str) -> bool:
        a, b = (project(model, picture, layer, 2, (1, 1)) for picture in (one, other))
        return torch.allclose(a.picture * b.activation, b.picture * a.activation, rtol=1e-4, atol=1e-5)

    assert same(net, "3")
    assert not same(pooled, "6")


def test_nothing_is_left_behind() -> None:
    net = random(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sigmoid()))
    net.train()
    net[1].eval()
    state = copy.deepcopy(net.state_dict())
    picture = torch.randn(1, 1, 8, 8)
    before = picture.clone()
    assert project(net, picture, "2", 1).picture.shape == picture.shape
    refused_in_one_line(lambda: project(net, picture, "3", 1), ["sigmoid"])
    assert [module.training for module in net] == [True, False, True, True]
    assert torch.equal(picture, before)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


class Does(nn.Module):
    """A layer `conv`, then anything, then a layer `end`."""

    def __init__(self, what: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.conv, self.what, self.end = nn.Conv2d(1, 2, 3), what, nn.Identity()

    def forward(self, x: Tensor) -> Any:
        return self.end(self.what(self.conv(x)))


def written_through_a_view(x: Tensor) -> Tensor:
    x[:, :1].relu_()
    return x * 2


NO_WAY_BACK: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "sigmoid": (torch.sigmoid, "sigmoid is on the way back"),
    "leaky": (nn.LeakyReLU(), "leaky_relu is on the way back"),
    "a product of two": (lambda x: x * x.mean((2, 3), keepdim=True), "mul is on the way back"),
    "one over": (lambda x: 1 / x, "reciprocal is on the way back"),
    "a clamp below": (lambda x: x.clamp(-1, 1), "clamp is on the way back"),
    "norms of the batch": (nn.InstanceNorm2d(2), "native_batch_norm is on the way back"),
    "layer norm": (nn.LayerNorm(4), "native_layer_norm is on the way back"),
    "whole numbers": (lambda x: x.long(), "_to_copy is on the way back"),
    "NumPy": (lambda x: torch.from_numpy(x.numpy()) * 2, "that PyTorch did not compute"),
    "a view": (written_through_a_view, "changed in place through a view"),
    "a constant": (lambda x: torch.ones(1, 2, 4, 4), "does not depend on the picture"),
    "a dictionary": (lambda x: {"x": x}, "gives dict"),
    "an error": (lambda x: x.view(7), "cannot take a picture of shape (1, 1, 6, 6)"),
}


@pytest.mark.parametrize("kind", NO_WAY_BACK)
def test_what_has_no_way_back_is_refused_in_one_line(kind: str) -> None:
    what, said = NO_WAY_BACK[kind]
    refused_in_one_line(lambda: project(Does(what), torch.randn(1, 6, 6), "end", 0), [said])


def test_an_error_names_the_module() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.GELU()))
    refused_in_one_line(lambda: project(net, torch.randn(1, 6, 6), "1", 0), ["layer '1.0': gelu"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layer": "cnov"}, "layer 'cnov' is unknown; did you mean 'conv'?"),
        ({"layer": "\x1b[2J"}, "is unknown"),
        ({"layer": "spare"}, "does not run its layer 'spare'"),
        ({"unit": 2}, "unit 2 is not there; layer 'conv' has 2, so that 0 to 1 would fit"),
        ({"unit": -1}, "unit -1"),
        ({"unit": True}, "unit True"),
        ({"unit": 1.0}, "unit 1.0"),
        ({"at": (0,)}, "at=(0,) has 1 indices"),
        ({"at": (0, 4)}, "position 4 is not there; layer 'conv' has a map of (4, 4), so that 0 to 3"),
        ({"picture": torch.randn(6, 6)}, "shape (6, 6)"),
        ({"picture": torch.randn(2, 1, 6, 6)}, "shape (2, 1, 6, 6)"),
        ({"picture": torch.randn(3, 6, 6)}, "cannot take a picture of shape (1, 3, 6, 6)"),
        ({"picture": torch.randn(1, 2, 2)}, "cannot take a picture of shape (1, 1, 2, 2)"),
        ({"picture": torch.zeros(1, 0, 6)}, "shape (1, 0, 6)"),
        ({"picture": torch.zeros(1, 6, 6, dtype=torch.uint8)}, "torch.uint8"),
        ({"picture": torch.zeros(1, 6, 6).to_sparse()}, "torch.sparse_coo"),
        ({"picture": torch.full((1, 6, 6), float("nan"))}, "not finite"),
        ({"picture": "picture.png"}, "picture is str"),
    ],
)  # fmt: skip
def test_hostile_arguments_are_refused_in_one_line(change: dict[str, Any], said: str) -> None:
    net = Does(lambda x: x)
    net.spare = nn.ReLU()
    asked = {"picture": torch.randn(1, 6, 6), "layer": "conv", "unit": 0, **change}
    refused_in_one_line(lambda: project(net, **asked), [said])
