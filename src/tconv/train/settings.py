"""The settings of a training run, their defaults and checks; importable without PyTorch."""

from __future__ import annotations

from typing import Any, TypedDict

from tconv.errors import TconvError, unknown
from tconv.geometry.normalize import shown
from tconv.runs.settings import MOST, check_positive, check_whole

__all__ = ["CHOICES", "DEFAULTS", "LEARNING_RATES", "Settings", "checked"]


class Settings(TypedDict, total=False):
    """Settings of one run; a missing one has its default, or with --resume the run's own value."""

    net: str
    backbone: str
    upsampling: str
    head: int
    epochs: int
    batch: int
    lr: float
    backbone_lr: float | None
    weight_decay: float
    warmup: float
    decay: str
    class_weights: str
    freeze_norm: bool
    ema: float
    crop: int | list[int] | None
    augment: bool
    scales: list[float]
    light: float
    saturation: float
    seed: int
    ignore: int | None


LEARNING_RATES = {"small": 6e-3, "vgg16": 1e-4, "efficientnet-lite0": 1e-3}
"""First learning rate for each backbone: pretrained weights need smaller steps than random ones."""

DEFAULTS: Settings = {
    "net": "fcn8s",
    "backbone": "small",
    "upsampling": "learned",
    "head": 0,
    "epochs": 16,
    "backbone_lr": None,
    "weight_decay": 0.01,
    "warmup": 0.05,
    "decay": "cosine",
    "class_weights": "none",
    "freeze_norm": False,
    "ema": 0.0,
    "crop": None,
    "augment": False,
    "scales": [0.75, 1.5],
    "light": 0.1,
    "saturation": 0.0,
    "seed": 0,
    "ignore": None,
}

CHOICES = {
    "decay": ("cosine", "poly"),
    "class_weights": ("none", "root", "median"),
}

_WHOLE = {
    "head": (0, 4096),
    "epochs": (1, MOST),
    "batch": (1, MOST),
    "seed": (0, 2**63 - 1),
    "ignore": (0, 255),
}
_SHARES = {  # name -> the least, the most, and whether the most itself fits
    "weight_decay": (0.0, 10.0, True),
    "warmup": (0.0, 1.0, True),
    "ema": (0.0, 1.0, False),
    "light": (0.0, 1.0, True),
    "saturation": (0.0, 1.0, True),
}
_MAY_BE_NONE = ("ignore", "backbone_lr", "crop")


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
    there = {name for name, value in settings.items() if value is not None or name not in _MAY_BE_NONE}
    for name, (least, most) in _WHOLE.items():
        if name in there:
            check_whole(name, settings[name], least, most)
    for name in ("lr", "backbone_lr"):
        if name in there:
            check_positive(name, settings[name])
    for name, (low, high, closed) in _SHARES.items():
        _check_share(name, settings[name], low, high, closed)
    for name, names in CHOICES.items():
        if settings[name] not in names:
            raise unknown(f"{name}=", _text(name, settings[name]), names)
    for name in ("augment", "freeze_norm"):
        if not isinstance(settings[name], bool):
            raise TconvError(f"{name}={shown(settings[name])}: true or false would fit")
    _check_crop(settings["crop"])
    _check_scales(settings["scales"])
    if settings["batch"] % ranks:
        fits = settings["batch"] // ranks * ranks or ranks
        raise TconvError(f"batch={settings['batch']}: does not divide over {ranks} processes; {fits} would")
    return settings


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TconvError(f"{name}={shown(value)}: a name would fit: {', '.join(CHOICES[name])}")
    return value


def _check_share(name: str, value: object, low: float, high: float, closed: bool) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (low <= value < high or (closed and value == high)):  # type: ignore[operator]
        below = "to" if closed else "to below"
        raise TconvError(f"{name}={shown(value)}: must be a number from {low:g} {below} {high:g}")


def _check_crop(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, list):
        check_whole("crop", value, 1, MOST)
    elif len(value) != 2:
        raise TconvError(f"crop={shown(value)}: SIZE or [HEIGHT, WIDTH] would fit")
    else:
        for size in value:
            check_whole("crop", size, 1, MOST)


def _check_scales(value: object) -> None:
    numbers = isinstance(value, list) and all(type(each) in (int, float) for each in value)
    if not numbers or len(value) != 2 or not 0.1 <= value[0] <= value[1] <= 10:  # type: ignore[arg-type,index]
        raise TconvError(f"scales={shown(value)}: [SMALLEST, LARGEST] from 0.1 to 10 would fit")
