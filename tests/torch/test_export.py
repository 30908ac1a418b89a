"""torch.export: with sizes left open, to a file and back, in another process, and without tconv."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from tconv.torch import ConvTranspose2d, conv_transpose2d
from tests.torch.helpers import LAYERS, SIZES, Everything

OP = torch.ops.tconv.conv_transpose.default
#: Sizes that a program leaves open.
OPEN = ({0: Dim("n", min=2), 2: Dim("h", min=3), 3: Dim("w", min=3)},)


class Exported(NamedTuple):
    model: nn.Module
    program: ExportedProgram
    path: Path  #: of the program's file


def exported(path: Path, strict: bool) -> Exported:
    model = Everything().eval()
    program = torch.export.export(model, (torch.randn(SIZES[0]),), dynamic_shapes=OPEN, strict=strict)
    assert len(program.graph.find_nodes(op="call_function", target=OP)) == LAYERS
    torch.export.save(program, path)
    return Exported(model, program, path)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """As torch.export does it when nothing is said; nobody changes it."""
    return exported(tmp_path_factory.mktemp("exported") / "model.pt2", strict=False)


@pytest.mark.parametrize("strict", [False, True], ids=["not strict", "strict"])
def test_a_file_holds_the_model_for_all_sizes(strict: bool, usual: Exported, tmp_path: Path) -> None:
    model, _, path = exported(tmp_path / "model.pt2", strict) if strict else usual
    again = torch.export.load(path).module()
    for size in SIZES:
        x = torch.randn(size)
        torch.testing.assert_close(again(x), model(x))
    made, expected = (
        torch.autograd.grad(each(x).square().sum(), list(each.parameters())) for each in (again, model)
    )
    assert len(made) == len(expected) > LAYERS
    for a, b in zip(made, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


READER = """
import sys, torch
path, x, y = sys.argv[1], *torch.load(sys.argv[2])
try:
    torch.export.load(path)
except RuntimeError:
    print("refused")
import tconv.torch
torch.testing.assert_close(torch.export.load(path).module()(x), y)
print("same")
"""


def test_another_process_reads_it_once_tconv_is_imported(usual: Exported, tmp_path: Path) -> None:
    x = torch.randn(SIZES[1])
    torch.save([x, usual.model(x).detach()], tmp_path / "data.pt")
    command = [sys.executable, "-c", READER, str(usual.path), str(tmp_path / "data.pt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "refused\nsame\n", done.stderr
    assert "Please import the custom op to register it" in done.stderr


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")
def test_a_program_for_where_tconv_is_not(usual: Exported) -> None:
    model, program, _ = usual
    plain = program.run_decompositions(torch._decomp.get_decompositions([OP]))
    assert not any("tconv" in str(node.target) for node in plain.graph.nodes)
    for size in SIZES:
        x = torch.randn(size)
        torch.testing.assert_close(plain.module()(x), model(x))
    kept = program.run_decompositions()  # what is not asked for stays
    assert len(kept.graph.find_nodes(op="call_function", target=OP)) == LAYERS


class Chosen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = ConvTranspose2d(4, 3, 3, stride=2, activation="relu")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.layer(x[mask.nonzero().squeeze(1)])


def test_a_batch_whose_size_only_data_tell() -> None:
    model, x = Chosen(), torch.randn(3, 4, 5, 6)
    program = torch.export.export(model, (x, torch.tensor([1, 0, 1])))
    for mask in (torch.tensor([0, 0, 1]), torch.tensor([1, 1, 1])):
        assert torch.equal(program.module()(x, mask), model(x, mask))


def test_autocast_is_in_the_program() -> None:
    class Low(nn.Module):
        def forward(self, x: Tensor, weight: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return conv_transpose2d(x, weight, stride=2)

    given = torch.randn(2, 4, 5, 6), torch.randn(4, 3, 3, 3)
    made = torch.export.export(Low(), given).module()(*given)
    assert made.dtype is torch.bfloat16
    assert torch.equal(made, Low()(*given))


def test_symbolic_tracing_keeps_the_call() -> None:
    """torch.fx, which follows no tensor."""
    net = nn.Sequential(ConvTranspose2d(4, 3, 3, 2, activation="relu"), nn.ReLU(), ConvTranspose2d(3, 2, 2))
    traced, x = torch.fx.symbolic_trace(net), torch.randn(SIZES[0])
    assert len(traced.graph.find_nodes(op="call_function", target=conv_transpose2d)) == 2
    assert torch.equal(traced(x), net(x))
