"""The options of ONNX's Conv and ConvTranspose, and the Geometry that each runtime makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from tconv.errors import TconvError, unknown
from tconv.geometry import Geometry
from tconv.geometry.axis import reach
from tconv.geometry.normalize import Sides

__all__ = ["AUTO_PADS", "ConvOptions"]

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@dataclass(frozen=True, kw_only=True)
class ConvOptions:
    """What a Conv or ConvTranspose node says, all of it explicit: one entry per spatial axis.

    >>> up = ConvOptions(kernel=(3,), stride=(2,), dilation=(1,), pads=((0, 0),), auto_pad="SAME_UPPER")
    >>> up.window((5,)), up.window((5,), "openvino"), replace(up, transposed=False).window((5,))
    (((0, 1),), ((0, 1),), ((1, 1),))
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: (
        Sides | None
    )  #: those of `auto_pad` and `output_shape`, if any; None where they depend on open sizes
    output_padding: tuple[int, ...] = ()  #: of a ConvTranspose; () stands for none
    groups: int = 1
    auto_pad: str = "NOTSET"  #: as it is written
    output_shape: tuple[int, ...] | None = None  #: as it is written
    transposed: bool = True

    def __post_init__(self) -> None:
        """Whether the numbers are ones that ONNX has.

        Raises:
            TconvError: they are not.
        """
        if not self.output_padding:
            object.__setattr__(self, "output_padding", (0,) * self.axes)
        for name, values, least in (
            ("strides", self.stride, 1),
            ("dilations", self.dilation, 1),
            ("output_padding", self.output_padding, 0),
        ):
            if min(values) < least:
                raise TconvError(f"{name}={values}; it must be at least {least}")
        if self.groups < 1:
            raise TconvError(f"{self.groups} groups; at least 1 would fit")
        if self.auto_pad not in AUTO_PADS:
            raise unknown("auto_pad=", self.auto_pad, AUTO_PADS)

    @property
    def axes(self) -> int:
        """The number of spatial axes."""
        return len(self.kernel)

    @property
    def sized(self) -> bool:
        """Whether the pads depend on the sizes of the input."""
        if self.transposed:
            return self.output_shape is not None
        return self.auto_pad.startswith("SAME") and prod(self.stride) > 1

    @property
    def padding(self) -> Sides:
        """The pads less the output padding: what is cropped from the full output."""
        assert self.pads is not None
        return tuple((lo, hi - o) for (lo, hi), o in zip(self.pads, self.output_padding, strict=True))

    @property
    def call(self) -> tuple[tuple[int, ...], Sides, tuple[int, ...]]:
        """Stride, padding and dilation, in the order of the arguments of `tconv.algebra`."""
        return self.stride, self.padding, self.dilation

    @property
    def enough(self) -> tuple[int, ...]:
        """Sizes of an input that is not used up by the pads as they are written."""
        return tuple(max(0, lo) + max(0, hi) + 1 for lo, hi in self.pads or ((0, 0),) * self.axes)

    def resolved(self, sizes: Sequence[int] | None) -> ConvOptions:
        """The same with the `pads` that ONNX Runtime uses at these sizes, or at any if they are None."""
        if sizes is None:
            if self.sized:
                return replace(self, pads=None)
            sizes = self.enough
        return replace(self, pads=self.window(sizes))

    def window(self, sizes: Sequence[int], reading: str = "onnxruntime") -> Sides:
        """The pads of a runtime at these sizes of the input, beside `output_padding`.

        Those of a ConvTranspose are cropped from its full output, those of a Conv added to its input.
        """
        if not self.transposed:
            return self._added(sizes)
        full = self._full(sizes)
        reached = [f + o for f, o in zip(full, self.output_padding, strict=True)]
        if self.output_shape is not None:
            made: Sequence[int] = self.output_shape
        elif self.auto_pad.startswith("SAME"):
            made = [i * s for i, s in zip(sizes, self.stride, strict=True)]
            if reading != "reference":  # where the kernel is shorter than the stride nothing is added
                made = [min(m, r) for m, r in zip(made, reached, strict=True)]
        elif self.auto_pad == "VALID":
            return ((0, 0),) * self.axes
        else:
            assert self.pads is not None
            return self.pads
        totals = [r - m for r, m in zip(reached, made, strict=True)]
        starts = [self._start(total, reading) for total in totals]
        return tuple((lo, total - lo) for lo, total in zip(starts, totals, strict=True))

    def _full(self, sizes: Sequence[int]) -> list[int]:
        numbers = zip(sizes, self.stride, self.kernel, self.dilation, strict=True)
        return [(i - 1) * s + reach(k, d) for i, s, k, d in numbers]

    def _start(self, total: int, reading: str) -> int:
        """How much of the `total` that is to be cropped goes off the start.

        The odd cell goes where auto_pad says. With output_shape OpenVINO puts it at the start whatever that
        says, and of several groups it crops the end alone.
        """
        if reading == "openvino" and self.output_shape is not None:
            return 0 if self.groups > 1 else max(total, 0) - max(total, 0) // 2
        if reading != "reference":
            total = max(total, 0)
        return total // 2 if self.auto_pad == "SAME_UPPER" else total - total // 2

    def _added(self, sizes: Sequence[int]) -> Sides:
        if self.auto_pad == "VALID":
            return ((0, 0),) * self.axes
        if self.auto_pad == "NOTSET":
            assert self.pads is not None
            return self.pads
        odd = int(self.auto_pad == "SAME_LOWER")
        numbers = zip(sizes, self.stride, self.kernel, self.dilation, strict=True)
        totals = [max(0, (-(-size // s) - 1) * s + reach(k, d) - size) for size, s, k, d in numbers]
        return tuple(((total + odd) // 2, total - (total + odd) // 2) for total in totals)

    def attributes(self) -> dict[str, int | list[int]]:
        """The attributes of a node that says the same by pads; auto_pad and output_shape are left out.

        Pads below zero at the end become output padding.

        Raises:
            TconvError: ONNX cannot say it: the pads depend on open sizes, are below zero at the start, or
                need an output_padding of stride and dilation or more.
        """
        if self.pads is None:
            raise TconvError("its padding depends on sizes that are not known")
        extra = tuple(o + max(-hi, 0) for o, (_, hi) in zip(self.output_padding, self.pads, strict=True))
        if min(lo for lo, _ in self.pads) < 0 or (any(extra) and not self.transposed):
            raise TconvError(f"it would need the padding {self.pads}, which ONNX cannot say")
        if any(o and o >= max(s, d) for o, s, d in zip(extra, self.stride, self.dilation, strict=True)):
            raise TconvError(
                f"it would need an output_padding of {extra} with strides {self.stride}, which "
                "ONNX cannot say"
            )
        return {
            "dilations": list(self.dilation),
            "group": self.groups,
            "kernel_shape": list(self.kernel),
            **({"output_padding": list(extra)} if any(extra) else {}),
            "pads": [*(lo for lo, _ in self.pads), *(max(hi, 0) for _, hi in self.pads)],
            "strides": list(self.stride),
        }

    def geometry(
        self, channels: tuple[int, int], sizes: tuple[int, ...], batch: int = 1, reading: str = "onnxruntime"
    ) -> Geometry:
        """The transposed convolution that a runtime computes for an input of these sizes.

        Raises:
            TconvError: nothing is left of such an input.
        """
        pads, extra = self.window(sizes, reading), self.output_padding
        if any(o >= max(s, d) for o, s, d in zip(extra, self.stride, self.dilation, strict=True)):
            pads = tuple((lo, hi - o) for (lo, hi), o in zip(pads, extra, strict=True))
            extra = (0,) * self.axes
        return Geometry.make(
            batch=batch, in_channels=channels[0], out_channels=channels[1], input=sizes, kernel=self.kernel,
            stride=self.stride, padding=pads, output_padding=extra, dilation=self.dilation,
            groups=self.groups,
        )  # fmt: skip
