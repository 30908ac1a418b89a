"""How many steps: as asked, as the folder's run has them, or as many as fit into the minutes."""

from __future__ import annotations

from pathlib import Path

from tconv.demos.dcgan.comparison import EPOCHS, Plan, fresh
from tconv.demos.dcgan.data import Clothes
from tconv.demos.dcgan.timing import seconds_per_step
from tconv.errors import TconvError
from tconv.nets.dcgan import WAYS
from tconv.runs.fitting import held
from tconv.runs.log import note
from tconv.runs.settings import check_whole

__all__ = ["chosen"]

#: The share of the time that training takes; the classifier and the measures take the rest.
TRAINING = 0.75


def chosen(out: Path, data: Clothes, seed: int, minutes: float | None, steps: int | None, usual: int) -> int:
    """The steps of each way.

    Raises:
        TconvError: `steps` and `minutes` are both given, or `steps` is out of range.
    """
    if steps is not None:
        if minutes is not None:
            raise TconvError("--steps and --minutes both say how long; one of them would fit")
        check_whole("steps", steps, 1)
        return steps
    old = next((held(out / way) for way in WAYS if (out / way / "last.ckpt").is_file()), None)
    if old is not None and type(old.get("steps")) is int:
        return int(old["steps"]) * EPOCHS
    if minutes is None:
        return usual
    plan = Plan(usual, seed)
    times = seconds_per_step({way: fresh(plan, way) for way in WAYS}, data.train)
    fitting = int(60 * minutes * TRAINING / sum(times.values()))
    found = max(EPOCHS, min(usual, fitting // EPOCHS * EPOCHS))
    note(f"{found} steps of each way, reckoned for {minutes:g} minutes; --steps {found} repeats this run")
    return found
