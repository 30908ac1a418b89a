"""Principal components of a picture's patches, and what convolutions with them give back. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tconv.geometry import Geometry
from tconv.ops import conv, conv_transpose

__all__ = ["Analysis", "Rebuilt", "analyse", "components", "rebuilt"]

Floats = npt.NDArray[np.float64]

KERNEL = 8
COUNTS = (1, 4, 16, KERNEL * KERNEL)
STRIDES = (8, 4, 2)
SAMPLES = 4  #: numbers of each gradient that are shown


@dataclass(frozen=True)
class Rebuilt:
    """The picture from its first `components` coefficients at every position."""

    components: int
    variance: float  #: their share of the patches' variance
    kept: float  #: coefficients per pixel at stride = kernel
    psnr: Mapping[int, float]  #: stride -> dB, 20 log10(1 / root mean square error), after averaging
    pictures: Mapping[int, Floats]  #: stride -> the picture


@dataclass(frozen=True)
class Analysis:
    """All that the report shows."""

    name: str
    picture: Floats
    mean: float
    filters: Floats  #: (kernel^2, 1, kernel, kernel), orthonormal, the strongest first
    variances: Floats
    coefficients: Floats  #: (kernel^2, h, w) at stride = kernel
    rebuilt: tuple[Rebuilt, ...]
    summed: Floats  #: the picture with all components and overlapping stamps, not divided by the coverage
    coverage: Floats  #: how many stamps reach each pixel at the same stride
    exact: float  #: the largest error at stride = kernel with all components
    checks: tuple[tuple[str, float, float], ...]  #: what, one way to compute it, the other

    @property
    def kernel(self) -> int:
        """The side of a patch."""
        return int(self.filters.shape[-1])

    @property
    def strides(self) -> tuple[int, ...]:
        """The distances between patches that were tried."""
        return tuple(self.rebuilt[0].psnr)


def components(picture: Floats, kernel: int) -> tuple[Floats, Floats]:
    """The principal components of the patches at stride = kernel as filters, and their variances.

    `picture` has mean 0. The filters (kernel^2, 1, kernel, kernel) are orthonormal, and the strongest is
    first. The sign of each is such that its sum, or if that is 0 its largest number, is positive.
    """
    rows, columns = (size // kernel for size in picture.shape)
    cut = picture[: rows * kernel, : columns * kernel].reshape(rows, kernel, columns, kernel)
    patches = cut.transpose(0, 2, 1, 3).reshape(rows * columns, kernel * kernel)
    variances, vectors = np.linalg.eigh(patches.T @ patches / len(patches))
    filters = vectors[:, ::-1].T
    sums = filters.sum(1)
    largest = np.take_along_axis(filters, np.abs(filters).argmax(1)[:, None], 1)[:, 0]
    signs = np.sign(np.where(np.abs(sums) > 1e-6, sums, largest))
    return (signs[:, None] * filters).reshape(-1, 1, kernel, kernel), variances[::-1]


def coverage(shape: tuple[int, ...], kernel: int, stride: int) -> Floats:
    """How many patches at this stride contain each pixel."""
    sizes = tuple((size - kernel) // stride + 1 for size in shape)
    geometry = Geometry.make(in_channels=1, out_channels=1, input=sizes, kernel=kernel, stride=stride)
    down, across = geometry.coverage()
    return np.outer(down, across).astype(float)


def rebuilt(picture: Floats, filters: Floats, stride: int) -> tuple[Floats, Floats]:
    """The sum of the stamps of all patches of a picture of mean 0, and the number of stamps at each pixel.

    Patches that would cross the border are left out; a picture's size minus the kernel is a multiple of the
    stride here.
    """
    coefficients = conv(picture[None, None], filters, stride=stride)
    stamps: Floats = conv_transpose(coefficients, filters, stride=stride)[0, 0]
    return stamps, coverage(picture.shape, filters.shape[-1], stride)


def analyse(picture: npt.NDArray[np.float32], name: str, seed: int) -> Analysis:
    """Everything about a gray picture of 0..1 whose sides are multiples of the kernel."""
    whole = picture.astype(np.float64)
    whole = whole[: whole.shape[0] // KERNEL * KERNEL, : whole.shape[1] // KERNEL * KERNEL]
    mean = float(whole.mean())
    centred = whole - mean
    filters, variances = components(centred, KERNEL)
    shares = np.cumsum(variances) / variances.sum()
    made = []
    for count in COUNTS:
        pictures = {}
        for stride in STRIDES:
            stamps, reached = rebuilt(centred, filters[:count], stride)
            pictures[stride] = stamps / reached + mean
        errors = {s: float(np.sqrt(np.mean((p - whole) ** 2))) for s, p in pictures.items()}
        psnr = {s: -20 * float(np.log10(max(error, 1e-16))) for s, error in errors.items()}
        made.append(Rebuilt(count, float(shares[count - 1]), count / KERNEL**2, psnr, pictures))
    summed, reached = rebuilt(centred, filters, STRIDES[1])
    return Analysis(
        name,
        whole,
        mean,
        filters,
        variances,
        conv(centred[None, None], filters, stride=KERNEL)[0],
        tuple(made),
        summed + mean,
        reached,
        float(np.abs(made[-1].pictures[KERNEL] - whole).max()),
        tuple(_checks(centred, filters, np.random.default_rng(seed))),
    )


def _checks(
    picture: Floats, filters: Floats, random: np.random.Generator
) -> Iterator[tuple[str, float, float]]:
    """Numbers that are equal because each map is the gradient of the other, by both ways."""
    stride = KERNEL // 2
    x = picture[None, None]
    z = conv(x, filters, stride=stride)
    y, u = random.standard_normal(x.shape), random.standard_normal(z.shape)
    yield (
        "<conv(x), u> = <x, conv_transpose(u)>",
        float(np.vdot(z, u)),
        float(np.vdot(x, conv_transpose(u, filters, stride=stride))),
    )
    # The loss is quadratic, so central differences of any width are exact up to rounding.
    gradient = conv_transpose(z - u, filters, stride=stride)
    for _ in range(SAMPLES):
        at = tuple(int(random.integers(size)) for size in x.shape)
        change = np.zeros_like(x)
        change[at] = 1.0
        sides = [np.sum((conv(x + sign * change, filters, stride=stride) - u) ** 2) / 2 for sign in (1, -1)]
        yield f"d/dx at {at[2]}, {at[3]}", float(sides[0] - sides[1]) / 2, float(gradient[at])
    gradient = conv(conv_transpose(z, filters, stride=stride) - y, filters, stride=stride)
    for _ in range(SAMPLES):
        at = tuple(int(random.integers(size)) for size in z.shape)
        change = np.zeros_like(z)
        change[at] = 1.0
        sides = [
            np.sum((conv_transpose(z + sign * change, filters, stride=stride) - y) ** 2) / 2
            for sign in (1, -1)
        ]
        yield (
            f"d/dz of component {at[1]} at {at[2]}, {at[3]}",
            float(sides[0] - sides[1]) / 2,
            float(gradient[at]),
        )
