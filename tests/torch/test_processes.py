"""Several processes: workers that load data through layers of ours, and training on two at once."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from tconv.torch import ConvTranspose1d, ConvTranspose2d, conv_transpose2d
from tests.helpers import PATIENCE

# Not ours: Python warns of every fork of a process with threads, PyTorch's workers among them, and JAX does
# so once another test has imported it.
pytestmark = [
    pytest.mark.usefixtures("two_threads"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning"),
]


class Upsampled(Dataset[tuple[Tensor, Tensor, int]]):
    """Samples that a layer makes, and a gradient, in whichever process they are asked for."""

    def __init__(self) -> None:
        torch.manual_seed(5)
        self.x = torch.randn(12, 3, 16, 16)
        self.layer = ConvTranspose2d(3, 4, 4, stride=2, padding=1, activation="relu")

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        y = self.layer(self.x[index])
        (grad,) = torch.autograd.grad(y.sum(), self.layer.weight)
        return y.detach(), grad, os.getpid()


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_a_dataloader(start: str) -> None:
    data = Upsampled()
    # The parent's threads have worked before: a forked child has none of them.
    assert torch.get_num_threads() == 2
    expected = [data[i] for i in range(len(data))]
    loader = DataLoader(data, batch_size=3, num_workers=2, multiprocessing_context=start, timeout=PATIENCE)
    batches = list(loader)
    assert torch.equal(torch.cat([y for y, _, _ in batches]), torch.stack([y for y, _, _ in expected]))
    grads = torch.cat([grad for _, grad, _ in batches])
    torch.testing.assert_close(grads, torch.stack([grad for _, grad, _ in expected]))
    pids = {int(pid) for _, _, each in batches for pid in each}
    assert len(pids) == 2
    assert os.getpid() not in pids


def net() -> nn.Sequential:
    torch.manual_seed(6)
    return nn.Sequential(
        ConvTranspose2d(3, 6, 4, stride=2, padding=1, groups=3, activation="relu"),
        ConvTranspose2d(6, 2, 3, stride=2, padding=((0, 1), (1, 0)), output_padding=1),
        nn.Flatten(2),
        ConvTranspose1d(2, 1, 3, padding=1, bias=False),
    ).double()


def batch() -> Tensor:
    return torch.randn(6, 3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def worker(rank: int, folder: str) -> None:
    """Half of the batch: two steps, the gradients of each written down."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meet",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=PATIENCE),
    )
    model = DistributedDataParallel(net(), gradient_as_bucket_view=True)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    told = []
    for _ in range(2):
        optimizer.zero_grad()
        model(batch()[rank::2]).square().mean().backward()
        told.append([p.grad.clone() for p in model.parameters()])
        optimizer.step()
    torch.save(told, f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_have_the_gradients_of_one(tmp_path: Path) -> None:
    mp.start_processes(worker, (str(tmp_path),), nprocs=2, start_method="spawn")
    told: list[Any] = [torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1)]
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for one, other in zip(*told, strict=True):
        optimizer.zero_grad()
        model(batch()).square().mean().backward()
        expected = [p.grad for p in model.parameters()]
        assert len(one) == len(other) == len(expected) == 5
        assert all(map(torch.equal, one, other))
        for a, b in zip(one, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
        optimizer.step()


def share(x: Tensor, weight: Tensor, queue: Any) -> None:
    conv_transpose2d(x, weight, stride=2).share_memory_()
    x.zero_()
    queue.put("done")


def test_tensors_in_shared_memory() -> None:
    x, weight = torch.ones(1, 2, 3, 3).share_memory_(), torch.ones(2, 1, 2, 2).share_memory_()
    context = mp.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=share, args=(x, weight, queue), daemon=True)
    process.start()
    assert queue.get(timeout=PATIENCE) == "done"
    process.join()
    assert not conv_transpose2d(x, weight).any()
