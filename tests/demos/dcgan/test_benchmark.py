"""The script that compares seeds: its statistics are SciPy's, and its table says what it was given."""

from __future__ import annotations

import pytest

pytest.importorskip("scipy")
from scipy import stats

from tests.bench.test_scripts import script


def test_paired_differences_are_tested_as_scipy_does() -> None:
    dcgan = script("dcgan")
    for values, base in (([3.0, 4.1, 5.0], [1.0, 2.0, 3.0]), ([1.0, 2.5, 0.3, 4.0], [1.1, 2.0, 0.9, 3.5])):
        gap, t, sure = dcgan.paired(values, base)
        theirs = stats.ttest_rel(values, base)
        assert gap == pytest.approx(sum(values) / len(values) - sum(base) / len(base))
        assert t == pytest.approx(theirs.statistic)
        assert sure == (theirs.pvalue < 0.05)


def test_the_table_has_every_way_and_marks_what_is_significant() -> None:
    def run(offset: float) -> dict[str, object]:
        def way(base: float) -> dict[str, object]:
            return {"frechet": base, "ripple": {2: base, 4: base}, "excess": {2: base, 4: base}}

        ways = {"transposed5": way(5 + offset), "subpixel": way(1 + 3 * offset), "nearest": way(1 - offset)}
        return {"ways": ways, "frechet_floor": 0.25, "excess_of_training": {2: 1.0}}

    lines = script("dcgan").summary([run(0.0), run(0.1), run(-0.1)]).splitlines()
    rows = {line.split(" | ")[0].strip("| "): line for line in lines if line.startswith("| ")}
    assert list(rows) == ["way", "transposed5", "subpixel", "nearest"]
    assert "5.000 ± 0.100 (+4.000, t 34.6, significant)" in rows["transposed5"]
    assert "significant" not in rows["subpixel"]
    assert "1.000 ± 0.100 |" in rows["nearest"]
