"""A model rewritten for a goal, checked, and written atomically."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from math import prod
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tconv import arguments
from tconv.errors import TconvError, clean
from tconv.models import Model
from tconv.models.onnx.constants import held
from tconv.models.onnx.file import files_beside, write
from tconv.models.onnx.nodes import name_of, walk
from tconv.models.onnx.reader import read
from tconv.onnx.rewriting.checking import Compared, answers_of, compare, reference, seeded
from tconv.onnx.rewriting.feeds import Feeds, feeds_of, static, taken
from tconv.onnx.rewriting.goals import ENGINE, target
from tconv.onnx.rewriting.layers import estimated
from tconv.onnx.rewriting.layers import timed as layers_timed
from tconv.onnx.rewriting.report import Report
from tconv.onnx.rewriting.runner import Runner, Trouble
from tconv.onnx.rewriting.speed import Trial, search
from tconv.onnx.rewriting.targeting import fit, unmet
from tconv.onnx.rewriting.walker import Step, apply_rules
from tconv.onnx.rules import RULES, Context, Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Refused", "rewrite"]

SECONDS = 60.0
_MOST_THREADS = 4096


class Refused(TconvError):
    """The model and the request are valid, but no result meets the goal with the same outputs."""


@arguments.checked
def rewrite(
    source: str | PathLike[str] | Model,
    to: str | PathLike[str] | None = None,
    *,
    goal: str = "speed",
    check: bool = True,
    inputs: Sequence[str | PathLike[str] | Mapping[str, Any]] = (),
    shapes: Mapping[str, Sequence[int]] | None = None,
    pixels: str = "",
    threads: int = 0,
    seconds: float = SECONDS,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Rewrite an ONNX model exactly: for speed, for the engine, or for what a runtime supports.

    Args:
        source: the model's file, which is never changed; or a `Model` read by `tconv.models.onnx.reader`.
        to: the file to write; None writes nothing.
        goal: "speed"; "engine", whose result needs `tconv.onnx.register`; or a name of `TARGETS`, or
            several with commas between.
        check: run both models in ONNX Runtime and refuse if outputs differ; the tolerance is defined in
            `tconv.onnx.rewriting.checking`.
        inputs: .npz files, pictures (PNG, JPEG), sounds (WAV), or dictionaries by input name of arrays or of
            one picture or sound; to check with, and the first to time.
        shapes: of generated inputs, where the model leaves them open.
        pixels: the numbers of a picture: a range such as "0..1", the default for floats, or "0..255"; or
            means and deviations, "imagenet" or "0.5,0.5,0.5/0.2,0.2,0.2".
        threads: of ONNX Runtime; 0 leaves the choice to it.
        seconds: approximate time for measuring, for speed and for the engine. 0 chooses the layers of the
            engine by estimate; with `check=False` nothing is run then.
        tell: is called with a line for each step.

    Raises:
        Refused: the outputs differ, or a layer remains that the target does not support; nothing is written.
        TconvError: a file that cannot be read or written, inputs that do not fit, or `to` is `source`.

    >>> import tempfile
    >>> from onnx import TensorProto, helper, numpy_helper
    >>> x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2, "h", "w"]) for name in "xy")
    >>> up = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", group=2, strides=[2, 2])
    >>> w = numpy_helper.from_array(np.ones((2, 1, 2, 2), np.float32), "w")
    >>> model = helper.make_model(helper.make_graph([up], "g", [x], [y], [w]), ir_version=10,
    ...                           opset_imports=[helper.make_opsetid("", 21)])
    >>> path = Path(tempfile.mkdtemp(), "up.onnx")
    >>> _ = path.write_bytes(model.SerializeToString())
    >>> report = rewrite(path, path.with_name("out.onnx"), goal="no-groups")
    >>> [step.node for step in report.done], path.with_name("out.onnx").exists()
    (['up'], True)
    """
    if not 0 <= threads <= _MOST_THREADS:
        raise TconvError(f"threads={threads}; 0 to {_MOST_THREADS} would fit")
    if not 0 <= seconds < float("inf"):
        raise TconvError(f"seconds={seconds}; 0 or more would fit")
    wanted = None if goal in ("speed", ENGINE) else target(goal)
    timing = wanted is None and (goal == "speed" or seconds > 0)
    read_ = source if isinstance(source, Model) else read(source)
    path, out, model = Path(read_.source), None if to is None else Path(to), read_.onnx
    _check_apart(model, path, out)
    given = [feeds_of(entry, i, model, pixels) for i, entry in enumerate(inputs)]
    sizes = {name: tuple(int(size) for size in shape) for name, shape in (shapes or {}).items()}
    made = model.clone()
    with Runner(threads) if check or timing else nullcontext() as runner:
        feeds: list[Feeds] = []
        if runner is not None:
            tell("running the original model")
            try:
                runner.load("trial", model)
            except Trouble as trouble:
                other = "; --no-check --seconds 0 rewrites it by estimate" if goal == ENGINE else ""
                raise TconvError(
                    f"ONNX Runtime cannot run {path}, so it is neither compared nor timed: {trouble}{other}"
                ) from None
            feeds = taken(model, runner, "trial", sizes, given)
            runner.drop("trial")
        if wanted is not None:
            steps = fit(made, wanted)
            notes = (f"{goal}: {wanted.source}.",) if wanted.source else ()
            report = Report(goal, tuple(steps), notes=notes)
            left = unmet(made, wanted, steps)
            if left:
                raise Refused(f"{path} for {goal}: {left[0]}{f'; {len(left) - 1} more' if left[1:] else ''}")
        elif not timing:
            report = Report(ENGINE, tuple(step for move in estimated(made) for step in move.apply(made)))
        else:
            assert runner is not None
            timed = feeds[0] if given else max(feeds, key=_volume)
            plain, first = seeded(model)[0], tuple[Trial, ...]()
            if goal == ENGINE:
                first = layers_timed(plain, runner, timed, seconds=seconds / 3, tell=tell)
            faster = search(plain, runner, timed, seconds=seconds, tell=tell, first=first)
            for move in faster.moves:
                move.apply(made)
            report = Report(
                goal,
                faster.steps,
                trials=faster.trials,
                timed=faster.timed,
                feeds=timed.name,
                threads=threads,
                notes=() if given or static(model, sizes) else (MADE_UP,),
            )
        report = replace(report, steps=_telling(report.steps, made))
        if check and report.done:
            assert runner is not None
            tell("checking the outputs")
            report = _checked(model, made, report, runner, feeds)
    held = [f"Inputs: {clean(one.name, 300)}." for one in feeds if one.media]
    report = replace(report, notes=(*report.notes, *held, *_unquantized(model, made)))
    if out is not None:
        write(made, out)
    return report


