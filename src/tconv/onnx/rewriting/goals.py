"""Tables: the goals of rewriting, and the rules that are tried for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from tconv.conventions.onnx_options import ConvOptions
from tconv.errors import TconvError, unknown
from tconv.models.onnx import options
from tconv.onnx.rules import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["CAPABILITIES", "ENGINE", "SPEED", "STAGES", "TARGETS", "Capability", "Target", "needs", "target"]

_FOLDING = ("fold-batchnorm", "fold-scale", "fold-bias", "fold-input-shift", "fold-input-scale")

SPEED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "folding": _FOLDING,
        "folding, hard swish": ("hard-swish", *_FOLDING),
        "nearest merged": ("merge-nearest",),
        "nearest as depth to space": ("nearest-depth-to-space",),
        "nearest split": ("split-nearest",),
        "flipped": ("flip-stride-one",),
        "kernel is stride": ("kernel-is-stride",),
        "depth to space": ("conv-depth-to-space",),
        "depth to space, cropped": ("conv-depth-to-space-cropped",),
        "transposed": ("depth-to-space-conv",),
        "linear resize as a layer": ("linear-resize",),
        "layer as linear resize": ("to-linear-resize",),
        "frames added": ("inverse-stft",),
        "depthwise split": ("split-depthwise",),
        "groups to batch": ("groups-to-batch",),
        "groups split": ("split-groups",),
        "groups dense": ("dense-groups",),
    }
)
"""Rules that are tried for speed; together if one enables the next."""

ENGINE = "engine"
STAGES: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {**{name: (rules,) for name, rules in SPEED.items()}, ENGINE: (_FOLDING, ("to-engine",))}
)
"""Every move's rules, in stages of which each goes on until none of its rules applies any more."""


@dataclass(frozen=True)
class Capability:
    """A feature that a layer needs from a runtime.

    Attributes:
        what: a phrase after "it has" or "it is".
        asked: whether a ConvTranspose with these attributes needs it.
        cures: the rules that remove it, in the order in which they are tried.
    """

    what: str
    asked: Callable[[ConvOptions], bool]
    cures: tuple[str, ...]


_AWAY = (
    "flip-stride-one",
    "kernel-is-stride",
    "conv-depth-to-space",
    "conv-depth-to-space-cropped",
    "inverse-stft",
)

CAPABILITIES: Mapping[str, Capability] = MappingProxyType(
    {
        "auto-pad": Capability("auto_pad", lambda a: a.auto_pad != "NOTSET", ("explicit-pads",)),
        "output-shape": Capability("output_shape", lambda a: a.output_shape is not None, ("explicit-pads",)),
        "output-padding": Capability(
            "output_padding", lambda a: any(a.output_padding), ("drop-output-padding",)
        ),
        "asymmetric-pads": Capability(
            "pads that differ at the two ends",
            lambda a: a.pads is not None and any(low != high for low, high in a.pads),
            ("symmetric-pads",),
        ),
        "dilation": Capability(
            "dilation",
            lambda a: any(d > 1 and k > 1 for d, k in zip(a.dilation, a.kernel, strict=True)),
            ("spread-dilation",),
        ),
        "groups": Capability(
            "groups", lambda a: a.groups > 1, ("groups-to-batch", "split-groups", "dense-groups")
        ),
        "1-d": Capability("one spatial axis", lambda a: a.axes == 1, _AWAY),
        "3-d": Capability("three spatial axes", lambda a: a.axes == 3, _AWAY),
        "transposed": Capability("a transposed convolution", lambda a: True, _AWAY),
    }
)
"""In the order in which they are removed; ``no-NAME`` is a target, too."""


@dataclass(frozen=True)
class Target:
    """A runtime, described by what it lacks.

    Attributes:
        lacks: names of `CAPABILITIES`.
        source: how this is known; empty if the target is the name of a capability.
    """

    lacks: tuple[str, ...]
    source: str = ""


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        **{f"no-{name}": Target((name,)) for name in CAPABILITIES},
        "opencv": Target(
            ("auto-pad", "output-shape", "asymmetric-pads", "dilation", "1-d", "3-d"),
            "cv2.dnn of OpenCV 4.14.0, run: it refuses asymmetric pads and layers of one or three axes, and "
            "differs from ONNX Runtime with dilation, auto_pad SAME or output_shape",
        ),
    }
)
"""Names that ``--for`` takes besides ``speed``; several are separated by commas."""


def target(names: str) -> Target:
    """The target of one name, or of several separated by commas: what any of them lacks.

    Raises:
        TconvError: a name that is not in `TARGETS`.

    >>> target("no-groups,no-dilation").lacks
    ('dilation', 'groups')
    """
    chosen = [_named(name.strip()) for name in names.split(",")]
    lacks = {name for entry in chosen for name in entry.lacks}
    return Target(
        tuple(name for name in CAPABILITIES if name in lacks), "; ".join(t.source for t in chosen if t.source)
    )


def _named(name: str) -> Target:
    if name in ("speed", ENGINE):
        raise TconvError(
            f"--for {name} cannot be combined; a run for what a runtime lacks, then one for {name} would fit"
        )
    if name not in TARGETS:
        raise unknown("--for", name, ["speed", ENGINE, *TARGETS])
    return TARGETS[name]


def needs(node: ir.Node, context: Context) -> tuple[str, ...] | None:
    """Names of `CAPABILITIES` that a ConvTranspose needs; None if its attributes are not known."""
    if any(attribute.is_ref() for attribute in node.attributes.values()):
        return None
    said = options.read(node, context.sizes(node.inputs[1]), None)
    if said is None:
        return None
    return tuple(name for name, entry in CAPABILITIES.items() if entry.asked(said))
