"""A signal in chunks gives the samples of the whole, whatever the chunks and the layer."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tconv import TconvError, views
from tconv.geometry import Geometry
from tconv.testing import load_cases
from tconv.torch import ConvTranspose1d, ConvTranspose2d, LazyConvTranspose1d, StreamingConvTranspose1d
from tests.torch.helpers import tensors


def layer_of(g: Geometry, seed: int = 0, **more: object) -> ConvTranspose1d:
    layer = ConvTranspose1d(
        g.in_channels, g.out_channels, g.kernel, g.stride, g.padding, g.output_padding, g.groups,
        dilation=g.dilation, **more,
    )  # fmt: skip
    _, weight, bias, _ = tensors(g, seed=seed)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def cut(x: Tensor, draw: random.Random) -> Iterator[Tensor]:
    """Chunks of 0, 1 and more."""
    begin = 0
    while begin < x.shape[-1]:
        length = draw.choice([0, 1, 1, 2, 3, 5, 11])
        yield x[..., begin : begin + length]
        begin += length
    yield x[..., :0]


def joined(stream: StreamingConvTranspose1d, chunks: Iterator[Tensor]) -> Tensor:
    return torch.cat([*map(stream, chunks), stream.flush()], -1)


def random_problems(count: int) -> Iterator[Geometry]:
    draw = random.Random(7)
    while count:
        groups, stride, dilation = draw.choice([1, 1, 2]), draw.randint(1, 5), draw.choice([1, 1, 2, 3])
        try:
            yield Geometry.make(
                batch=draw.choice([1, 2]),
                in_channels=groups * draw.randint(1, 3),
                out_channels=groups * draw.randint(1, 3),
                input=(draw.randint(1, 30),),
                kernel=draw.randint(1, 9),
                stride=stride,
                padding=((draw.randint(-3, 5), draw.randint(-3, 7)),),
                output_padding=draw.randrange(max(stride, dilation)),
                dilation=dilation,
                groups=groups,
            )
        except TconvError:  # no output
            continue
        count -= 1


PROBLEMS = [*(g for _, g in load_cases() if g.axes == 1 and g.batch), *random_problems(120)]


@torch.no_grad()
def test_chunks_are_the_whole() -> None:
    """Exactly, on whole numbers; and after every chunk as many outputs as promised."""
    draw = random.Random(1)
    uneven = 0
    for g in PROBLEMS:
        x, weight, bias, _ = tensors(g)
        layer = layer_of(g)
        stream = StreamingConvTranspose1d.from_layer(layer)
        expected = torch.from_numpy(views.scatter(x.numpy(), weight.numpy(), g)) + bias[:, None]
        for _ in range(2):  # a stream leaves nothing to the next one
            taken, parts = 0, []
            for chunk in cut(x, draw):
                parts.append(stream(chunk))
                taken += chunk.shape[-1]
                out = sum(part.shape[-1] for part in parts)
                assert out == (max(0, taken * g.stride[0] - stream.latency) if taken else 0), g
            parts.append(stream.flush())
            assert torch.equal(torch.cat(parts, -1), expected), g
        uneven += g.padding[0][0] != g.padding[0][1]
        assert torch.equal(joined(stream, iter([x])), expected), g
        assert torch.equal(joined(stream, cut(x[0], draw)), expected[0]), g
    assert uneven > 50


LAYERS = {
    "vocoder": lambda: ConvTranspose1d(64, 32, 16, 8, 4),
    "istft": lambda: nn.ConvTranspose1d(130, 1, 256, 64, padding=96, bias=False),
    "depthwise": lambda: ConvTranspose1d(24, 24, 4, 2, "same", groups=24),
    "dilated": lambda: ConvTranspose1d(5, 7, 3, 2, ((2, 0),), 1, dilation=3, activation="tanh"),
}


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_real_numbers(name: str) -> None:
    torch.manual_seed(2)
    layer = LAYERS[name]()
    x = torch.randn(2, layer.in_channels, 90)
    whole = layer(x)
    for length in (1, 7, 40):
        made = joined(StreamingConvTranspose1d.from_layer(layer), iter(x.split(length, -1)))
        torch.testing.assert_close(made, whole, rtol=1e-5, atol=4e-6 * whole.abs().max().item())


@torch.no_grad()
def test_to_the_bit_where_the_sum_is_the_same() -> None:
    torch.manual_seed(3)
    # With more channels a plan for short inputs adds in another order; whole numbers agree all the same.
    for layer, whole in ((ConvTranspose1d(1, 1, 16, 8, 4), False), (ConvTranspose1d(8, 8, 3, 1, 1), True)):
        x = torch.randn(1, layer.in_channels, 200)
        if whole:
            x, *_ = (value.data.mul_(8).round_() for value in (x, *layer.parameters()))
        for length in (1, 3, 33):
            made = joined(StreamingConvTranspose1d.from_layer(layer), iter(x.split(length, -1)))
            assert torch.equal(made, layer(x))


@torch.no_grad()
def test_chunks_may_be_overwritten() -> None:
    g = Geometry.parse("n1 c2>3 i9 k7 s2 p1")
    x = tensors(g)[0]
    stream, buffer = StreamingConvTranspose1d.from_layer(layer_of(g)), torch.empty(1, 2, 3)
    parts = []
    for begin in (0, 3, 6):
        buffer.copy_(x[..., begin : begin + 3])
        parts.append(stream(buffer))
        assert stream._state.kept.untyped_storage().nbytes() <= 4 * 2 * 3 * 4  # 3 inputs are enough
    assert torch.equal(torch.cat([*parts, stream.flush()], -1), layer_of(g)(x))
    stream(torch.ones(1, 2, 5000))
    assert stream._state.kept.untyped_storage().nbytes() <= 4 * 2 * 3 * 4


@torch.no_grad()
def test_streams_do_not_meet() -> None:
    g = Geometry.parse("n1 c2>3 i8 k7 s2 p1 o1")
    layer, (x, other) = layer_of(g), (tensors(g, seed=seed)[0] for seed in (1, 2))
    one, two = (StreamingConvTranspose1d.from_layer(layer) for _ in range(2))
    parts: tuple[list[Tensor], list[Tensor]] = [], []
    for a, b in zip(x.split(3, -1), other.split(3, -1), strict=True):
        parts[0].append(one(a))
        parts[1].append(two(b))
    for stream, made, given in zip((one, two), parts, (x, other), strict=True):
        assert torch.equal(torch.cat([*made, stream.flush()], -1), layer(given))
    one(other)  # forgotten
    one.reset()
    assert torch.equal(joined(one, iter([x])), layer(x))
    out = one(x[..., :5]).shape[-1]
    for twin in (copy.deepcopy(one), pickle.loads(pickle.dumps(one)), one):  # from here on by themselves
        assert torch.equal(torch.cat([twin(x[..., 5:]), twin.flush()], -1), layer(x)[..., out:])


def test_training() -> None:
    """The state is cut from the tape; the gradients of the weights are those of the whole all the same."""
    g = Geometry.parse("n2 c2>4 i9 k7 s2 p1:2 g2")
    x, _, _, y = tensors(g)
    whole, layer = layer_of(g), layer_of(g)
    whole(x).backward(y)
    stream = StreamingConvTranspose1d.from_layer(layer)
    assert list(stream.parameters()) == list(layer.parameters())
    begin = 0
    for chunk in (*x.split(2, -1), None):
        made = stream.flush() if chunk is None else stream(chunk)
        made.backward(y[..., begin : begin + made.shape[-1]])
        begin += made.shape[-1]
    assert begin == y.shape[-1]
    for ours, theirs in zip(layer.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


@torch.no_grad()
def test_pytorchs_layers_and_parametrized_ones() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.ConvTranspose1d(3, 2, 8, 4, 2))
    x = torch.randn(1, 3, 20)
    stream = StreamingConvTranspose1d.from_layer(layer)
    torch.testing.assert_close(joined(stream, iter(x.split(6, -1))), layer(x))
    layer.parametrizations.weight.original0.mul_(2)  # seen at once
    torch.testing.assert_close(joined(stream, iter(x.split(6, -1))), layer(x))
    doubled = stream.double()
    torch.testing.assert_close(joined(doubled, iter(x.double().split(6, -1))), layer(x.double()))


@torch.no_grad()
def test_it_is_no_resampler_of_chunks() -> None:
    """What the chunks' answers, joined, would be: wrong at every seam."""
    layer = ConvTranspose1d(1, 1, 4, 2, 1, bias=False)
    x = torch.ones(1, 1, 8)
    apart = torch.cat([functional.conv_transpose1d(c, layer.weight, None, 2, 1) for c in x.split(4, -1)], -1)
    made = joined(StreamingConvTranspose1d.from_layer(layer), iter(x.split(4, -1)))
    assert apart.shape == made.shape
    assert not torch.allclose(apart, made)
    torch.testing.assert_close(made, layer(x))


