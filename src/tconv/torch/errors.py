"""Errors behind PyTorch's signatures, which code written for PyTorch catches as RuntimeError."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from tconv.errors import TconvError

__all__ = ["TensorError", "raising_runtime_errors"]

P = ParamSpec("P")
R = TypeVar("R")


class TensorError(TconvError, RuntimeError):
    """A TconvError that is a RuntimeError, too, as errors of PyTorch's operators are."""


def raising_runtime_errors(call: Callable[P, R]) -> Callable[P, R]:
    """`call`, with every TconvError that leaves it as a `TensorError` of the same message.

    >>> @raising_runtime_errors
    ... def refuse():
    ...     raise TconvError("2 is odd; 3 would fit")
    >>> try:
    ...     refuse()
    ... except RuntimeError as error:
    ...     print(isinstance(error, TconvError), error)
    True 2 is odd; 3 would fit
    """

    @wraps(call)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except TensorError:
            raise
        except TconvError as fault:
            raise TensorError(*fault.args).with_traceback(fault.__traceback__) from None

    return called
