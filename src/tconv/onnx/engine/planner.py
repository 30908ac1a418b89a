"""Plans for the operator's library, which asks for one at each new shape of a node.

The library (core/ort/planner.cpp) calls `_answer` on whichever thread runs the node. Plans are cached there,
so that Python and its lock are met once for each shape.
"""

from __future__ import annotations

import atexit
import ctypes
from functools import cache
from pathlib import Path
from typing import Any

from tconv import _core
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.planning import Activation, plan

__all__ = ["LIBRARY", "install"]

#: In a folder of its own: beside modules it would look like one.
LIBRARY = Path(_core.__file__).parent / "lib" / "libtconv_ort.so"

_Triple = ctypes.c_int64 * 3


class _Question(ctypes.Structure):
    """The struct of core/ort/planner.hpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("dtype", "activation", "prepared", "axes")),
        *((name, ctypes.c_int64) for name in ("batch", "groups", "in_channels", "out_channels")),
        *((name, _Triple) for name in ("input", "output", "kernel", "stride", "dilation", "lo", "hi")),
        ("numbers", ctypes.POINTER(ctypes.c_double)),
        ("count", ctypes.c_int64),
        ("refusal", ctypes.c_char * 512),
    )


_Planner = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Question), ctypes.c_void_p)


def _activation(question: Any) -> Activation:
    name = _core.Activation(question.activation).name
    return None if name == "none" else (name, *question.numbers[: question.count])


def _planned(question: Any) -> _core.Plan:
    axes = slice(3 - question.axes, 3)
    geometry = Geometry.make(
        batch=question.batch,
        in_channels=question.in_channels,
        out_channels=question.out_channels,
        input=tuple(question.input[axes]),
        kernel=tuple(question.kernel[axes]),
        stride=tuple(question.stride[axes]),
        padding=tuple(zip(question.lo[axes], question.hi[axes], strict=True)),
        dilation=tuple(question.dilation[axes]),
        groups=question.groups,
    )
    return plan(
        geometry,
        dtype=_core.DType(question.dtype).name,
        activation=_activation(question),
        prepared=bool(question.prepared),
    ).core


@cache
def install() -> ctypes.CDLL:
    """The library, with this module as its planner; once in a process.

    Raises:
        TconvError: the library is not in the folder of tconv, or cannot be loaded.
    """
    if not LIBRARY.is_file():
        raise TconvError(f"{LIBRARY} is missing; an installation of tconv from this version on has it")
    try:
        library = ctypes.CDLL(str(LIBRARY))
        give, plan_with = library.tconv_ort_give, library.tconv_ort_plan_with
    except (AttributeError, OSError) as fault:
        raise TconvError(f"{LIBRARY} cannot be loaded: {fault}") from None
    give.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
    plan_with.argtypes = (ctypes.c_void_p,)

    def answer(asked: Any, slot: int) -> int:
        """0 and a plan in `slot`, or 1 and why there is none; nothing may be raised through C."""
        question = asked.contents
        try:
            made = _planned(question)
            if give(slot, _core.plan_address(made), _core.PLAN_BYTES):
                raise TconvError(f"{LIBRARY} is of another build of tconv")
        except BaseException as fault:
            said = str(fault) if isinstance(fault, TconvError) else f"{type(fault).__name__}: {fault}"
            question.refusal = " ".join(said.split()).encode()[:511]
            return 1
        return 0

    planner = _Planner(answer)
    library.kept = planner  # type: ignore[attr-defined]  # for as long as C may call it
    plan_with(ctypes.cast(planner, ctypes.c_void_p))
    atexit.register(plan_with, None)
    return library