@pytest.mark.parametrize(
    ("options", "latency", "tail"),
    [
        ({"kernel_size": 16, "stride": 8, "padding": 4}, 4, 4),
        ({"kernel_size": 1024, "stride": 256}, 0, 768),
        ({"kernel_size": 1024, "stride": 256, "padding": 384}, 384, 384),
        ({"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}, 1, 1),
        ({"kernel_size": 3, "stride": 2, "padding": ((0, 4),)}, 3, 0),  # which wait to be cropped
        ({"kernel_size": 2, "stride": 3, "padding": ((-2, -1),)}, -2, 0),
    ],
    ids=str,
)
@torch.no_grad()
def test_latency(options: dict[str, Any], latency: int, tail: int) -> None:
    """The numbers of the guide."""
    stream = wrap(ConvTranspose1d(1, 1, **options))
    assert stream.latency == latency
    assert stream(torch.ones(1, 1, 40)).shape[-1] == 40 * options["stride"] - latency
    assert stream.flush().shape[-1] == tail


def begun() -> StreamingConvTranspose1d:
    stream = StreamingConvTranspose1d.from_layer(ConvTranspose1d(2, 3, 4, 2))
    stream(torch.ones(1, 2, 5))
    return stream


def hooked() -> nn.Module:
    layer = nn.ConvTranspose1d(2, 3, 4)
    layer.register_forward_pre_hook(lambda *_: None)
    return layer


def wrap(layer: nn.Module) -> StreamingConvTranspose1d:
    return StreamingConvTranspose1d.from_layer(layer)


def too_short() -> Tensor:
    stream = wrap(ConvTranspose1d(1, 1, 3, 2, 5))
    stream(torch.ones(1, 1, 4))
    return stream.flush()


REFUSED: dict[str, tuple[Callable[[], object], list[str]]] = {
    "two axes": (lambda: wrap(ConvTranspose2d(1, 1, 1)), ["ConvTranspose2d", "ConvTranspose1d would fit"]),
    "a padding mode": (
        lambda: wrap(ConvTranspose1d(1, 1, 3, padding=1, padding_mode="circular")),
        ["padding_mode='circular'"],
    ),
    "an output size": (lambda: wrap(ConvTranspose1d(1, 1, 3, output_size=9)), ["output_size"]),
    "hooks": (lambda: wrap(hooked()), ["hooks"]),
    "no weights yet": (lambda: wrap(LazyConvTranspose1d(1, 3)), ["no weights yet"]),
    "nothing to flush": (lambda: wrap(ConvTranspose1d(1, 1, 3)).flush(), ["input of length 0", "at least 1"]),
    "too short": (too_short, ["input of length 4", "at least 5"]),
    "rank": (lambda: wrap(ConvTranspose1d(2, 3, 4))(torch.ones(2)), ["(2,)", "(2, length)"]),
    "channels": (
        lambda: wrap(ConvTranspose1d(2, 3, 4))(torch.ones(1, 3, 5)),
        ["(1, 3, 5)", "(n, 2, length)"],
    ),
    "another batch": (lambda: begun()(torch.ones(2, 2, 5)), ["(2, 2, 5)", "(1, 2, length)", "reset()"]),
    "another rank": (lambda: begun()(torch.ones(2, 5)), ["(2, 5)", "(1, 2, length)"]),
    "another dtype": (lambda: begun()(torch.ones(1, 2, 5).double()), ["torch.float64", "torch.float32"]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_is_one_clear_line(what: str) -> None:
    call, pieces = REFUSED[what]
    with pytest.raises(TconvError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for piece in pieces:
        assert piece in str(caught.value)


@torch.no_grad()
def test_a_refused_chunk_changes_nothing() -> None:
    stream = begun()
    with pytest.raises(TconvError):
        stream(torch.ones(1, 3, 5))
    assert stream.flush().shape == (1, 3, 2)
