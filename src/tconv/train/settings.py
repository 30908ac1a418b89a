"""The settings of a training run, their defaults and checks; importable without PyTorch."""

from __future__ import annotations

from typing import Any, TypedDict

from tconv.errors import TconvError
from tconv.runs.settings import MOST, check_positive, check_whole

__all__ = ["DEFAULTS", "LEARNING_RATES", "Settings", "checked"]


class Settings(TypedDict, total=False):
    """Settings of one run; a missing one has its default, or with --resume the run's own value."""

    net: str
    backbone: str
    upsampling: str
    epochs: int
    batch: int
    lr: float
    crop: int | None
    augment: bool
    seed: int
    ignore: int | None


LEARNING_RATES = {"small": 6e-3, "vgg16": 1e-4}
"""First learning rate for each backbone: pretrained weights need smaller steps than random ones."""

DEFAULTS: Settings = {
    "net": "fcn8s",
    "backbone": "small",
    "upsampling": "learned",
    "epochs": 16,
    "crop": None,
    "augment": False,
    "seed": 0,
    "ignore": None,
}


def checked(given: Settings, ranks: int) -> dict[str, Any]:
    """The settings with their defaults.

    Raises:
        TconvError: a value is out of range, or the batch does not divide over ``ranks`` processes.

    >>> checked({"epochs": 3}, ranks=2)["batch"]
    2
    >>> checked({"batch": 0}, ranks=1)
    Traceback (most recent call last):
    ...
    tconv.errors.TconvError: batch=0: must be at least 1
    """
    settings: dict[str, Any] = {**DEFAULTS, **given}
    # One picture per step, as in FCN's reference code: many small steps learn more than few averaged ones.
    settings.setdefault("batch", ranks)
    settings.setdefault("lr", LEARNING_RATES.get(settings["backbone"], 1e-3))
    for name, least, most in (
        ("epochs", 1, MOST), ("batch", 1, MOST), ("crop", 1, MOST), ("seed", 0, 2**63 - 1),
        ("ignore", 0, 255),
    ):  # fmt: skip
        if name not in ("crop", "ignore") or settings[name] is not None:
            check_whole(name, settings[name], least, most)
    check_positive("lr", settings["lr"])
    if settings["batch"] % ranks:
        fits = settings["batch"] // ranks * ranks or ranks
        raise TconvError(f"batch={settings['batch']}: does not divide over {ranks} processes; {fits} would")
    return settings
