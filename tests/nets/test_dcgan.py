"""DCGAN's networks: the figure of the paper in numbers, and the same answers as PyTorch's own layers."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from tconv.errors import TconvError  # noqa: E402
from tconv.nets.dcgan import WAYS, Discriminator, Generator, equal_width, stages  # noqa: E402
from tconv.torch import ConvTranspose2d  # noqa: E402
from tconv.train.step_time import with_pytorch_layers  # noqa: E402


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_generator_is_that_of_the_papers_figure() -> None:
    generator = Generator(64, 3)
    shapes = {}
    for name, module in generator.layers.named_children():
        if name == "project" or name.startswith("up"):
            module.register_forward_hook(lambda _, __, y, name=name: shapes.update({name: tuple(y.shape)}))
    generator(torch.zeros(2, 100))
    assert shapes == {
        "project": (2, 1024, 4, 4),
        "up1": (2, 512, 8, 8),
        "up2": (2, 256, 16, 16),
        "up3": (2, 128, 32, 32),
        "up4": (2, 3, 64, 64),
    }
    kernels = {(m.kernel_size, m.stride) for m in generator.doublings}
    assert kernels == {((5, 5), (2, 2))}
    # 100*1024*4*4, then 25 weights for each pair of channels, and scale and shift of each norm.
    pairs = 1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3
    assert count(generator) == 1_638_400 + 25 * pairs + 2 * (1024 + 512 + 256 + 128) == 18_855_040


def test_the_discriminator_mirrors_it() -> None:
    discriminator = Discriminator(64, 3)
    downs = [m for n, m in discriminator.layers.named_children() if n.startswith("down")]
    assert [(m.in_channels, m.out_channels, m.stride) for m in downs] == [
        (3, 128, (2, 2)), (128, 256, (2, 2)), (256, 512, (2, 2)), (512, 1024, (2, 2)),
    ]  # fmt: skip
    assert discriminator(torch.zeros(1, 3, 64, 64)).shape == (1,)
    assert count(discriminator) == 17_232_768


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [32, 64])
def test_norms_and_activations_are_where_the_paper_has_them(way: str, size: int) -> None:
    generator, discriminator = Generator(size, 1, width=2, way=way), Discriminator(size, 1, width=2)
    kinds = [type(module).__name__ for module in generator.layers]
    assert kinds[-1] == "Tanh"
    assert kinds[1:-2:3] == ["BatchNorm2d"] * len(stages(size, 2))
    assert kinds[2:-2:3] == ["ReLU"] * len(stages(size, 2))
    names = [name for name, _ in discriminator.layers.named_children()]
    assert "norm1" not in names
    assert "norm2" in names
    slopes = {m.negative_slope for m in discriminator.modules() if isinstance(m, nn.LeakyReLU)}
    assert slopes == {0.2}
    for network in (generator, discriminator):
        assert not [m for m in network.modules() if "Pool" in type(m).__name__ or isinstance(m, nn.Linear)]
        assert not [n for n, _ in network.named_parameters() if n.endswith("bias") and "norm" not in n]
    pictures = generator(torch.rand(3, 100) * 2 - 1)
    assert pictures.shape == (3, 1, size, size)
    assert float(pictures.detach().abs().max()) <= 1
    assert discriminator(pictures).shape == (3,)


def test_first_weights_are_drawn_as_published() -> None:
    torch.manual_seed(0)
    for network in (Generator(32, 1, width=32), Discriminator(32, 1, width=32)):
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                values = module.weight.detach()
                spread = 5 / math.sqrt(values.numel())  # five standard errors of a mean, in deviations
                assert abs(float(values.mean())) < 0.02 * spread
                assert abs(float(values.std()) / 0.02 - 1) < spread
            elif isinstance(module, nn.BatchNorm2d):
                assert float((module.weight.detach() - 1).abs().max()) < 0.12
                assert not module.bias.any()


@pytest.mark.parametrize("way", WAYS)
def test_answers_and_gradients_are_those_of_pytorchs_layers(way: str) -> None:
    torch.manual_seed(1)
    generator = Generator(32, 1, width=4, way=way)
    twin = with_pytorch_layers(generator)
    assert twin is not None
    assert [m for m in generator.modules() if type(m) is ConvTranspose2d]
    assert not [m for m in twin.modules() if type(m) is ConvTranspose2d]
    z = torch.rand(5, 100) * 2 - 1
    ours, theirs = generator(z), twin(z)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    weight = torch.randn_like(ours)
    ours.backward(weight)
    theirs.backward(weight)
    for (name, p), q in zip(generator.named_parameters(), twin.parameters(), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("size", [32, 64])
def test_all_ways_have_nearly_as_many_parameters(size: int) -> None:
    wanted = count(Generator(size, 1, width=16))
    for way in WAYS:
        width = equal_width(way, like="transposed5", size=size, channels=1, width=16)
        assert abs(count(Generator(size, 1, width=width, way=way)) / wanted - 1) < 0.015
    assert equal_width("transposed5", like="transposed5", size=size, channels=1, width=16) == 16


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 48}, "size=48: a picture of 8, 16, 32, 64, 128, 256 pixels would fit"),
        ({"size": "64"}, "size='64': a picture of 8, 16, 32, 64, 128, 256 pixels would fit"),
        ({"width": 0.5}, "width=0.5: 1 to 4096 channels would fit"),
        ({"width": "8"}, "width='8': 1 to 4096 channels would fit"),
        ({"width": float("nan")}, "width=nan: 1 to 4096 channels would fit"),
        ({"channels": 0}, "channels=0: must be at least 1"),
        ({"latent": 1.5}, "latent=1.5: must be an int"),
        ({"way": ["nearest"]}, "way ['nearest'] is unknown; did you mean 'nearest'?"),
        ({"way": "transposed3"}, "way 'transposed3' is unknown; did you mean 'transposed5'?"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(TconvError) as caught:
        Generator(**options)  # type: ignore[arg-type]
    assert str(caught.value) in (said, said.replace("transposed5", "transposed4"))
