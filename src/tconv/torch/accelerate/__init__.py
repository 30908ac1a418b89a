"""Any PyTorch model on the engine of tconv, by one call that can be taken back.

>>> import torch
>>> from torch import nn
>>> model = nn.Sequential(nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.ReLU()).eval()
>>> done = accelerate(model)
layer  what                         done                                        not done, and why
-------------------------------------------------------------------------------------------------
0      ConvTranspose2d 8>4 k4 s2 p1  swapped, BatchNorm2d folded, ReLU fused
>>> done.undo()
"""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any

from torch import nn

from tconv.errors import TconvError
from tconv.torch.accelerate.measuring import Example, distance, in_turns
from tconv.torch.accelerate.rows import Row, find
from tconv.torch.accelerate.table import Accelerated

__all__ = ["Accelerated", "accelerate"]

#: A change stays where it is no slower than what it replaces, but for what a clock cannot tell.
_SLACK = 1.05


def accelerate(model: nn.Module, example: Any = None, report: bool = True) -> Accelerated:
    """Let tconv compute a model's transposed convolutions, and what belongs to them, in place.

    Every ConvTranspose1d, 2d and 3d changes its class to tconv's and nothing else: parameters, names, hooks,
    optimizers and state dicts go on as they are. In evaluation without gradients weights are packed once, a
    BatchNorm that follows is folded into them, the activation that follows is applied on the way out, and
    nearest upsampling with the convolution after it becomes one transposed layer, exact to the borders. That
    is done where nn.Sequential or torch.fx shows that nobody else sees what lies between, and only while
    nobody looks: with hooks on a part, in training, under compilers and autocast the parts run one by one.

    Args:
        model: any module; it is changed in place.
        example: a tensor, a tuple of arguments or a dict of keywords for the model. With it answers are
            compared, layers and the whole model are timed, and what turns out slower is taken back.
        report: print the table.

    Returns:
        The table of what was done, what was not and why. `undo()`, or the end of a with block, gives the very
        same model back.

    Raises:
        TconvError: `model` is no module, or does not run on `example`; or answers differ by more than is
            allowed (1e-4 of the largest in float32), and then everything has been taken back.

    >>> import torch
    >>> model = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 3, padding=1), nn.Tanh())
    >>> x = torch.randn(1, 3, 8, 8)
    >>> with torch.no_grad(), accelerate(model.eval(), report=False) as done:
    ...     ours = model(x)
    >>> done.rows[0].done
    ['merged into one layer', 'Tanh fused']
    >>> bool((ours - model(x)).abs().max() < 1e-5)
    True
    """
    if not isinstance(model, nn.Module):
        raise TconvError(f"model is a {type(model).__name__}; a torch.nn.Module would fit")
    if example is None:
        done = Accelerated(model, *find(model))
        done.do()
    else:
        done = _measured(Example(model, example))
    if report:
        print(done)
    return done


def _measured(example: Example) -> Accelerated:
    with example.evaluating():
        expected, again = example.answers(), example.answers()  # which also shapes lazy layers
        done = Accelerated(example.model, *find(example.model))
        done.do()
        try:
            seen = example.inputs([layer for row in done.rows if (layer := row.layer) is not None])
            levels = [_fastest(row, seen.get(row.layer)) for row in done.rows]
            done.do(levels)
            off, allowed = distance(again, expected)
            if off > allowed:
                done.notes.append("answers: not compared, since two runs of the model itself differ")
            else:
                done.apart, done.tolerance = distance(example.answers(), expected)
            if done.apart is not None and done.apart > (done.tolerance or 0.0):
                raise TconvError(
                    f"answers are apart by {done.apart:.1e} of the largest, and {done.tolerance:.0e} would "
                    "fit; the model is as it was"
                )
            if any(levels):
                sides = [(done.put_back, example.run), (lambda: done.do(levels), example.run)]
                done.before, done.after = map(median, in_turns(sides))
        except BaseException:
            done.undo()
            raise
    return done


def _slower(one: list[float], other: list[float]) -> bool:
    """By the median and by the fastest: a neighbour on the machine seldom spoils both."""
    return median(one) > _SLACK * median(other) and min(one) > _SLACK * min(other)


def _fastest(row: Row, x: Any) -> int:
    """How far to go with a row, by the clock; its times are noted."""
    *others, most = row.levels
    if not others:
        return most
    if x is None:
        row.note(row.why, "not reached by the example, so not timed")
        return most
    runs = in_turns([(partial(row.set, level), partial(row.call, x)) for level in row.levels])
    times = [median(each) for each in runs]
    chosen = max(k for k, each in enumerate(runs) if not _slower(each, min(runs, key=median)))
    row.before, row.after = times[0], times[chosen]
    if row.levels[chosen] != most:
        row.lowered(row.levels[chosen], f"slower here: {times[-1] * 1e3:.3f} ms")
    return row.levels[chosen]
