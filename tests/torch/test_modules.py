"""tconv.torch's layers stand where torch.nn's stood: same parameters, state, words and answers."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

import tconv.torch
from tconv import TconvError
from tconv.torch import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tests.helpers import refused_in_one_line
from tests.torch.helpers import CASES, options, tensors

OURS = {axes: getattr(tconv.torch, f"ConvTranspose{axes}d") for axes in (1, 2, 3)}
THEIRS = {axes: getattr(nn, f"ConvTranspose{axes}d") for axes in (1, 2, 3)}
BUILDS = [
    (1, (4, 6, 3), {}),
    (1, (4, 6, 5), {"stride": 2, "padding": 1, "bias": False}),
    (2, (16, 33, (3, 5)), {"stride": (2, 1), "padding": (4, 2)}),
    (2, (4, 8, 4, 2, 1), {"groups": 4, "dtype": torch.float64}),
    (2, (4, 8, 3, 2, 1, 1, 2, False, 2), {}),
    (3, (2, 4, (3, 5, 2)), {"stride": (2, 1, 1), "padding": (0, 4, 0), "output_padding": (1, 0, 0)}),
]


def both(axes: int, args: tuple, kwargs: dict) -> tuple[nn.Module, nn.Module]:
    made = []
    for kind in (OURS, THEIRS):
        torch.manual_seed(5)
        made.append(kind[axes](*args, **kwargs))
    return made[0], made[1]


@pytest.mark.parametrize(("axes", "args", "kwargs"), BUILDS, ids=str)
def test_built_as_pytorchs(axes: int, args: tuple, kwargs: dict) -> None:
    ours, theirs = both(axes, args, kwargs)
    assert isinstance(ours, THEIRS[axes])
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert type(a) is nn.Parameter
        assert a.requires_grad
        assert torch.equal(a, b)  # the same numbers drawn in the same order
    x = torch.randn(2, ours.in_channels, *range(5, 5 + axes), dtype=ours.weight.dtype)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_signatures_are_pytorchs(axes: int) -> None:
    for name in ("__init__", "forward"):
        ours, theirs = (inspect.signature(getattr(kind[axes], name)) for kind in (OURS, THEIRS))
        extras = [p for p in ours.parameters.values() if p.name not in theirs.parameters]
        assert all(p.kind is p.KEYWORD_ONLY and p.default is None for p in extras)
        assert [(p.name, p.default, p.kind) for p in ours.parameters.values() if p not in extras] == [
            (p.name, p.default, p.kind) for p in theirs.parameters.values()
        ]


@pytest.mark.parametrize("case", CASES)
def test_layers_are_pytorchs(case: str) -> None:
    g = CASES[case]
    x, weight, bias, _ = tensors(g)
    spelled = {**options(g), "kernel_size": g.kernel}
    answers = []
    for kind in (OURS, THEIRS):
        layer = kind[g.axes](g.in_channels, g.out_channels, **spelled)
        layer.load_state_dict({"weight": weight, "bias": bias})
        answers.append(layer(x))
    assert torch.equal(*answers)


def test_states_go_both_ways() -> None:
    ours, theirs = both(2, (4, 6, 3), {"stride": 2})
    with torch.no_grad():
        ours.weight.mul_(2)
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(theirs.weight, ours.weight)
    with torch.no_grad():
        theirs.bias.add_(1)
    file = io.BytesIO()
    torch.save(theirs.state_dict(), file)
    file.seek(0)
    ours.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(ours.bias, theirs.bias)
    assert ours.state_dict()._metadata == theirs.state_dict()._metadata


def test_copies_and_pickles() -> None:
    layer, x = ConvTranspose2d(3, 2, 4, 2, 1), torch.randn(1, 3, 5, 5)
    for other in (
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        copy.deepcopy(nn.Sequential(layer))[0],
    ):
        assert type(other) is ConvTranspose2d
        assert torch.equal(other(x), layer(x))
        with torch.no_grad():
            other.weight.zero_()
        assert layer.weight.any()
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(x), layer(x))


@pytest.mark.parametrize(
    ("axes", "size"), [(1, (10,)), (2, (9, 10)), (2, [10, 9]), (3, (9, 9, 10)), (2, torch.Size([10, 10]))]
)
def test_output_size_is_pytorchs(axes: int, size: tuple) -> None:
    ours, theirs = both(axes, (2, 3, 3, 2, 1), {})
    x = torch.randn(1, 2, *(5,) * axes)
    expected = theirs(x, output_size=list(size))
    for spelled in (size, (1, 3, *size)):
        made = ours(x, output_size=spelled)
        assert made.shape == expected.shape == (1, 3, *size)
        torch.testing.assert_close(made, expected)
    assert ours(x[0], output_size=size).shape == (3, *size)
    assert ours(x[0], output_size=(3, *size)).shape == (3, *size)


def test_an_output_size_of_its_own_travels_in_a_sequence() -> None:
    x = torch.randn(2, 4, 28, 19)
    up = ConvTranspose2d(4, 3, 3, 2, 1, output_size=(56, 37))
    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), up, nn.ReLU())
    assert net(x).shape == (2, 3, 56, 37)
    assert net(x[0]).shape == (3, 56, 37)
    assert torch.equal(net[1](x), theirs_of(up)(x, output_size=[56, 37]))
    assert up(x, output_size=(55, 38)).shape == (2, 3, 55, 38)  # of this call
    assert "output_size=(56, 37)" in repr(up)
    assert copy.deepcopy(net)(x).shape == pickle.loads(pickle.dumps(net))(x).shape == (2, 3, 56, 37)
    assert ConvTranspose1d(4, 3, 3, 2, 1, output_size=10)(torch.ones(1, 4, 5)).shape == (1, 3, 10)
    torch._dynamo.reset()
    assert torch.equal(torch.compile(up, fullgraph=True, backend="aot_eager")(x), up(x))
    assert torch.equal(torch.export.export(net, (x,)).module()(x), net(x))


def theirs_of(layer: nn.Module) -> nn.Module:
    made = nn.ConvTranspose2d(4, 3, 3, 2, 1)
    made.load_state_dict(layer.state_dict())
    return made


#: As written -> what it crops (negative: adds): top, bottom, left, right, for kernel (3, 4) and stride 2.
PADDINGS = [
    ("same", (0, 1, 1, 1)),
    ("valid", (0, 0, 0, 0)),
    (((0, 1), (2, 0)), (0, 1, 2, 0)),
    (((1, -1), 0), (1, -1, 0, 0)),
    (-1, (-1, -1, -1, -1)),
    ([(1, 1), [0, 0]], (1, 1, 0, 0)),
]


@pytest.mark.parametrize(("padding", "sides"), PADDINGS, ids=str)
def test_paddings_that_pytorch_refuses(padding: object, sides: tuple[int, ...]) -> None:
    layer = ConvTranspose2d(4, 6, (3, 4), 2, padding, groups=2, activation="relu")
    plain = nn.ConvTranspose2d(4, 6, (3, 4), 2, groups=2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.randint(-3, 4, layer.weight.shape))
        layer.bias.copy_(torch.randint(-3, 4, layer.bias.shape))
        plain.weight.copy_(layer.weight)
    x = torch.randint(-3, 4, (2, 4, 5, 3)).float()
    top, bottom, left, right = sides
    full = functional.pad(plain(x), (-left, -right, -top, -bottom))
    expected = (full + layer.bias.reshape(-1, 1, 1)).relu()
    for each in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(each(x), expected)
        assert repr(each) == repr(layer)
    with pytest.raises(TconvError, match="cannot be reached"):
        layer(x, output_size=[n - 1 for n in expected.shape[2:]])
    more = layer(x, output_size=[n + 1 for n in expected.shape[2:]])
    assert torch.equal(more[:, :, :-1, :-1], expected)


def test_how_paddings_are_told() -> None:
    for padding, told in {
        "same": "padding=((0, 1), (1, 1))",
        ((1, 1), (2, 2)): "padding=(1, 2)",
        -1: "padding=(-1, -1)",
        ((0, 0), (1, 0)): "padding=((0, 0), (1, 0))",
    }.items():
        assert repr(ConvTranspose2d(4, 6, (3, 4), 2, padding)) == (
            f"ConvTranspose2d(4, 6, kernel_size=(3, 4), stride=(2, 2), {told})"
        )
    assert "padding" not in repr(ConvTranspose2d(4, 6, 2, 2, "same"))
    layer = ConvTranspose2d(4, 6, 3, 1, 1, padding_mode="reflect")
    assert "padding=(1, 1), padding_mode=reflect" in repr(layer)


LAZY = {axes: getattr(tconv.torch, f"LazyConvTranspose{axes}d") for axes in (1, 2, 3)}


@pytest.mark.parametrize(("axes", "args", "kwargs"), BUILDS, ids=str)
def test_lazy_layers_become_ours(axes: int, args: tuple, kwargs: dict) -> None:
    lazy = LAZY[axes](*args[1:], **kwargs)
    theirs = getattr(nn, f"LazyConvTranspose{axes}d")(*args[1:], **kwargs)
    assert repr(lazy) == repr(theirs)
    assert pickle.loads(pickle.dumps(lazy)).has_uninitialized_params()
    x = torch.randn(2, args[0], *range(5, 5 + axes), dtype=theirs.weight.dtype)
    for layer in (copy.deepcopy(lazy), lazy, theirs):
        torch.manual_seed(5)
        layer(x[0])
    assert type(lazy) is OURS[axes]
    assert repr(lazy) == repr(theirs)
    assert list(lazy.state_dict()) == list(theirs.state_dict())
    assert all(map(torch.equal, lazy.parameters(), theirs.parameters()))
    fresh = LAZY[axes](*args[1:], **kwargs)
    fresh.load_state_dict(theirs.state_dict())  # makes the parameters
    torch.testing.assert_close(fresh(x), theirs(x))


def test_lazy_layers_take_what_ours_take() -> None:
    lazy = LAZY[2](3, 3, 2, "same", padding_mode="circular", activation="relu", output_size=(10, 12))
    eager = ConvTranspose2d(
        4, 3, 3, 2, "same", padding_mode="circular", activation="relu", output_size=(10, 12)
    )
    x = torch.randn(1, 4, 5, 6)
    lazy(x)
    eager.load_state_dict(lazy.state_dict())
    assert repr(lazy) == repr(eager)
    assert torch.equal(lazy(x), eager(x))
    with pytest.raises(TconvError, match=r"in_channels=4 .* groups=3"):
        LAZY[2](3, 3, groups=3)(x)
    with pytest.raises(TconvError, match=r"out_channels=4 .* groups=3"):
        LAZY[2](4, 3, groups=3)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (3, 1), (1, 3), (2, 3)])
def test_every_size_that_an_output_padding_gives(stride: int, dilation: int) -> None:
    """PyTorch's layers stop at the stride, though output padding may go up to the dilation."""
    x = torch.randint(-3, 4, (1, 2, 5)).float()
    layer = ConvTranspose1d(2, 3, 4, stride, 1, dilation=dilation)
    least = layer(x).shape[-1]
    for extra in range(max(stride, dilation)):
        made = layer(x, output_size=[least + extra])
        expected = functional.conv_transpose1d(x, layer.weight, layer.bias, stride, 1, extra, 1, dilation)
        torch.testing.assert_close(made, expected)
    for size in (least - 1, least + max(stride, dilation)):
        with pytest.raises(TconvError, match=f"output_size=\\[{size}\\] cannot be reached"):
            layer(x, output_size=[size])


