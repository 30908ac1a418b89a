"""What a unit of a trained network sees (Zeiler & Fergus 2014): its activation, taken back to the picture."""

from __future__ import annotations

from dataclasses import dataclass
from operator import add

import torch
from torch import Tensor, nn

from tconv.errors import TconvError, clean, unknown
from tconv.nets.tape import Tape
from tconv.nets.transposes import guided as by_both
from tconv.nets.transposes import joined, read_by, transposed

__all__ = ["Projection", "project"]


@dataclass(frozen=True, slots=True)
class Projection:
    """One activation of a unit, in the space of the picture."""

    picture: Tensor  #: of the shape of the picture that was given; 0 outside `window`
    activation: float
    at: tuple[int, ...]  #: its position in the layer's map, () in a layer without positions
    window: tuple[slice, ...]  #: the part of the picture that it depends on, one slice per spatial axis


def project(
    model: nn.Module,
    picture: Tensor,
    layer: str,
    unit: int,
    at: tuple[int, ...] | None = None,
    *,
    guided: bool = False,
) -> Projection:
    """What in the picture excites a unit: forward up to its layer, then back through the transposed network.

    All activations of the layer but one are set to 0. That one goes back: a maximum of a pooling to the
    position it came from (the switch), a ReLU by rectifying what comes back, a convolution by the transposed
    convolution with the same filters (Zeiler & Fergus 2014, section 2.1). Batch norms, average pooling,
    padding, resizing, concatenations and residual additions become their transposes, additive constants are
    dropped. Without max pooling there are no switches, and the projection depends on the picture by the
    activation alone; `guided` then shows more.

    The model is run in evaluation mode up to the layer. Afterwards its modules have their modes again.

    Args:
        model: any module; what its layers compute between the picture and `layer` must be of the kinds above.
        picture: (c, h, w) or (1, c, h, w), normalised as the model wants it; float32 or float64, on the CPU.
        layer: a name of `model.named_modules()`; if it runs more than once, the first time counts.
        unit: a channel of the layer's output.
        at: the position in the layer's map, one index per axis; default: where the unit is strongest.
        guided: ReLUs also stop, on the way back, what they stopped on the way forward: "guided
            backpropagation" (Springenberg et al. 2015), which needs no switches.

    Raises:
        TconvError: the layer is unknown, unit or position are out of range, the picture does not fit, or an
            operator on the way has no way back.

    >>> net = nn.Sequential(nn.Conv2d(1, 1, 2, bias=False), nn.ReLU(), nn.MaxPool2d(2))
    >>> _ = nn.init.ones_(net[0].weight)
    >>> picture = torch.tensor([[[0.0, 0, 0], [0, 1, 2], [0, 0, 3]]])
    >>> project(net, picture, "2", 0).picture  # the strongest window, times its activation 6
    tensor([[[0., 0., 0.],
             [0., 6., 6.],
             [0., 6., 6.]]])
    """
    batch = _batch(picture)
    names = [name for name, _ in model.named_modules() if name]
    if layer not in names:
        raise unknown("layer", layer, names)
    tape = Tape.record(model, batch, layer)
    output = _output(tape, layer)
    channels, sizes = output.shape[1], tuple(output.shape[2:])
    _inside("unit", unit, channels, f"layer {clean(layer)!r} has {channels}, so that")
    if at is None:
        strongest = int(output[0, unit].argmax())
        at = tuple(int(i) for i in torch.unravel_index(torch.tensor(strongest), sizes)) if sizes else ()
    if len(at) != len(sizes):
        raise TconvError(
            f"at={at} has {len(at)} indices; layer {clean(layer)!r} has a map of {sizes}, "
            f"so that {len(sizes)} would fit"
        )
    for index, size in zip(at, sizes, strict=True):
        _inside("position", index, size, f"layer {clean(layer)!r} has a map of {sizes}, so that")
    place = (0, unit, *at)
    start = torch.zeros_like(output)
    start[place] = output[place]
    with torch.no_grad():
        found = tape.back(start, by_both if guided else transposed, add)
    window = tape.back(tuple((index, index) for index in at), read_by, joined)
    if found is None or window is None:
        raise TconvError(f"layer {clean(layer)!r} does not depend on the picture")
    return Projection(
        found.view(picture.shape),
        float(output[place]),
        at,
        tuple(slice(first, last + 1) for first, last in window),
    )


def _batch(picture: object) -> Tensor:
    """The picture as a batch of one."""
    if not isinstance(picture, Tensor) or picture.dtype not in (torch.float32, torch.float64):
        kind = picture.dtype if isinstance(picture, Tensor) else type(picture).__name__
        raise TconvError(f"picture is {kind}; a tensor of float32 or float64 would fit")
    if picture.device.type != "cpu" or picture.layout != torch.strided:
        raise TconvError(
            f"picture is {picture.layout} on {picture.device}; a dense tensor on the CPU would fit"
        )
    shape = tuple(picture.shape)
    if picture.dim() not in (3, 4) or (picture.dim() == 4 and shape[0] != 1) or not picture.numel():
        raise TconvError(
            f"picture has shape {shape}; (channels, height, width) would fit, with a 1 before it or not"
        )
    if not bool(picture.isfinite().all()):
        raise TconvError("picture has values that are not finite; finite ones would fit")
    return picture.detach().view(1, *shape[-3:])


def _output(tape: Tape, layer: str) -> Tensor:
    output = tape.output
    if not isinstance(output, Tensor) or output.dim() < 2 or output.shape[0] != 1 or not output.numel():
        kind = f"a tensor of {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise TconvError(f"layer {clean(layer)!r} gives {kind}; one of (1, units, ...) would fit")
    return output


def _inside(what: str, index: object, size: int, why: str) -> None:
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < size:
        raise TconvError(f"{what} {str(index)[:40]} is not there; {why} 0 to {size - 1} would fit")
