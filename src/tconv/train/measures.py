"""The four measures of semantic segmentation, from a confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Measures", "measures"]


@dataclass(frozen=True)
class Measures:
    """How well pixels are classified; shares between 0 and 1.

    A class that is neither present nor predicted has an IoU of nan and is left out of the means.
    """

    pixel_accuracy: float
    mean_accuracy: float
    mean_iou: float
    frequency_weighted_iou: float
    iou: tuple[float, ...]
    absent: tuple[int, ...]
    """The classes that no pixel belongs to."""


def measures(confusion: npt.ArrayLike) -> Measures:
    """Measures of a confusion matrix: ``confusion[i, j]`` pixels of class i were predicted as class j.

    Source: Long, Shelhamer, Darrell (2015), section 5. With t_i the pixels of class i: pixel accuracy
    sum n_ii / sum t_i; mean accuracy, the mean of n_ii / t_i; IoU n_ii / (t_i + sum_j n_ji - n_ii), its mean,
    and its mean weighted by t_i.

    >>> m = measures([[3, 1], [0, 4]])
    >>> m.pixel_accuracy, m.mean_accuracy, m.iou  # 7/8, (3/4 + 4/4)/2, (3/4, 4/5)
    (0.875, 0.875, (0.75, 0.8))
    >>> m.mean_iou, m.frequency_weighted_iou  # (0.75 + 0.8)/2, (4*0.75 + 4*0.8)/8
    (0.775, 0.775)
    """
    n = np.asarray(confusion, dtype=np.float64)
    hit, truth, predicted = np.diag(n), n.sum(1), n.sum(0)
    iou = _share(hit, truth + predicted - hit)
    return Measures(
        pixel_accuracy=float(_share(hit.sum(), truth.sum())),
        mean_accuracy=_mean(_share(hit, truth)),
        mean_iou=_mean(iou),
        frequency_weighted_iou=float(_share(np.nansum(truth * iou), truth.sum())),
        iou=tuple(iou.tolist()),
        absent=tuple(np.flatnonzero(truth == 0).tolist()),
    )


def _share(part: npt.ArrayLike, whole: npt.ArrayLike) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.divide(part, whole, dtype=np.float64)


def _mean(values: npt.NDArray[np.float64]) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")
