"""The script that compares seeds: its statistics are SciPy's, and its table says what it was given."""

from __future__ import annotations

import numpy as np
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
    assert list(rows) == ["way", "transposed5", "subpixel", "nearest", "the others together"]
    assert rows["transposed5"].count("5.00 ± 0.10 (+4.00, t 34.6, significant)") == 3
    logs = np.log([5.0, 5.1, 4.9]), np.log([1.0, 0.9, 1.1])  # powers are compared as ratios
    ratio, t = np.exp(logs[0] - logs[1]).prod() ** (1 / 3), stats.ttest_rel(*logs).statistic
    assert rows["transposed5"].count(f"5.00 ± 0.10 (x{ratio:.2f}, t {t:.1f}, significant)") == 2
    assert "significant" not in rows["subpixel"]
    assert "1.00 ± 0.10 |" in rows["nearest"]
    assert "(+2.00, t 11.5, significant)" in rows["the others together"]
