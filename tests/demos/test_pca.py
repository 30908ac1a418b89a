"""``tconv demo pca``: against the singular value decomposition, sums by hand, and PyTorch's gradients."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tconv.cli import main
from tconv.demos.pca.analysis import analyse, components, rebuilt
from tests.helpers import refused_in_one_line

PICTURE = np.cumsum(np.random.default_rng(3).standard_normal((32, 48)), 1) / 10


def centred() -> np.ndarray:
    return PICTURE - PICTURE.mean()


def patches(picture: np.ndarray, kernel: int, stride: int) -> dict[tuple[int, int], np.ndarray]:
    """Every patch by its first row and column."""
    rows, columns = (range(0, size - kernel + 1, stride) for size in picture.shape)
    return {(r, c): picture[r : r + kernel, c : c + kernel] for r in rows for c in columns}


@pytest.mark.parametrize("count", [1, 3, 16])
def test_side_by_side_it_is_the_nearest_matrix_of_that_rank(count: int) -> None:
    """Eckart & Young: the first terms of the singular value decomposition of the patches."""
    filters, variances = components(centred(), 4)
    made, reached = rebuilt(centred(), filters[:count], 4)
    cut = patches(centred(), 4, 4)
    u, s, vt = np.linalg.svd(np.stack([patch.ravel() for patch in cut.values()]), full_matrices=False)
    nearest = (u[:, :count] * s[:count]) @ vt[:count]
    for (r, c), row in zip(cut, nearest, strict=True):
        np.testing.assert_allclose(made[r : r + 4, c : c + 4], row.reshape(4, 4), atol=1e-10)
    assert (reached == 1).all()
    np.testing.assert_allclose(variances, s**2 / len(cut), atol=1e-10)
    assert np.mean((made - centred()) ** 2) * 16 == pytest.approx(variances[count:].sum(), abs=1e-10)


@pytest.mark.parametrize(("stride", "count"), [(2, 5), (1, 16), (2, 16), (4, 2)])
def test_overlapping_stamps_are_summed_and_counted(stride: int, count: int) -> None:
    filters, _ = components(centred(), 4)
    flat = filters[:count].reshape(count, -1)
    summed, counted = np.zeros_like(PICTURE), np.zeros_like(PICTURE)
    for (r, c), patch in patches(centred(), 4, stride).items():
        summed[r : r + 4, c : c + 4] += (flat.T @ (flat @ patch.ravel())).reshape(4, 4)
        counted[r : r + 4, c : c + 4] += 1
    made, reached = rebuilt(centred(), filters[:count], stride)
    np.testing.assert_allclose(made, summed, atol=1e-10)
    np.testing.assert_array_equal(reached, counted)
    if count == 16:
        np.testing.assert_allclose(made / reached, centred(), atol=1e-10)


def test_filters_are_orthonormal_and_of_one_sign() -> None:
    filters, variances = components(centred(), 4)
    flat = filters.reshape(16, 16)
    np.testing.assert_allclose(flat @ flat.T, np.eye(16), atol=1e-12)
    assert (np.diff(variances) <= 0).all()
    again, _ = components(-centred(), 4)
    np.testing.assert_allclose(again, filters, atol=1e-8)


def test_what_is_compared_agrees_and_more_components_are_nearer() -> None:
    found = analyse(PICTURE.astype(np.float32), "astronaut", 5)
    assert len({what for what, _, _ in found.checks}) == len(found.checks) == 9
    for _, one, other in found.checks:
        assert one == pytest.approx(other, rel=1e-6, abs=1e-8)
        assert one
    assert found.exact < 1e-12
    for stride in found.strides:
        decibels = [each.psnr[stride] for each in found.rebuilt]
        assert decibels == sorted(decibels)
    assert [check[1] for check in analyse(PICTURE.astype(np.float32), "astronaut", 6).checks] != [
        check[1] for check in found.checks
    ]


def test_the_command_writes_one_page_and_prints_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert main(["demo", "pca", "--out", str(tmp_path / "x"), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["exact"]["largest_error"] < 1e-12
    assert [each["components"] for each in numbers["rebuilt"]] == [1, 4, 16, 64]
    assert main(["demo", "pca", "--out", str(tmp_path / "x"), "--minutes", "0.1"]) == 0
    assert "exact" in capsys.readouterr().out
    page = (tmp_path / "x" / "report.html").read_text(encoding="utf-8")
    assert 'src="http' not in page
    assert page.count("data:image/png;base64,") >= 15


def test_without_the_pictures_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    from tconv.demos import pca

    refused_in_one_line(lambda: pca.run(tmp_path), ["pip install scikit-image"])
    assert not list(tmp_path.iterdir())
