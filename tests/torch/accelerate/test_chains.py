"""accelerate: BatchNorm folded, activations fused, nearest upsampling merged, the parts' answers kept."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import tconv.torch as layers
from tconv.torch import accelerate
from tests.torch.accelerate.helpers import FUSED, TRANSPOSED, norm, sequences

CLOSE = {torch.float32: 1e-5, torch.float64: 1e-12}


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    allowed = CLOSE[expected.dtype] * max(1.0, float(expected.detach().abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=allowed)


def test_random_sequences() -> None:
    told: set[str] = set()
    for model, x in sequences(160, 7):
        with torch.no_grad():
            expected = model(x)
            with accelerate(model, report=False) as done:
                close(model(x), expected)
                assert torch.equal(model(x), model(x))
                if expected.dim() == 4:  # over three axes PyTorch's own layers differ by dtype
                    assert model(x).stride() == expected.stride()
            (row,) = done.rows
            assert row.why == []
            assert len(row.done) == len(model) - isinstance(model[0], nn.Upsample)
            told |= set(row.done)
            assert torch.equal(model(x), expected)
    assert {"swapped", "merged into one layer", "BatchNorm2d folded", "Hardtanh fused"} <= told


@pytest.mark.parametrize("groups", [1, 2, 4, 8])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_groups_are_folded_by_group(groups: int, axes: int) -> None:
    """As many channels in as out hides a scale on the wrong axis; a BatchNorm of powers of two is exact."""
    torch.manual_seed(groups)
    layer, after = TRANSPOSED[axes - 1](8, 8, 3, 2, 1, groups=groups), norm(axes, 8)
    with torch.no_grad():
        layer.weight.copy_(torch.randint(-4, 5, layer.weight.shape))
        layer.bias.copy_(torch.randint(-4, 5, (8,)))
        after.running_mean.copy_(torch.randint(-4, 5, (8,)))
        after.running_var.copy_(4.0 ** torch.randint(-1, 2, (8,)))
        after.weight.copy_(2.0 ** torch.randint(-1, 2, (8,)))
        after.bias.copy_(torch.randint(-4, 5, (8,)))
        after.eps = 0.0
        model = nn.Sequential(layer, after).eval()
        x = torch.randint(-3, 4, (2, 8, *(4,) * axes)).float()
        expected = model(x)
        accelerate(model, report=False)
        assert torch.equal(model(x), expected)


def test_merging_is_exact_on_whole_numbers() -> None:
    torch.manual_seed(1)
    conv = nn.Conv2d(4, 6, 3, padding=1, groups=2)
    for tensor in conv.parameters():
        tensor.data = torch.randint(-4, 5, tensor.shape).float()
    model = nn.Sequential(nn.UpsamplingNearest2d(scale_factor=2), conv).eval()
    x = torch.randint(-3, 4, (1, 4, 7, 5)).float()
    with torch.no_grad():
        expected = model(x)
        accelerate(model, report=False)
        assert torch.equal(model(x), expected)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_the_odd_zero_of_same_is_at_the_far_end() -> None:
    conv = nn.Conv1d(1, 1, 4, padding="same", bias=False)
    conv.weight.data = torch.tensor([[[1.0, 2.0, 4.0, 8.0]]])
    model, x = nn.Sequential(nn.Upsample(scale_factor=2), conv).eval(), torch.tensor([[[1.0, 3.0, 5.0]]])
    with torch.no_grad():
        expected = model(x)
        accelerate(model, report=False)
        assert torch.equal(model(x), expected)


def test_a_batchnorm_in_training_by_itself() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.ConvTranspose1d(3, 4, 4, 2), norm(1, 4), nn.ReLU()).eval()
    twin = copy.deepcopy(model)
    accelerate(model, report=False)
    x = torch.randn(2, 3, 5)
    with torch.no_grad():
        for training in (False, True, False):  # its statistics move, and nothing else does
            model[1].train(training), twin[1].train(training)
            close(model(x), twin(x))


def test_training_goes_on_and_evaluation_follows_it() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.ConvTranspose2d(3, 4, 4, 2, 1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.ConvTranspose2d(4, 2, 3),
        nn.Tanh(),
    )
    twin = copy.deepcopy(model)
    accelerate(model, report=False)
    x = torch.randn(2, 3, 4, 4)
    for step in range(4):
        model.train(step % 2 == 0), twin.train(step % 2 == 0)  # gradients in evaluation, too
        for net in (model, twin):
            net.zero_grad()
            net(x).square().mean().backward()
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter -= 0.1 * parameter.grad
        for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6, msg=name)
        model.eval(), twin.eval()
        with torch.no_grad():
            close(model(x), twin(x))
    with torch.no_grad():  # BatchNorm's statistics move in training, without gradients too
        model.train(), twin.train()
        close(model(x), twin(x))
        close(model[1].running_mean, twin[1].running_mean)
        assert model.eval()(x).requires_grad is False


def test_gradients_with_a_fused_activation() -> None:
    for make in FUSED:
        torch.manual_seed(0)
        model = nn.Sequential(nn.ConvTranspose1d(2, 3, 3, 2), make()).double()
        twin = copy.deepcopy(model)
        accelerate(model, report=False)
        x = torch.randn(2, 2, 5, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(model, x)
        ours, theirs = torch.autograd.grad(model(x).sum(), x), torch.autograd.grad(twin(x).sum(), x)
        torch.testing.assert_close(ours, theirs)


def written(model: nn.Sequential, how: str) -> None:
    weight = model[0].weight
    if how == "an optimizer":
        weight.grad = torch.ones_like(weight)
        torch.optim.SGD([weight], 0.1).step()
    elif how == "load_state_dict":
        model.load_state_dict({name: tensor + 1 for name, tensor in model.state_dict().items()})
    elif how == "an average kept through .data":
        weight.data.mul_(0.9).add_(0.1)
    elif how == "one channel through .data":
        weight.data[:, 3] = 0
    elif how == "a new parameter":
        model[0].weight = nn.Parameter(weight.detach() * 2)
    elif how == "another tensor as .data":
        weight.data = weight.detach() * 2
    elif how == "statistics":
        model[1].running_mean += 1
    elif how == "epsilon":
        model[1].eps = 0.5
    elif how == "a slope":
        model[2].negative_slope = 0.5
    elif how == "padding":
        model[0].padding = (0, 0)
    elif how == "double":
        model.double().float()
    elif how == "another member":
        model[2] = nn.Tanh()
    elif how == "one more member":
        model.append(nn.Sigmoid())
    elif how == "no statistics":
        model[1].running_mean = model[1].running_var = None


HOWS = [
    "an optimizer", "load_state_dict", "an average kept through .data", "one channel through .data",
    "a new parameter", "another tensor as .data", "statistics", "epsilon", "a slope", "padding", "double",
    "another member", "one more member", "no statistics",
]  # fmt: skip


@pytest.mark.parametrize("how", HOWS)
def test_what_changes_is_seen(how: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.ConvTranspose2d(16, 32, 4, 2, 1), norm(2, 32), nn.LeakyReLU(0.2)).eval()
    x = torch.randn(1, 16, 4, 4)
    with torch.no_grad():
        accelerate(model, report=False)
        before = model(x)
        written(model, how)
        twin = nn.Sequential(*copy.deepcopy(list(model)))
        for part in twin:
            vars(part).pop("forward", None)
        close(model(x), twin(x))
        assert how == "double" or not torch.equal(model(x), before)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # PyTorch's own jvp uses it
def test_where_somebody_looks_on_the_parts_run() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.ConvTranspose2d(2, 4, 3, 2), norm(2, 4), nn.ReLU()).eval()
    x = torch.randn(1, 2, 4, 4)
    with torch.no_grad():
        expected = model(x)
        accelerate(model, report=False)
        with torch.autocast("cpu", torch.bfloat16):
            assert model[0](x).dtype is torch.bfloat16
            torch.testing.assert_close(model(x).float(), expected, rtol=0.05, atol=0.05)
        close(torch.vmap(model)(x.expand(2, 1, 2, 4, 4))[1], expected)
        close(torch.jit.trace(model, x, check_trace=False)(x), expected)
        _, tangent = torch.func.jvp(model, (x,), (x,))
        assert tangent.abs().max() > 0
        close(torch.func.functional_call(model, dict(model.state_dict()), x), expected)
        zero = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
        assert torch.func.functional_call(model, zero, x).max() == 0
        close(model(x), expected)
        with torch.inference_mode():
            close(model(x), expected)
        half = copy.deepcopy(model).half()
        torch.testing.assert_close(half(x.half()).float(), expected, rtol=0.01, atol=0.01)
        brain = copy.deepcopy(model).bfloat16()
        torch.testing.assert_close(brain(x.bfloat16()).float(), expected, rtol=0.05, atol=0.05)
        assert model(x[:0]).shape == (0, 4, 9, 9)
        with pytest.raises(Exception, match="channels"):
            model(x[:, :1])


def test_our_own_layers_are_packed_and_fused_too() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        layers.ConvTranspose1d(3, 4, 4, 2), norm(1, 4), nn.ReLU(), layers.ConvTranspose1d(4, 2, 3), nn.Tanh()
    ).eval()
    x = torch.randn(1, 3, 5)
    with torch.no_grad():
        expected = model(x)
        with accelerate(model, report=False) as done:
            close(model(x), expected)
    assert [row.done for row in done.rows] == [
        ["was tconv's already", "BatchNorm1d folded", "ReLU fused"],
        ["was tconv's already", "Tanh fused"],
    ]
    assert type(model[0]) is layers.ConvTranspose1d


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "same"},
        {"padding": ((0, 1), (-1, 2)), "activation": "tanh"},
        {"padding": 1, "padding_mode": "circular"},
        {"output_size": (9, 10), "activation": "relu"},
    ],
)
def test_what_only_our_layers_have(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    layer = layers.ConvTranspose2d(3, 4, 3, 2, **options)
    model = nn.Sequential(layer, nn.LeakyReLU(0.1)).eval()
    x = torch.randn(1, 3, 4, 4)
    expected = model(x)
    accelerate(model, report=False)
    close(model(x), expected)  # as autograd records it
    with torch.no_grad():
        close(model(x), expected)
        close(layer(x), layers.ConvTranspose2d.forward(layer, x))
