"""Medians, bootstrap intervals, variation and paired ratios."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.stats import interval, measurement, paired_ratio, variation

latencies = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=15)


@given(latencies, st.integers(0, 3))
def test_interval_holds_its_median_and_stays_inside_the_values(
    values: list[float], seed: int
) -> None:
    found = interval(values, seed)
    assert min(values) <= found.lo <= found.median <= found.hi <= max(values)
    assert found == interval(values, seed)


@given(latencies)
def test_a_measurement_keeps_the_rounds_in_order(values: list[float]) -> None:
    found = measurement(values, ("unstable",))
    assert found.rounds == pytest.approx(values, rel=1e-5)  # six digits are kept
    assert found.median == pytest.approx(float(np.median(values)), rel=1e-5)
    assert found.flags == ("unstable",)


def test_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        found = interval(list(rng.lognormal(0.0, 0.05, size=11)))
        covered += found.lo <= 1.0 <= found.hi
    # the percentile bootstrap of a median over 11 rounds is known to be near its nominal 95 %
    assert 0.9 <= covered / 300 <= 0.99


def test_no_values_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1 value"):
        interval([])


def test_variation() -> None:
    assert variation([2.0]) == 0.0
    assert variation([1.0, 2.0, 3.0]) == pytest.approx(0.5)


def test_paired_ratio_sees_through_drift_that_hits_both() -> None:
    drift = np.linspace(1, 1.5, 11)
    found = paired_ratio(list(1.05 * drift), list(drift))
    assert found.lo == pytest.approx(1.05)
    assert found.hi == pytest.approx(1.05)
    with pytest.raises(ValueError, match="as many"):
        paired_ratio([1.0], [1.0, 2.0])