def _unquantized(model: ir.Model, made: ir.Model) -> list[str]:
    """A sentence about weights that were quantized in `model` and are not in `made`."""
    before, after = (
        {
            str(node.outputs[0].name): prod(constant.shape) * constant.dtype.itemsize - constant.tensor.nbytes
            for node, _ in walk(one)
            if node.op_type == "DequantizeLinear" and (constant := held(node.outputs[0])) is not None
        }
        for one in (model, made)
    )
    gone = [more for name, more in before.items() if name not in after]
    if not gone:
        return []
    what = "1 quantized constant" if len(gone) == 1 else f"{len(gone)} quantized constants"
    return [
        f"Dequantized in the file, so that nothing is computed at each run: {what}, {sum(gone):,} bytes more."
    ]


MADE_UP = (
    "The model leaves sizes open, so it was timed with small generated inputs: "
    "--input NAME=SHAPE, or a .npz file, times yours."
)


def _telling(steps: Sequence[Step], made: ir.Model) -> tuple[Step, ...]:
    """The steps, with refusals only at layers and resizes, and only of rules that did not apply there."""
    about = {
        (where, name_of(node))
        for where, node in Context(made).nodes()
        if node.op_type in ("ConvTranspose", "Resize", "Upsample")
    }
    done = {step[:3] for step in steps if step.reason is None}
    return tuple(
        dict.fromkeys(
            s for s in steps if s.reason is None or ((s.where, s.node) in about and s[:3] not in done)
        )
    )


def _check_apart(model: ir.Model, path: Path, out: Path | None) -> None:
    """Check that `out` is none of the files from which the model is read."""
    if out is None:
        return
    if out.is_dir():
        raise TconvError(f"cannot write {out}: it is a folder")
    if out.exists() and not out.is_file():  # a device or a pipe would be replaced by a file
        raise TconvError(f"cannot write {out}: it is not a regular file")
    if not out.parent.is_dir():
        raise TconvError(f"cannot write {out}: there is no folder {out.parent}")
    held = {path, *files_beside(model)}
    if out.exists() and any(file.exists() and out.samefile(file) for file in held):
        raise TconvError(f"cannot write {out}: it is the model that is read; another name would fit")


def _volume(feeds: Feeds) -> int:
    return sum(array.size for array in feeds.arrays.values())


def _checked(
    model: ir.Model, made: ir.Model, report: Report, runner: Runner, feeds: Sequence[Feeds]
) -> Report:
    """The report, completed with the comparison.

    Raises:
        Refused: the outputs differ; the message names the first rewriting at fault.
    """
    original, kinds = seeded(model)
    held = reference(original, runner, feeds)

    def against(other: ir.Model) -> list[Compared]:
        try:
            answers = answers_of(seeded(other)[0], runner, "rewritten", feeds)
        except Trouble as trouble:
            raise Refused(f"the rewritten model does not run: {trouble}; nothing was written") from None
        return compare(held, answers, feeds)

    found = against(made)
    notes = list(report.notes)
    if kinds:
        notes.append(f"Random operators ({', '.join(kinds)}) had the same seeds in both models.")
    bad = [entry for entry in found if not entry.fine]
    if bad:
        step, entry = _culprit(model, report, against, bad[0])
        raise Refused(
            f"{step.rule} at {clean(step.node)}: output {clean(entry.output)!r} differs by {entry.error:.3g} "
            f"where {entry.allowed:.3g} is allowed (its largest value is {entry.largest:.3g}; "
            f"{clean(entry.feeds, 300)}); nothing was written"
        )
    return replace(report, compared=tuple(found), notes=tuple(notes))


def _culprit(
    model: ir.Model,
    report: Report,
    against: Callable[[ir.Model], list[Compared]],
    last: Compared,
) -> tuple[Step, Compared]:
    """The first rewriting after which an output differs, found by bisection."""
    done: list[Step] = list(report.done)
    low, high, worst = 0, len(done), last
    while high - low > 1:
        middle = (low + high) // 2
        bad = [entry for entry in against(_replayed(model, done[:middle])) if not entry.fine]
        if bad:
            high, worst = middle, bad[0]
        else:
            low = middle
    return done[high - 1], worst


def _replayed(model: ir.Model, steps: Sequence[Step]) -> ir.Model:
    """The model after only these rewritings."""
    made = model.clone()
    for step in steps:
        place = (step.where, step.node)

        def here(_: Rule[Any], where: str, node: ir.Node, place: tuple[str, str] = place) -> bool:
            return (where, name_of(node)) == place

        apply_rules(made, [RULES[step.rule]], here)
    return made
