"""Demonstrations: ``tconv demo NAME`` computes or trains something in minutes and writes one report about it.

A demo is a line of `DEMOS` and a module (a file, or a package of its own), which is imported only when it
runs. The module has three functions:

    run(out: Path, *, seed: int, minutes: float | None, **options) -> Found
        Does it all: computes or trains, with notes and a bar on stderr, and writes OUT/report.html, one
        self-contained page (`tconv.documents.html`). `out` is a folder that exists and that no other
        process uses. `minutes` is the time that it may take: the demo takes fewer steps, and says how many.
        None: `Demo.minutes`. `options` are those of `Demo.options` that were given; others keep their
        defaults. A demo that trains resumes in a folder where an earlier one was stopped.
    document(found) -> Document
        What the command prints: one table.
    as_dict(found) -> dict
        The same numbers and more as plain values, for --json.

Every problem is a `TconvError` of one line. To add a demo, write the module, add a line here, and where it
needs an option that is not there yet, a line in `OPTIONS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from tconv.documents import Document
from tconv.errors import TconvError, unknown

__all__ = ["DEFAULT", "DEMOS", "OPTIONS", "Demo", "Module", "Option", "find"]


class Module(Protocol):
    """What a demo's module has; see above."""

    def run(self, out: Path, *, seed: int, minutes: float | None, **options: Any) -> Any: ...

    def document(self, found: Any) -> Document: ...

    def as_dict(self, found: Any) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Option:
    """An option of the command that some demos take: ``--name METAVAR``."""

    metavar: str
    kind: Callable[[str], Any]
    help: str


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo: what it shows, the minutes that it takes on two idle cores, the data that it needs."""

    name: str
    summary: str
    minutes: float
    data: str
    module: str
    options: tuple[str, ...] = ()
    folder: str = ""
    """Where it writes without --out; runs/NAME if empty."""

    @property
    def out(self) -> Path:
        """The folder that it writes to without --out."""
        return Path(self.folder or f"runs/{self.name}")

    def load(self) -> Module:
        """Its module, imported now."""
        return cast(Module, importlib.import_module(self.module))

    def check(self, options: Mapping[str, Any]) -> None:
        """Whether it takes the options that were given.

        Raises:
            TconvError: it does not; the message names the demos that do.
        """
        for name in options:
            if name not in self.options:
                takers = ", ".join(demo.name for demo in DEMOS.values() if name in demo.options)
                raise TconvError(f"--{name}: {self.name} does not take it; {takers} would")


OPTIONS: dict[str, Option] = {
    "data": Option("FOLDER", Path, "folder of the data, instead of where they are looked for"),
    "epochs": Option("N", int, "epochs of each training"),
    "steps": Option("N", int, "steps of each training"),
    "weights": Option("FILE", Path, "weights of EfficientNet-Lite0 (.pth) or VGG16 (Keras, .h5)"),
}

DEMOS: dict[str, Demo] = {
    demo.name: demo
    for demo in (
        Demo(
            "upsampling",
            "an FCN-8s learns to segment, with learned, bilinear and nearest upsampling",
            4,
            "MRI slices, built in",
            "tconv.demos.upsampling",
            ("epochs",),
            "runs/demo",
        ),
        Demo(
            "dcgan",
            "generators learn to draw clothes, with four ways to double a map",
            8,
            "Fashion-MNIST, from Debian's package",
            "tconv.demos.dcgan",
            ("data", "steps"),
        ),
        Demo(
            "deconvnet",
            "a deconvolutional network learns two layers of sparse maps, and removes noise",
            4,
            "pictures of scikit-image",
            "tconv.demos.deconvnet",
        ),
        Demo(
            "units",
            "what units of trained classifiers see, and where they look",
            5,
            "pictures; weights (pip)",
            "tconv.demos.units",
            ("weights",),
        ),
        Demo(
            "pca",
            "principal components as the filters of a convolution and its transpose",
            0.2,
            "a picture of scikit-image",
            "tconv.demos.pca",
        ),
    )
}

DEFAULT = "upsampling"


def find(name: str) -> Demo:
    """The demo called `name`.

    Raises:
        TconvError: there is none.

    >>> find("upsamplin")
    Traceback (most recent call last):
    ...
    tconv.errors.TconvError: demo 'upsamplin' is unknown; did you mean 'upsampling'?
    """
    if name not in DEMOS:
        raise unknown("demo", name, DEMOS)
    return DEMOS[name]