def test_an_encoder_is_undone_in_size() -> None:
    """PyTorch's own example: any size comes back from its halves."""
    down, up = nn.Conv2d(4, 4, 3, stride=2, padding=1), ConvTranspose2d(4, 4, 3, stride=2, padding=1)
    for size in ((12, 12), (11, 12), (7, 1)):
        x = torch.randn(1, 4, *size)
        assert up(down(x), output_size=x.size()).shape == x.shape


X = torch.ones(1, 4, 5, 5)
REFUSED: dict[str, tuple[Callable[[], object], list[str]]] = {
    "padding mode": (lambda: ConvTranspose2d(4, 2, 3, padding_mode="mirror"), ["'mirror'", "zeros, reflect"]),
    "padding word": (lambda: ConvTranspose2d(4, 2, 3, padding="full"), ["padding='full'", '"same"']),
    "two sizes": (
        lambda: ConvTranspose2d(4, 2, 3, 2, output_padding=1, output_size=5),
        ["output_size=5 and output_padding=1"],
    ),
    "an output size of three": (
        lambda: ConvTranspose2d(4, 2, 3, 2, output_size=(5, 5, 5)),
        ["output_size=(5, 5, 5)", "3 entries"],
    ),
    "in channels": (lambda: ConvTranspose1d(5, 4, 3, groups=2), ["in_channels=5", "groups=2"]),
    "out channels": (lambda: ConvTranspose3d(4, 5, 3, groups=2), ["out_channels=5", "groups=2"]),
    "groups": (lambda: ConvTranspose2d(4, 4, 3, groups=0), ["groups=0"]),
    "rank": (lambda: ConvTranspose2d(4, 2, 3)(X[0, 0]), ["(5, 5)", "4 axes, or 3"]),
    "rank with a size": (
        lambda: ConvTranspose2d(4, 2, 3)(X[0, 0], output_size=(5, 5)),
        ["(5, 5)", "4 axes, or 3"],
    ),
    "channels": (lambda: ConvTranspose2d(3, 2, 3)(X), ["4 channels", "takes 3"]),
    "output size": (
        lambda: ConvTranspose2d(4, 2, 3, 2, 1)(X, output_size=(9, 12)),
        ["ConvTranspose2d(4, 2, kernel_size=(3, 3)", "(9, 12)", "[9, 9] to [10, 10]"],
    ),
    "output size of three": (
        lambda: ConvTranspose2d(4, 2, 3)(X, output_size=(7, 7, 7)),
        ["(7, 7, 7)", "2 or 4 elements"],
    ),
    "output size as an int": (lambda: ConvTranspose2d(4, 2, 3)(X, output_size=7), ["output_size=7"]),
    "stride": (lambda: ConvTranspose2d(4, 2, 3, stride=0)(X), ["stride 0 on axis 0"]),
    "output padding": (lambda: ConvTranspose2d(4, 2, 3, output_padding=1)(X), ["output_padding 1", "= 1"]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_is_one_clear_line(what: str) -> None:
    refused_in_one_line(*REFUSED[what])


def trained(up: type[nn.ConvTranspose2d], steps: int = 8) -> list[torch.Tensor]:
    torch.manual_seed(6)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        up(8, 6, 4, 2, 1), nn.Tanh(), up(6, 6, 3, 1, 1, groups=3, bias=False), nn.ReLU(), up(6, 1, 1),
    )  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    x = torch.rand(4, 1, 12, 14)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (net(x) - x).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    assert losses[-1] < losses[0]
    return [torch.stack(losses), *(p.detach() for p in net.parameters())]


def test_training_is_pytorchs() -> None:
    for actual, expected in zip(trained(ConvTranspose2d), trained(nn.ConvTranspose2d), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-5)


def test_layers_under_parametrizations_and_dtypes() -> None:
    x = torch.randn(1, 4, 5, 5)
    ours, theirs = both(2, (4, 2, 3), {})
    for wrap in (nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm):
        torch.manual_seed(7)
        a = wrap(copy.deepcopy(ours))(x)
        torch.manual_seed(7)
        torch.testing.assert_close(a, wrap(copy.deepcopy(theirs))(x))
    for dtype in (torch.float64, torch.bfloat16):
        assert ours.to(dtype)(x.to(dtype)).dtype is dtype
