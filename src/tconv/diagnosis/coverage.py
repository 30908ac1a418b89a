"""Findings from the integers: coverage of outputs and gradients, sizes at a skip connection, the plan."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from tconv.diagnosis.findings import Finding
from tconv.diagnosis.measures import Measures, stepped
from tconv.errors import TconvError
from tconv.geometry import Axis, Geometry
from tconv.geometry.axis import reach
from tconv.models.layer import ModelLayer
from tconv.ops import plan
from tconv.ops.arrays import CODES

__all__ = ["at_skip", "of_geometry", "of_plan"]

_STARVED = 0.5  # a border input with less than this share of the taps of an inner one is worth a note
_WASTE = 2.0  # computed multiplications per needed one
_SMALL = 1_000_000  # multiplications: fewer take no longer than the call overhead


def of_geometry(layer: ModelLayer, measures: Measures, tolerance: float) -> Iterator[Finding]:
    """T101 to T104."""
    if layer.conv:
        yield from _conv_gradient(layer, measures)
        return
    if measures.weights is None or measures.weights.ripple > tolerance:  # else the weights compensate
        yield from _uneven(layer, measures)
    yield from _unreached(layer, measures)
    yield from _input_gradient(layer)


def _even_kernels(layer: ModelLayer) -> str:
    """Kernels near the layer's that cover evenly, and the padding that keeps its output size."""
    g = layer.known
    made = []
    for k, s, o, (lo, hi) in zip(g.kernel, stepped(layer), g.output_padding, g.padding, strict=True):
        kernel = -(-k // s) * s
        crop = lo + hi + kernel - k - o
        made.append((kernel, crop // 2, crop - crop // 2) if k % s else (k, lo, hi - o))
    kernels = "x".join(str(k) for k, *_ in made)
    sides = "x".join(str(lo) if lo == hi else f"{lo}:{hi}" for _, lo, hi in made)
    return f"kernel {kernels} with padding {sides} and no output padding gives the same size evenly"


def _uneven(layer: ModelLayer, measures: Measures) -> Iterator[Finding]:
    taps = measures.taps
    reached = taps[taps > 0]
    if reached.min() == reached.max():
        return
    g = layer.known
    said: dict[str, list[int]] = {}
    for a, (k, s, d) in enumerate(zip(g.kernel, stepped(layer), g.dilation, strict=True)):
        counts = sorted({len(phase.taps) for phase in Axis(1, k, s, 0, 0, 0, d).phases()})
        if len(counts) > 1:
            sentence = f"kernel {k} over stride {s} gives {' or '.join(map(str, counts))} taps"
            said.setdefault(sentence, []).append(a)
    least, most = int(reached.min()), int(reached.max())
    fix = "resize, then convolve; or a kernel that is a multiple of the stride"
    if set(g.dilation) == {1}:
        fix = _even_kernels(layer) + "; or resize, then convolve"
    yield Finding(
        code="T101",
        layer=layer.name,
        text="; ".join(f"{sentence} on {_axes(axes)}" for sentence, axes in said.items())
        + (f"; outputs away from the borders are sums of {least} to {most}" if g.axes > 1 else ""),
        evidence={"taps_least": least, "taps_most": most, "taps": taps.tolist()},
        fix=fix,
    )


def _axes(axes: list[int]) -> str:
    return f"ax{'e' if len(axes) > 1 else 'i'}s {' and '.join(map(str, axes))}"


def _unreached(layer: ModelLayer, measures: Measures) -> Iterator[Finding]:
    g = layer.known
    empty = int((measures.taps == 0).sum())
    if layer.sized:
        reached = prod(axis.output - _bare(axis) for axis in map(g.axis, range(g.axes)))
        bare, cells = prod(g.output) - reached, prod(g.output)
    else:
        bare, cells = empty, measures.taps.size
    if not bare:
        return
    if empty:
        fix = "a kernel of at least the stride, and a dilation that shares no divisor with it"
    else:
        fix = "less negative padding or output padding: these cells lie beyond the last stamp"
    what = "outputs of a map" if layer.sized else "phases"
    yield Finding(
        code="T102",
        layer=layer.name,
        text=f"{bare} of {cells} {what} hold only the bias",
        evidence={"bare": bare, "of": cells, "empty_phases": empty},
        fix=fix,
    )


def _shortened(axis: Axis) -> Axis:
    """The axis with fewer inputs, if it has more than both ends and some between: inner inputs are equal."""
    ends = reach(axis.kernel, axis.dilation) + abs(axis.lo) + abs(axis.hi)
    return axis._replace(input=min(axis.input, 2 * (ends // axis.stride + axis.stride) + 8))


def _bare(axis: Axis) -> int:
    """How many outputs along one axis are reached by no tap."""
    short = _shortened(axis)
    empty = sum(not phase.taps for phase in axis.phases())
    return sum(count == 0 for count in short.coverage()) + (axis.input - short.input) * empty


def _taps_of_inputs(axis: Axis) -> list[int]:
    """How many outputs each input reaches along one axis: the terms of its gradient."""
    change = [0] * (axis.input + 1)
    for tap in range(axis.kernel):
        inputs = axis.inputs_of_tap(tap)
        if inputs:
            change[inputs.start] += 1
            change[inputs.stop] -= 1
    for i in range(1, axis.input + 1):
        change[i] += change[i - 1]
    return change[:-1]


def _input_gradient(layer: ModelLayer) -> Iterator[Finding]:
    g = layer.known
    lines = [_taps_of_inputs(_shortened(g.axis(a))) for a in range(g.axes)]
    # The inputs that `_shortened` leaves out reach outputs: those without influence are at the ends.
    alive = [size - sum(count == 0 for count in line) for size, line in zip(g.input, lines, strict=True)]
    dead = prod(g.input) - prod(alive)
    if dead:
        at = [a for a, line in enumerate(lines) if not all(line)]
        deep = any(max(g.padding[a]) >= reach(g.kernel[a], g.dilation[a]) for a in at)
        yield Finding(
            code="T103",
            layer=layer.name,
            text=f"{dead} of {prod(g.input)} inputs change no output, because of the cropping on {_axes(at)}",
            evidence={"dead": dead, "of": prod(g.input), "axes": at},
            fix="padding below d(k-1) + 1 at either end, or crop the input first"
            if deep
            else "so few outputs are left that the stride or the dilation skips these inputs; correct if a "
            "stream uses them for later outputs",
        )
        return
    starved = {a: (min(line), max(line)) for a, line in enumerate(lines) if min(line) < _STARVED * max(line)}
    if starved:
        said = "; ".join(
            f"axis {a}: {least} taps at the border, {most} inside" for a, (least, most) in starved.items()
        )
        yield Finding(
            code="T104",
            layer=layer.name,
            text=f"the gradient of the input is uneven: {said}",
            evidence={"taps": {str(a): list(pair) for a, pair in starved.items()}},
            fix="less padding: border inputs then reach as many outputs as the others",
        )


def _conv_gradient(layer: ModelLayer, measures: Measures) -> Iterator[Finding]:
    taps = measures.taps
    least, most = int(taps.min()), int(taps.max())
    if least == most:
        return
    empty = int((taps == 0).sum())
    g = layer.known
    said = f"{empty} of {taps.size} phases of the input are never read and get no gradient; " if empty else ""
    yield Finding(
        code="T104",
        layer=layer.name,
        text=f"{said}a strided convolution of kernel {_times(g.kernel)}, stride {_times(g.stride)} sends "
        f"gradients of {least} to {most} taps back to its input",
        evidence={"taps_least": least, "taps_most": most, "unread_phases": empty, "taps": taps.tolist()},
        fix="a kernel that is a multiple of the stride; or a stride-1 convolution, smoothed and subsampled",
    )


def _times(numbers: tuple[int, ...]) -> str:
    return "x".join(map(str, numbers))


def at_skip(layer: ModelLayer, skip: tuple[int, ...]) -> Iterator[Finding]:
    """T301 for a layer whose output is joined with a map of the spatial sizes `skip`."""
    g = layer.known
    if len(skip) != g.axes:
        raise TconvError(
            f"skip {_times(skip)} has {len(skip)} axes and {g} has {g.axes}; one size per axis would fit"
        )
    if min(skip) < 1:
        raise TconvError(f"skip {_times(skip)}; sizes of at least 1 would fit")
    if g.output == skip:
        return
    apart = [o - wanted for o, wanted in zip(g.output, skip, strict=True)]
    said = [f"axis {a} is {abs(n)} too {'large' if n > 0 else 'small'}" for a, n in enumerate(apart) if n]
    yield Finding(
        code="T301",
        layer=layer.name,
        text=f"the output is {_times(g.output)} and the skip connection {_times(skip)}: {', '.join(said)}",
        evidence={"output": list(g.output), "skip": list(skip), "apart": apart},
        fix=_to_meet(g, skip),
    )


def _to_meet(g: Geometry, skip: tuple[int, ...]) -> str:
    try:
        extra = g.output_padding_for(skip)
        return f"output_padding {_times(extra)} (or output_size={skip}) makes the sizes match"
    except TconvError:
        sums = [
            (i - 1) * s + reach(k, d) - wanted
            for i, s, k, d, wanted in zip(g.input, g.stride, g.kernel, g.dilation, skip, strict=True)
        ]
        sides = "x".join(str(n // 2) if n % 2 == 0 else f"{n // 2}:{n - n // 2}" for n in sums)
        return f"padding {sides} makes the sizes match; or crop or pad the skip connection"


def of_plan(layer: ModelLayer) -> Iterator[Finding]:
    """T501."""
    dtype = "float32" if layer.weight is None else str(layer.weight.dtype)
    g = layer.known
    if layer.conv or not g.batch or dtype not in CODES:
        return
    chosen = plan(g, dtype=CODES[dtype])
    needed = max(1, g.macs_exact)
    # Loops with alternatives are the fastest for so few numbers: nothing that the caller could change.
    if chosen.algorithm == "reference" and not chosen.alternatives:
        text = f"{dtype} is computed by plain loops (algorithm 'reference')"
        fix = "float32, float16 or bfloat16, which have their own kernels"
    elif chosen.computed_macs > _WASTE * needed > _WASTE * _SMALL and layer.sized:
        ratio = chosen.computed_macs / needed
        text = f"{chosen.kernel} multiplies {ratio:.1f} times as often as the {needed:,} that are needed"
        fix = "larger maps, more channels, or less cropping: the kernel's tiles are mostly padding here"
    else:
        return
    yield Finding(
        code="T501",
        layer=layer.name,
        text=text,
        evidence={
            "algorithm": chosen.algorithm, "kernel": chosen.kernel, "dtype": dtype,
            "computed": chosen.computed_macs, "needed": needed,
        },
        fix=fix,
    )  # fmt: skip
