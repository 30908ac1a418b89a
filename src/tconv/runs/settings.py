"""Checks of the numbers that a run is given; importable without PyTorch."""

from __future__ import annotations

from tconv.errors import TconvError

__all__ = ["MOST", "check_positive", "check_whole"]

MOST = 2**31 - 1
"""The largest count of epochs, pictures or steps."""


def check_whole(name: str, value: object, least: int, most: int = MOST) -> None:
    """Whether a setting is a whole number from `least` to `most`.

    Raises:
        TconvError: it is not.

    >>> check_whole("epochs", 0, 1)
    Traceback (most recent call last):
    ...
    tconv.errors.TconvError: epochs=0: must be at least 1
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TconvError(f"{name}={value!r:.60}: must be an int")
    if value < least:
        raise TconvError(f"{name}={value}: must be at least {least}")
    if value > most:
        raise TconvError(f"{name}={value!r:.60}: must be at most {most}")


def check_positive(name: str, value: object) -> None:
    """Whether a setting is a finite number above 0.

    Raises:
        TconvError: it is not.

    >>> check_positive("lr", float("nan"))
    Traceback (most recent call last):
    ...
    tconv.errors.TconvError: lr=nan: must be above 0 and finite
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        said = f"{value:g}" if isinstance(value, float) else f"{value!r:.60}"
        raise TconvError(f"{name}={said}: must be above 0 and finite")
