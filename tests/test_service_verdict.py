"""What counts as keeping a latency limit."""

from __future__ import annotations

import pytest

from latency_tables.table import Measurement, Target
from profiler.backend import load
from profiler.stats import measurement
from service.spec import Limits
from service.verdict import caveat, keeps, limit_ms, within

HERE = Target(
    device="paper", runtime="pencil", runtime_version="2", precision="fp32", batch=1, threads=1
)

QUIET = measurement([2.0, 2.02, 1.98, 2.01, 1.99])
DENSE = measurement([4.0, 4.04, 3.96, 4.02, 3.98])


def flagged(*rounds: float) -> Measurement:
    """A disturbed measurement."""
    return measurement(rounds, ("unstable",))


def test_a_limit_in_ms_is_held_against_the_upper_end() -> None:
    assert keeps(Limits(latency_ms=2.05), HERE, QUIET, DENSE)
    assert not keeps(Limits(latency_ms=2.005), HERE, QUIET, DENSE)


def test_of_a_disturbed_measurement_the_slowest_round_must_keep_it() -> None:
    disturbed = flagged(2.0, 2.0, 2.0, 2.0, 2.9)
    assert not keeps(Limits(latency_ms=2.5), HERE, disturbed, DENSE)
    assert keeps(Limits(latency_ms=2.95), HERE, disturbed, DENSE)


def test_a_percentage_is_of_the_dense_network_in_the_same_passes() -> None:
    half = Limits(latency_ms="52%")
    assert limit_ms(half, DENSE) == DENSE.median * 0.52
    assert keeps(half, HERE, QUIET, DENSE)
    # The machine slowed down by half in two passes; both networks did.
    slower = flagged(3.0, 3.03, 1.98, 2.01, 1.99)
    assert not keeps(half, HERE, slower, DENSE)
    dense = flagged(6.0, 6.06, 3.96, 4.02, 3.98)
    assert not keeps(half, HERE, flagged(3.0, 3.9, 2.4, 2.3, 1.99), dense)


def test_without_a_limit_everything_keeps_it() -> None:
    assert keeps(Limits(macs=1.0), HERE, QUIET, DENSE)
    assert limit_ms(Limits(macs=1.0), DENSE) is None


@pytest.mark.parametrize("limit", [1000.0, "99%"])
def test_a_modelled_latency_lies_within_a_limit_and_never_keeps_it(limit: float | str) -> None:
    limits, modelled = Limits(latency_ms=limit), load("modelled").target("int8", 8, 1)
    assert within(limits, QUIET, DENSE)
    assert keeps(limits, HERE, QUIET, DENSE)
    assert not keeps(limits, modelled, QUIET, DENSE)
    assert "not certified" in caveat(limits, modelled)
    assert not caveat(limits, HERE)


def test_without_a_latency_limit_a_modelled_target_has_nothing_to_certify() -> None:
    modelled = load("modelled").target("int8", 8, 1)
    assert keeps(Limits(macs=1.0), modelled, QUIET, DENSE)
    assert not caveat(Limits(macs=1.0), modelled)
