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
    ignore: int | None


_MOST = 2**31 - 1

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
        ("epochs", 1, _MOST), ("batch", 1, _MOST), ("crop", 1, _MOST), ("seed", 0, 2**63 - 1),
        ("ignore", 0, 255),
    ):  # fmt: skip
        value = settings[name]
        if name in ("crop", "ignore") and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            raise TconvError(f"{name}={value!r:.60}: must be an int")
        if value < least:
            raise TconvError(f"{name}={value}: must be at least {least}")
        if value > most:
            raise TconvError(f"{name}={value!r:.60}: must be at most {most}")
    lr = settings["lr"]
    if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr < float("inf"):
        said = f"{lr:g}" if isinstance(lr, float) else f"{lr!r:.60}"
        raise TconvError(f"lr={said}: must be above 0 and finite")
    if settings["batch"] % ranks:
        fits = settings["batch"] // ranks * ranks or ranks
        raise TconvError(f"batch={settings['batch']}: does not divide over {ranks} processes; {fits} would")
    return settings
