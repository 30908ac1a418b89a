"""Exported programs are read without PyTorch's loader, with the same result."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tconv.diagnosis import diagnose
from tconv.models.programs import load
from tests.models.exported_programs import Net, exported, nn, saved, torch


def channels_last() -> Any:
    net = Net(2).eval().to(memory_format=torch.channels_last)
    return torch.export.export(net, (torch.randn(2, 4, 5, 5),))


def of_one_storage() -> Any:
    net = Net(2).eval()
    whole = torch.randn(1000)
    net.up.weight = nn.Parameter(whole[100:228].view(4, 2, 4, 4))
    net.ours.weight = nn.Parameter(whole[200:344].view(4, 4, 3, 3))
    net.norm.register_buffer("all", whole)
    return torch.export.export(net, (torch.randn(2, 4, 5, 5),))


PROGRAMS: dict[str, Callable[[], Any]] = {
    "1d": lambda: exported(1),
    "2d": exported,
    "3d": lambda: exported(3),
    "float64": lambda: exported(dtype=torch.float64),
    "float16": lambda: exported(dtype=torch.float16),
    "bfloat16": lambda: exported(dtype=torch.bfloat16),
    "training": lambda: exported(train=True),
    "decomposed": lambda: exported().run_decompositions(),
    "channels last": channels_last,
    "one storage": of_one_storage,
    "open sizes": lambda: exported(
        dynamic_shapes=({0: torch.export.Dim("n"), 2: torch.export.Dim("h", min=2, max=99)},)
    ),
}


@pytest.mark.filterwarnings("ignore:No complete tensor", "ignore:.*LeafSpec:FutureWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_what_pytorchs_loader_makes_of_it(name: str, tmp_path: Path) -> None:
    path = saved(PROGRAMS[name](), tmp_path / "m.pt2")
    theirs, ours = torch.export.load(path), load(path)
    held = {
        **theirs.graph_signature.inputs_to_parameters,
        **{k: v for k, v in theirs.graph_signature.inputs_to_buffers.items() if v in theirs.state_dict},
    }
    assert ours.weights.keys() == held.keys()
    for value, key in held.items():
        tensor = theirs.state_dict[key].detach()
        wanted = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
        np.testing.assert_array_equal(ours.weights[value], wanted.numpy(), strict=True)
    calls = [n for n in theirs.graph.nodes if n.op == "call_function" and "." in str(n.target)]
    assert [call.op for call in ours.calls] == [str(n.target).split(".")[-2] for n in calls]
    for call, node in zip(ours.calls, calls, strict=True):
        assert call.inputs == tuple(n.name for n in node.all_input_nodes)
        value = node.meta["val"]
        if isinstance(value, torch.Tensor):
            wanted_shape = tuple(size if isinstance(size, int) else None for size in value.shape)
            assert ours.shapes[call.outputs[0]] == wanted_shape


@pytest.mark.filterwarnings("ignore:No complete tensor", "ignore:.*LeafSpec:FutureWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_corrected_program_differs_only_in_its_weights(name: str, tmp_path: Path) -> None:
    path = saved(PROGRAMS[name](), tmp_path / "m.pt2")
    report = diagnose(path)
    new = {
        key: np.random.default_rng(0).normal(size=e.layer.geometry.weight_shape)
        for e in report.layers
        if (key := e.layer.name) == "up"
    }
    report.write(tmp_path / "new.pt2", new)
    before, after = torch.export.load(path).state_dict, torch.export.load(tmp_path / "new.pt2").state_dict
    with (
        torch.no_grad()
    ):  # what PyTorch itself would have made, in whatever shares memory with the weight, too
        before["up.weight"].copy_(torch.from_numpy(new["up"]))
    assert before.keys() == after.keys()
    for key, tensor in before.items():
        assert torch.equal(tensor, after[key])
        assert (tensor.dtype, tensor.stride()) == (after[key].dtype, after[key].stride())
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "new.pt2") as made:
        assert made.testzip() is None
        assert made.namelist() == old.namelist()
        changed = [entry for entry in old.namelist() if old.read(entry) != made.read(entry)]
    assert len(changed) == 1
    assert "/data/weights/" in changed[0]
