"""accelerate on a trained model, and on those of the benchmark: the answers stay."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest
import torch

from tconv.torch import accelerate
from tests import ROOT
from tests.real_models.fetch import fetch


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = ROOT / "benchmarks/accelerate.py"
    spec = importlib.util.spec_from_file_location("accelerate_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DONE = {
    "dcgan": 5 + 4 + 5,  # swapped, folded, fused
    "unet": 2,
    "vocoder": 4,
    "resizing": 3 * 3,
}


@pytest.mark.parametrize("name", DONE)
def test_answers_stay(benchmark: ModuleType, name: str) -> None:
    make, shape = benchmark.MODELS[name]
    torch.manual_seed(0)
    model = make().eval()
    x = torch.randn(*shape[:2], *(size // 4 or 1 for size in shape[2:]))
    with torch.no_grad():
        expected = model(x)
        done = accelerate(model, report=False)
        assert sum(len(row.done) for row in done.rows) == DONE[name]
        torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
        done.undo()
        assert torch.equal(model(x), expected)


def test_a_trained_unet(benchmark: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = fetch("mouse_pupil", tmp_path_factory.mktemp("model"))
    model = benchmark.PupilUNet().eval()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    x = torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(x)
        rows = accelerate(model, report=False).rows
        assert [(row.name, row.why) for row in rows] == [
            ("up1", ["cat() follows"]),
            ("up2", ["cat() follows"]),
        ]
        torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
