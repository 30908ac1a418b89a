"""The settings of a training run, their defaults and checks; importable without PyTorch."""

from __future__ import annotations

from typing import Any, TypedDict

from tconv.errors import TconvError

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
    for name, least in (("epochs", 1), ("batch", 1), ("crop", 1), ("seed", 0)):
        value = settings[name]
        if value is not None and value < least:
            raise TconvError(f"{name}={value}: must be at least {least}")
    if not 0 < settings["lr"] < float("inf"):
        raise TconvError(f"lr={settings['lr']:g}: must be above 0 and finite")
    if settings["batch"] % ranks:
        fits = settings["batch"] // ranks * ranks or ranks
        raise TconvError(f"batch={settings['batch']}: does not divide over {ranks} processes; {fits} would")
    return settings
