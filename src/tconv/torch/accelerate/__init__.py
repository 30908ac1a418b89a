"""Accelerate an existing PyTorch model in place with tconv's engine; `undo()` restores it.

>>> import torch
>>> from torch import nn
>>> model = nn.Sequential(nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.ReLU()).eval()
>>> done = accelerate(model)
layer  what                          done
----------------------------------------------------------------------------
0      ConvTranspose2d 8>4 k4 s2 p1  swapped, BatchNorm2d folded, ReLU fused
>>> done.undo()
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn
from torch.jit import ScriptModule

from tconv.documents import terminal
from tconv.errors import TconvError
from tconv.geometry.normalize import flag
from tconv.torch.accelerate.choosing import measured
from tconv.torch.accelerate.measuring import SECONDS, Budget, Example, calls_of
from tconv.torch.accelerate.rows import find
from tconv.torch.accelerate.table import Accelerated

__all__ = ["Accelerated", "accelerate"]


def accelerate(
    model: nn.Module,
    *args: Any,
    example: Any = None,
    examples: Iterable[Any] = (),
    report: bool = True,
    seconds: float = SECONDS,
    **kwargs: Any,
) -> Accelerated:
    """Let tconv compute a model's transposed convolutions, and what belongs to them, in place.

    Only the class of every ConvTranspose1d, 2d and 3d changes, to tconv's: parameters, names, hooks,
    optimizers and state dicts remain valid. In evaluation without gradients weights are packed once, a
    BatchNorm that follows is folded into them, the activation that follows is fused into the epilogue, and
    nearest upsampling with the convolution after it becomes one transposed layer, exact to the borders. That
    is done where nn.Sequential or torch.fx shows that nothing else reads the values between them. With hooks
    on a part, in training, under compilers and autocast the parts run one by one.

    Packed weights follow load_state_dict, optimizers and every write that PyTorch counts. It does not count
    writes through `.data` or NumPy: those are detected in tensors of up to 16,384 numbers, and in larger ones
    by a sample of 1,024. This detects averaged or clipped weights, but not a few numbers written into a large
    tensor: call `refresh()` of the result to pack again, or write to the parameter itself under
    torch.no_grad(), which is counted.

    Args:
        model: any module; it is changed in place.
        args: arguments of the model, as in a call of it; a tuple or dict alone stands for arguments or
            keywords. With them, what follows each layer is seen in any forward, outputs are compared, layers
            and the whole model are timed, and what is slower is undone.
        kwargs: keywords of the model. Those that are called like one of these options go into a dict, or into
            a tuple of arguments and a dict.
        example: the same as one object: a tensor, a tuple of arguments, a dict of keywords, or a tuple of
            both, ((x, y), {"mask": m}).
        examples: several such objects, of other shapes or keywords; outputs of all are compared, and times
            are for all of them.
        report: print the table, and on a terminal show a bar while the example is timed.
        seconds: for timing. The example is run twice in any case. Where the time does not suffice, or the
            machine is too noisy to tell, the cost model decides; with 0 nothing is timed. The table says
            what decided.

    Returns:
        The table of what was done, and what was not and why. `undo()`, or the end of a with block, restores
        the model.

    Raises:
        TconvError: `model` is not a module, or does not run on `example`, or `seconds` is not a number of at
            least 0; or outputs differ by more than the tolerance (1e-4 of the largest in float32; if the
            model amplifies rounding, ten times what that changes): then everything has been undone.

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
    budget = Budget(seconds)
    flag("report", report)
    calls = calls_of(args, kwargs, example, examples)
    if calls:
        done = measured(Example(model, calls), budget, report)
    else:
        done = Accelerated(model, *find(model))
        done.do()
    if any("_orig_mod" in module._modules for module in model.modules()):
        done.notes.append("compiled parts run one by one: Inductor fuses them")
    done.notes += _notes(model, bool(done.rows))
    if report:
        terminal.show(done.document())
    return done


def _notes(model: nn.Module, changed: bool) -> Iterator[str]:
    for name, part in model.named_modules():
        if isinstance(part, ScriptModule):
            whose = name or "the model"
            yield f"{whose} is compiled by torch.jit and kept: accelerate before torch.jit.trace"
            break
    if model.training and changed:
        yield "the model is in training mode: this takes effect after model.eval(), under torch.no_grad()"
