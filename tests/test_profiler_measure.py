"""The measurement protocol: order, sentinel, rounds, warm-up, what others took."""

from __future__ import annotations

import numpy as np
import pytest
from profiler_traces import SHORT, Machine, autocorrelated, some_models

from profiler.drift import drift
from profiler.measure import measure
from profiler.protocol import Protocol
from profiler.rounds import take_round, warm_up


def test_a_calm_machine_gives_exact_numbers_and_no_flags() -> None:
    seen: list[tuple[int, int]] = []
    machine = Machine()
    models = some_models(25)
    session = measure(
        {name: machine.runner(name, ms) for name, ms in models.items()},
        machine.runner("sentinel", 1.0),
        SHORT,
        lambda done, total, note: seen.append((done, total)),
        watch=lambda ms: "",
    )
    assert session.settled
    assert not session.disturbances
    assert session.disturbed == 0
    assert not session.rejected
    assert session.level == pytest.approx(1.0)
    for name, ms in models.items():
        found = session.measurements[name]
        assert found.rounds == pytest.approx([ms] * 11, rel=1e-5)
        assert found.levels == pytest.approx([1.0] * 11)
        assert found.flags == ()
        assert session.minima[name] == pytest.approx([ms] * 11)
    assert seen[-1] == (275, 275)
    assert seen == sorted(seen)


def test_passes_are_interleaved_in_new_order_with_the_sentinel_every_so_many_slots() -> None:
    machine = Machine()
    names = [f"m{i:02}" for i in range(30)]
    machine.session(dict.fromkeys(names, 1.0))
    measured = machine.order[machine.order.index("sentinel", 1) :]  # what follows the warm-up
    assert measured[::16] == ["sentinel"] * 22
    models = [name for name in measured if name != "sentinel"]
    passes = [models[i : i + 30] for i in range(0, 11 * 30, 30)]
    assert all(sorted(one) == names for one in passes)
    assert len({tuple(one) for one in passes}) == 11


def test_the_seed_decides_the_order() -> None:
    orders = []
    for seed in (1, 1, 2):
        machine = Machine()
        machine.session({f"m{i}": 1.0 for i in range(12)}, Protocol(seed=seed, warmup_ms=20.0))
        orders.append(machine.order)
    assert orders[0] == orders[1] != orders[2]


def test_noise_without_end_ends_after_the_repeats() -> None:
    machine = Machine(autocorrelated(0.3, 150.0, 0))
    session = machine.session({f"m{i}": 1.0 for i in range(4)}, Protocol(rounds=3, repeats=2))
    assert all(len(found.rounds) == 3 for found in session.measurements.values())
    assert all(len(values) <= 2 * 3 for values in session.rejected.values())
    assert session.disturbed > 0.3
    assert any(m.flags == ("unstable",) for m in session.measurements.values())


def test_rounds_during_foreign_load_are_taken_again() -> None:
    machine = Machine()
    reports = iter(["", "", "others took 40 ms", *[""] * 50])
    session = measure(
        {"a": machine.runner("a", 1.0), "b": machine.runner("b", 2.0)},
        machine.runner("sentinel", 1.0),
        SHORT,
        watch=lambda ms: next(reports),
    )
    assert session.disturbances[0] == "others took 40 ms"
    assert session.rejected == {"a": (1.0,), "b": (2.0,)}
    assert session.measurements["a"].flags == ()


def test_foreign_load_without_end_is_flagged() -> None:
    machine = Machine()
    session = measure(
        {"a": machine.runner("a", 1.0)},
        machine.runner("sentinel", 1.0),
        SHORT,
        watch=lambda ms: "others took 40 ms",
    )
    assert session.measurements["a"].flags == ("unstable",)
    assert len(session.rejected["a"]) == 3 * 11


def test_models_that_share_nothing_are_not_corrected() -> None:
    rng = np.random.default_rng(0)
    names = [f"m{i % 10}" for i in range(200)]
    values = np.exp(0.05 * rng.standard_normal(200))
    found = drift(names, values, np.arange(200) * 10.0)
    assert found.share < 0.1
    assert abs(np.log(found.levels)).max() < 0.03


def test_a_single_model_has_no_neighbours_to_tell_the_level() -> None:
    assert drift(["a"] * 5, [1.0, 2.0, 1.0, 1.0, 1.0], range(5)).levels.tolist() == [1.0] * 5


def test_no_model_and_a_model_called_sentinel_are_refused() -> None:
    machine = Machine()
    for models in ({}, {"sentinel": machine.runner("m", 1.0)}):
        with pytest.raises(ValueError, match="none called 'sentinel'"):
            measure(models, machine.runner("s", 1.0), SHORT)


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
    assert 60 <= machine.now <= 85


@pytest.mark.parametrize("ms", [0.01, 1.0, 40.0])
def test_a_round_has_enough_runs_lasts_long_enough_and_drops_its_first(ms: float) -> None:
    calls: list[int] = []

    def runner(n: int) -> float:
        calls.append(n)
        return 9 * ms if len(calls) == 1 else ms

    found = take_round(runner, ms, iterations=10, least_ms=5.0)
    assert calls[0] == 1
    assert sum(calls[1:]) >= 10
    assert sum(calls[1:]) * ms >= 5.0 * 0.999
    assert found.median == found.minimum == ms
    assert found.total_ms == pytest.approx(sum(calls[1:]) * ms + 9 * ms)


def test_a_protocol_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="rounds must be >= 1, but got 0"):
        Protocol(rounds=0)
    with pytest.raises(ValueError, match="sentinel_every must be >= 2"):
        Protocol(sentinel_every=1)
    with pytest.raises(ValueError, match="tolerance"):
        Protocol(tolerance=0.0)
