"""The measurement protocol on simulated machines: drift, spikes, a clock drop, foreign load."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from profiler.measure import Protocol, Session, measure
from profiler.rounds import take_round, warm_up

FAST = Protocol(iterations=3, round_ms=5.0, warmup_ms=20.0, model_cap_ms=20.0)


class Machine:
    """Simulated time; runs last as long as `slowdown` of that moment says."""

    def __init__(self, slowdown: Callable[[float], float] = lambda now: 1.0) -> None:
        self.now = 0.0
        self.slowdown = slowdown
        self.order: list[str] = []

    def runner(self, name: str, ms: float) -> Callable[[int], float]:
        def run(n: int) -> float:
            if not self.order or self.order[-1] != name:
                self.order.append(name)
            took = ms * self.slowdown(self.now)
            self.now += took * n
            return took

        return run

    def session(self, models: dict[str, float], protocol: Protocol = FAST) -> Session:
        runners = {name: self.runner(name, ms) for name, ms in models.items()}
        return measure(runners, self.runner("sentinel", 1.0), protocol, watch=lambda ms: "")


def test_a_calm_machine_gives_exact_numbers_and_no_flags() -> None:
    seen: list[tuple[int, int]] = []
    machine = Machine()
    models = {f"m{i:02}": 0.5 + i / 10 for i in range(25)}
    session = measure(
        {name: machine.runner(name, ms) for name, ms in models.items()},
        machine.runner("sentinel", 1.0),
        FAST,
        lambda done, total, note: seen.append((done, total)),
        watch=lambda ms: "",
    )
    assert session.settled
    assert not session.disturbances
    assert not session.rejected
    for name, ms in models.items():
        found = session.measurements[name]
        assert found.rounds == pytest.approx([ms] * 5)
        assert found.flags == ()
        assert session.minima[name] == pytest.approx([ms] * 5)
    assert seen[-1] == (125, 125)
    assert seen == sorted(seen)


def test_passes_are_interleaved_in_new_order_with_the_sentinel_every_tenth_slot() -> None:
    machine = Machine()
    names = [f"m{i:02}" for i in range(18)]
    machine.session(dict.fromkeys(names, 1.0))
    measured = machine.order[machine.order.index("sentinel", 1) :]  # what follows the warm-up
    assert measured[::10] == ["sentinel"] * 11
    models = [name for name in measured if name != "sentinel"]
    passes = [models[i : i + 18] for i in range(0, 90, 18)]
    assert all(sorted(one) == names for one in passes)
    assert len({tuple(one) for one in passes}) == 5


def test_the_seed_decides_the_order() -> None:
    orders = []
    for seed in (1, 1, 2):
        machine = Machine()
        machine.session(
            {f"m{i}": 1.0 for i in range(12)}, Protocol(seed=seed, round_ms=5.0, warmup_ms=20.0)
        )
        orders.append(machine.order)
    assert orders[0] == orders[1] != orders[2]


def test_interleaving_keeps_a_slow_drift_from_favouring_a_model() -> None:
    # 3 % over the whole session; measured block after block, the last model would lose by that
    models = {f"m{i:02}": 1.0 for i in range(20)}
    machine = Machine(lambda now: 1 + 0.03 * now / 700)
    session = machine.session(models, Protocol(rounds=5, round_ms=5.0, iterations=3))
    medians = [m.median for m in session.measurements.values()]
    assert machine.slowdown(machine.now) > 1.02
    assert max(medians) / min(medians) < 1.01
    assert not any(m.flags for m in session.measurements.values())


def test_a_spike_is_measured_again_and_leaves_no_trace() -> None:
    machine = Machine(lambda now: 3.0 if 300 <= now < 380 else 1.0)
    session = machine.session({f"m{i:02}": 1.0 for i in range(12)})
    assert machine.now > 400
    assert session.disturbances
    assert any(value > 2 for values in session.rejected.values() for value in values)
    for found in session.measurements.values():
        assert found.rounds == pytest.approx([1.0] * 5)
        assert found.flags == ()


def test_a_clock_that_drops_for_good_flags_what_straddles_it_and_keeps_its_numbers() -> None:
    machine = Machine(lambda now: 1.0 if now < 400 else 1.2)
    session = machine.session({f"m{i:02}": 1.0 for i in range(12)})
    assert max(session.sentinel) == pytest.approx(1.2)
    flagged = [m for m in session.measurements.values() if m.flags]
    assert flagged
    assert all(m.flags == ("unstable",) for m in flagged)
    assert all(set(np.round(m.rounds, 6)) <= {1.0, 1.2} for m in session.measurements.values())
    assert all(len(m.rounds) == 5 for m in session.measurements.values())


def test_noise_without_end_ends_after_the_repeats() -> None:
    machine = Machine(lambda now: 1.0 + now / 20)
    protocol = Protocol(
        rounds=2, iterations=1, round_ms=1.0, warmup_ms=5.0, warmup_cap_ms=50.0, repeats=2
    )
    session = machine.session({f"m{i}": 1.0 for i in range(4)}, protocol)
    assert not session.settled
    assert {m.flags for m in session.measurements.values()} == {("unstable",)}
    # 2 passes of 1 segment, each measured 3 times, of which one counts
    assert all(len(values) == 4 for values in session.rejected.values())


def test_a_watch_that_reports_foreign_load_rejects_too() -> None:
    machine = Machine()
    reports = iter(["", "others took 40 ms", *[""] * 50])
    session = measure(
        {"m": machine.runner("m", 1.0)},
        machine.runner("sentinel", 1.0),
        FAST,
        watch=lambda ms: next(reports),
    )
    assert session.disturbances == ("others took 40 ms",)
    assert session.rejected == {"m": (1.0,)}
    assert session.measurements["m"].flags == ()


def test_the_sentinels_history_shows_that_the_machine_is_not_what_it_was() -> None:
    machine = Machine(lambda now: 1.1)
    session = measure(
        {"m": machine.runner("m", 1.0)},
        machine.runner("sentinel", 1.0),
        FAST,
        watch=lambda ms: "",
        history=[1.0] * 51,
        warm=True,
    )
    assert session.measurements["m"].flags == ("unstable",)
    assert session.measurements["m"].median == pytest.approx(1.1)
    assert session.sentinel == pytest.approx([1.1] * len(session.sentinel))


def test_warm_up_waits_for_agreement() -> None:
    machine = Machine(lambda now: 1.0 + max(0.0, 100 - now) / 100)
    warm = warm_up(machine.runner("m", 1.0), 0.0, 1000.0, 0.01)
    assert warm.settled
    assert warm.run_ms == pytest.approx(1.0, rel=0.02)
    assert 80 <= machine.now <= 130


def test_warm_up_ends_at_its_cap() -> None:
    machine = Machine(lambda now: 1.0 + now / 100)
    warm = warm_up(machine.runner("m", 1.0), 0.0, 60.0, 0.01)
    assert not warm.settled
    assert 60 <= machine.now <= 80


@pytest.mark.parametrize(("ms", "least_runs"), [(0.01, 500), (1.0, 10), (40.0, 10)])
def test_a_round_has_enough_runs_and_lasts_long_enough(ms: float, least_runs: int) -> None:
    machine = Machine()
    found = take_round(machine.runner("m", ms), ms, iterations=10, least_ms=5.0)
    assert machine.now / ms >= least_runs - 0.5
    assert found.total_ms == pytest.approx(machine.now)
    assert found.total_ms >= 5.0


def test_a_protocol_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="rounds must be >= 1, but got 0"):
        Protocol(rounds=0)
    with pytest.raises(ValueError, match="sentinel_every must be >= 2"):
        Protocol(sentinel_every=1)
    with pytest.raises(ValueError, match="tolerance"):
        Protocol(tolerance=0.0)
