"""The four measures against their definition on pixels, and against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from tconv.train.measures import measures


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    table = np.zeros((classes, classes), np.int64)
    for t, p in zip(truth, predicted, strict=True):
        table[t, p] += 1
    return table


@pytest.mark.parametrize("seed", range(5))
def test_measures_are_those_of_the_pixels(seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth, predicted = draw.integers(0, 4, 500), draw.integers(0, 4, 500)
    predicted = np.where(draw.random(500) < 0.6, truth, predicted)
    found = measures(confusion(truth, predicted, 4))
    iou = [
        ((truth == c) & (predicted == c)).sum() / ((truth == c) | (predicted == c)).sum() for c in range(4)
    ]
    accuracy = [(predicted[truth == c] == c).mean() for c in range(4)]
    share = [(truth == c).mean() for c in range(4)]
    assert found.pixel_accuracy == (truth == predicted).mean()
    assert found.mean_accuracy == pytest.approx(np.mean(accuracy), abs=1e-15)
    assert found.iou == pytest.approx(iou, abs=1e-15)
    assert found.mean_iou == pytest.approx(np.mean(iou), abs=1e-15)
    assert found.frequency_weighted_iou == pytest.approx(np.dot(share, iou), abs=1e-15)
    p, t = torch.from_numpy(predicted), torch.from_numpy(truth)
    assert found.mean_iou == pytest.approx(float(MulticlassJaccardIndex(4)(p, t)), abs=1e-6)
    assert found.mean_accuracy == pytest.approx(float(MulticlassAccuracy(4)(p, t)), abs=1e-6)


def test_a_class_that_is_nowhere_is_left_out_of_the_means() -> None:
    found = measures([[3, 0, 0], [1, 4, 0], [0, 0, 0]])
    assert np.isnan(found.iou[2])
    assert found.mean_iou == np.mean([3 / 4, 4 / 5])
    assert found.mean_accuracy == np.mean([1, 4 / 5])


def test_a_class_that_is_only_predicted_counts_as_wrong() -> None:
    found = measures([[3, 0, 1], [0, 4, 0], [0, 0, 0]])
    assert found.iou[2] == 0
    assert found.mean_iou == np.mean([3 / 4, 1, 0])


def test_nothing_counted_is_not_a_number() -> None:
    found = measures(np.zeros((2, 2)))
    assert np.isnan([found.pixel_accuracy, found.mean_iou, found.frequency_weighted_iou]).all()
