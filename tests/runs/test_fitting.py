"""A run that goes on by itself: where it stands, what it refuses, and that its batches know their epoch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
lightning = pytest.importorskip("pytorch_lightning")

from tconv.errors import TconvError  # noqa: E402
from tconv.runs.fitting import fit, held  # noqa: E402

COLUMNS = ("epoch", "error", "seconds")


class Line(lightning.LightningModule):
    """Learns y = 2x by hand-made steps, as networks that train against each other do."""

    def __init__(self, *, rate: float, seed: int) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.slope = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[float] = []

    def training_step(self, batch: torch.Tensor, _: int) -> None:
        self.seen.append(float(batch))
        optimizer = self.optimizers()
        error = (self.slope * batch - 2 * batch).square().mean()
        optimizer.zero_grad()
        self.manual_backward(error)
        optimizer.step()
        self.log("error", error, on_step=False, on_epoch=True, batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.hparams["rate"])


class Numbers(torch.utils.data.Sampler[float]):
    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[float]:
        yield from (self.epoch + 0.25, self.epoch + 0.5)

    def __len__(self) -> int:
        return 2


class Same(torch.utils.data.Dataset[torch.Tensor]):
    def __getitem__(self, value: float) -> torch.Tensor:
        return torch.tensor(value)


def train(out: Path, epochs: int, **settings: float) -> tuple[Line, tuple[dict[str, float], ...]]:
    line = Line(**{"rate": 0.1, "seed": 0, **settings})  # type: ignore[arg-type]
    batches = torch.utils.data.DataLoader(Same(), sampler=Numbers(), batch_size=None)
    return line, fit(line, batches, out, epochs=epochs, columns=COLUMNS)


def test_it_goes_on_where_it_was_and_ends_equal(tmp_path: Path) -> None:
    whole, rows = train(tmp_path / "whole", 4)
    assert whole.seen == [0.25, 0.5, 1.25, 1.5, 2.25, 2.5, 3.25, 3.5]
    train(tmp_path / "parts", 1)
    parts, again = train(tmp_path / "parts", 4)
    assert parts.seen == whole.seen[2:]
    assert torch.equal(parts.slope, whole.slope)
    assert [row["error"] for row in again] == [row["error"] for row in rows]
    done, last = train(tmp_path / "parts", 4)
    assert (done.seen, last) == ([], again)
    assert torch.equal(done.slope, whole.slope)
    assert held(tmp_path / "parts") == {"rate": 0.1, "seed": 0}
    assert held(tmp_path) is None


def test_what_is_not_this_run_is_refused_in_one_line(tmp_path: Path) -> None:
    train(tmp_path / "run", 1)
    with pytest.raises(TconvError) as caught:
        train(tmp_path / "run", 2, rate=0.2)
    assert str(caught.value) == (
        f"{tmp_path / 'run'} holds a run with rate=0.1, not 0.2; another --out would fit"
    )
    content = torch.load(tmp_path / "run/last.ckpt", weights_only=True)
    broken = {
        "weights": {**content, "state_dict": {"slope": torch.zeros(3)}},
        "no weights": {**content, "state_dict": {"slope": "3"}},
        "rows": {**content, "callbacks": {"tconv.EpochLog": {"rows": [{"epoch": 1}]}}},
        "no rows": {**content, "callbacks": {}},
        "parts": {"state_dict": {}},
        "list": [1, 2],
    }
    for name, what in broken.items():
        shutil.rmtree(tmp_path / "run")
        (tmp_path / "run").mkdir()
        torch.save(what, tmp_path / "run/last.ckpt")
        with pytest.raises(TconvError) as caught:
            train(tmp_path / "run", 2)
        assert str(caught.value).endswith("; another --out would fit"), name
        assert "\n" not in str(caught.value)
