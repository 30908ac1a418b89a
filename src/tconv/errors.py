"""The one error class of the project."""

from __future__ import annotations

__all__ = ["TconvError"]


class TconvError(ValueError):
    """A request that cannot be fulfilled: what was asked, what is wrong with it, and what would fit.

    The message is always one line, so that a command can print it unchanged.
    """
