"""Stairs: right edges from points alone, on known curves and on a measured one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import ruptures
from hypothesis import given, settings
from hypothesis import strategies as st
from latency_tables_synthetic import SPEC, TARGET, measurement, table, true_cost

from latency_tables.stairs import Staircase, staircase, stairs, stairs_of
from latency_tables.steps import partition
from latency_tables.sweeps import Floats, sweep, sweeps
from latency_tables.table import LatencyTable, Measurement, MissingShapeError
from supernet.shapes import parse_shape

# Medians in ms of a stage-3 bottleneck (1024 -> w -> w -> 1024 at 14x14, ONNX Runtime, AVX2, one
# thread), w = 56..104: minima of nine interleaved rounds.
MEASURED = """
0.832 0.908 0.909 0.934 0.921 0.962 0.979 0.954
0.929 1.054 1.062 1.066 1.073 1.121 1.117 1.126
1.052 1.160 1.167 1.174 1.212 1.198 1.198 1.247
1.230 1.337 1.299 1.360 1.385 1.350 1.381 1.356
1.303 1.459 1.453 1.521 1.515 1.480 1.487 1.557
1.515 1.621 1.624 1.597 1.619 1.704 1.654 1.687
1.593
"""


Ints = npt.NDArray[np.int64]


def sawtooth(w: Ints, edge: int, step: float, ramp: float, drop: float) -> Floats:
    """Steps after every multiple of `edge`, a ramp between them, a drop at the multiple."""
    inside = (w - 1) % edge
    y: Floats = 1 + step * np.ceil(w / edge) + ramp * inside - drop * (w % edge == 0)
    return y


@pytest.mark.parametrize("noise", [0.001, 0.005, 0.01])
def test_measured_sawtooth_has_its_edges_at_multiples_of_eight(noise: float) -> None:
    y = np.array([float(v) for v in MEASURED.split()])
    found = stairs(np.arange(56, 105), y, y * (1 - noise), y * (1 + noise))
    assert found.right_edges == (56, 64, 72, 80, 88, 96, 104)
    assert found.period == 8
    assert found.edges == found.plateaus[:-1]
    for edge in found.edges:
        assert edge.exact
        assert edge.step_lo_ms <= edge.step_ms <= edge.step_hi_ms
        assert edge.step_ms > found.noise_ms
        assert edge.confidence > 0.9


@settings(max_examples=60, deadline=None)
@given(
    edge=st.sampled_from([8, 16, 32]),
    step=st.floats(0.06, 0.3),
    ramp=st.floats(0, 0.2),
    drop=st.floats(0, 0.5),
    seed=st.integers(0, 999),
)
def test_edges_of_a_noisy_sawtooth_are_found(
    edge: int, step: float, ramp: float, drop: float, seed: int
) -> None:
    w = np.arange(2 * edge, 6 * edge + 1)
    clean = sawtooth(w, edge, step, ramp * step / edge, drop * step)
    noise = 0.001 * np.random.default_rng(seed).standard_normal(len(w))
    y = clean * (1 + noise)
    found = stairs(w, y, y * 0.998, y * 1.002)
    assert found.right_edges == tuple(range(2 * edge, 6 * edge + 1, edge))


def test_a_straight_line_has_no_steps() -> None:
    w = np.arange(32, 97)
    y = 0.2 + 0.01 * w
    assert stairs(w, y, y * 0.999, y * 1.001).right_edges == (96,)


def test_noise_alone_has_no_steps() -> None:
    w = np.arange(32, 97)
    y = 1 + 0.01 * np.random.default_rng(3).standard_normal(len(w))
    assert stairs(w, y, y * 0.98, y * 1.02).right_edges == (96,)


def test_an_edge_between_measured_widths_is_not_exact() -> None:
    w = np.arange(4, 65, 4)
    y = 1 + 0.1 * np.ceil(w / 16)
    found = stairs(w, y, y * 0.999, y * 1.001)
    assert found.right_edges == (16, 32, 48, 64)
    assert not any(plateau.exact for plateau in found.plateaus)
    assert [edge.until for edge in found.edges] == [19, 35, 51]
    assert found.period is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="ascending widths"):
        stairs([8, 8], [1, 1], [1, 1], [1, 1])
    with pytest.raises(ValueError, match="3 medians"):
        stairs([8, 9], [1, 1, 1], [1, 1], [1, 1])


def measured(w: Ints, clean: Floats, noise: float, seed: int) -> Staircase:
    """Stairs of points with eleven rounds each."""
    rng = np.random.default_rng(seed)
    rounds = clean[:, None] * (1 + noise * np.sqrt(11) * rng.standard_normal((len(w), 11)))
    picks = rng.integers(0, 11, (len(w), 400, 11))
    drawn = np.median(np.take_along_axis(rounds[:, None], picks, axis=2), axis=2)
    y: Floats = np.median(rounds, axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=1)
    return stairs(w, y, np.minimum(low, y), np.maximum(high, y), rounds.tolist())


def test_the_higher_the_noise_the_less_sure_an_edge() -> None:
    w = np.arange(32, 65)
    clean = sawtooth(w, 16, 0.2, 0.0, 0.0)
    sure = [
        [edge.confidence for edge in measured(w, clean, noise, seed).edges if edge.right == 48]
        for noise in (0.005, 0.02, 0.06)
        for seed in range(20)
    ]
    calm, loud, louder = (
        np.array([sum(found) for found in sure[20 * i : 20 * i + 20]]) for i in range(3)
    )
    assert calm.min() > 0.95
    assert louder.mean() < 0.3 < loud.mean() < calm.mean()


def test_sure_edges_are_true_edges() -> None:
    w, right, wrong = np.arange(32, 97), 0, 0
    for seed in range(60):
        found = measured(w, sawtooth(w, 16, 0.12, 0.002, 0.0), 0.01, seed)
        for edge in found.edges:
            if edge.confidence > 0.8:
                right, wrong = right + (edge.right % 16 == 0), wrong + (edge.right % 16 > 0)
    assert right > 60
    assert wrong <= 0.05 * right


def test_intervals_of_steps_hold_the_true_step() -> None:
    w = np.arange(32, 65)
    clean = sawtooth(w, 16, 0.3, 0.0, 0.2)
    true, held = 0.3, []  # between the dips at 48 and at 64
    for seed in range(60):
        edges = {edge.right: edge for edge in measured(w, clean, 0.01, seed).edges}
        held.append(edges[48].step_lo_ms <= true <= edges[48].step_hi_ms)
    # Cost of at least so many channels: the smallest of many noisy points lies below its plateau.
    assert np.mean(held) > 0.85


def test_without_rounds_the_intervals_say_how_sure_an_edge_is() -> None:
    w = np.arange(33, 65)
    y = sawtooth(w, 16, 0.2, 0.0, 0.0) * (1 + 0.003 * np.random.default_rng(1).standard_normal(32))
    tight, wide = (stairs(w, y, y * (1 - half), y * (1 + half)) for half in (0.004, 0.03))
    assert [edge.right for edge in tight.edges] == [48]
    assert tight.edges[0].step_hi_ms - tight.edges[0].step_lo_ms < 0.05
    assert tight.edges[0].confidence == 1
    # Points that scatter less than their intervals say that the intervals are too wide.
    assert wide.edges[0].confidence > 0.95


def test_a_dense_window_in_a_coarse_sweep_claims_only_what_it_saw() -> None:
    w = np.array([16, 61, 107, 150, *range(184, 233), 301, 350, 419, 512])
    clean = sawtooth(w, 16, 0.05, 0.001, 0.0)
    found = measured(w, clean, 0.001, 2)
    exact = [edge.right for edge in found.edges if edge.exact]
    assert exact == [192, 208, 224]
    assert found.period == 16
    for plateau in found.plateaus:
        inside = clean[(w >= plateau.left) & (w <= plateau.right)]
        assert inside.max() - inside.min() < 0.05
        true = -(-plateau.right // 16) * 16
        if plateau.right < 512:
            assert plateau.right <= true <= plateau.until or not plateau.edge


def test_a_wider_width_that_was_not_measured_leaves_the_edge_open() -> None:
    """Multiples of 4 are fast here: behind 50 and 51, the fast 52 was not measured."""
    w = np.array([32, 36, 40, 44, 48, 49, 50, 51, 64])
    y = 1 + 0.02 * (w - 32.0) + 0.3 * (w % 4 != 0)
    found = stairs(w, y, y * 0.999, y * 1.001)
    (edge,) = found.edges
    assert (edge.right, edge.until, edge.exact) == (48, 48, True)
    later = np.delete(w, 4)
    y = np.delete(y, 4)
    found = stairs(later, y, y * 0.999, y * 1.001)
    (edge,) = found.edges
    assert (edge.right, edge.exact) == (44, False)
    assert 45 <= edge.until <= 48


def test_int8_sized_latencies_have_the_same_stairs() -> None:
    w = np.arange(64, 129)
    slow, fast = (measured(w, unit * sawtooth(w, 16, 0.1, 0, 0.02), 0.002, 4) for unit in (1, 0.01))
    assert slow.right_edges == fast.right_edges == (64, 80, 96, 112, 128)
    assert [e.confidence for e in slow.edges] == pytest.approx([e.confidence for e in fast.edges])


GEOMETRY = "block:4x4/1,identity"


def swept() -> LatencyTable:
    """Sweeps of both inner widths, and of the map an identity shortcut ties together."""
    rng = np.random.default_rng(1)
    shapes = [parse_shape(GEOMETRY, (256, w, w, 256)) for w in range(24, 65)]
    shapes += [parse_shape(GEOMETRY, (c, 64, 64, c)) for c in range(200, 248)]
    rows = {s: measurement(true_cost(s), rng, 0.001) for s in shapes}
    return LatencyTable(target=TARGET, network=SPEC, rows=rows)


def test_staircase_takes_the_sweep_from_the_table() -> None:
    found = swept()
    assert staircase(found, GEOMETRY, "w").right_edges == (24, 32, 40, 48, 56, 64)
    assert sweep(found, GEOMETRY, "w").fixed == (("cin", 256), ("cout", 256))
    assert sweep(found, GEOMETRY, "cout").fixed == (("w1", 64), ("w2", 64))
    assert [s.axis for s in sweeps(found)] == ["w", "cout"]
    assert [s.widths[1] for s in sweep(found, GEOMETRY, "w").shapes[:2]] == [24, 25]


def test_a_drift_of_the_machine_is_no_noise_of_an_edge() -> None:
    """Rounds were taken at many levels of the machine; what is left of them is exact."""
    rng = np.random.default_rng(3)
    rows = {}
    for w in range(24, 65):
        cost = true_cost(parse_shape(GEOMETRY, (256, w, w, 256)))
        levels = tuple(rng.uniform(1, 1.6, 11).tolist())
        rounds = tuple(level * cost * (1 + 0.002 * rng.standard_normal()) for level in levels)
        rows[parse_shape(GEOMETRY, (256, w, w, 256))] = Measurement(
            median=float(np.median(np.array(rounds) / levels)),
            lo=0.998 * cost,
            hi=1.002 * cost,
            rounds=rounds,
            levels=levels,
        )
    table = LatencyTable(target=TARGET, network=SPEC, rows=rows)
    found = stairs_of(sweep(table, GEOMETRY, "w"))
    assert found.right_edges == (24, 32, 40, 48, 56, 64)
    assert min(edge.confidence for edge in found.edges) == 1


def test_flagged_points_with_few_rounds_take_part() -> None:
    table = swept()
    shape = parse_shape(GEOMETRY, (256, 44, 44, 256))
    row = table.rows[shape]
    high = 1.4 * row.median
    bad = Measurement(
        median=high, lo=row.median, hi=1.8 * row.median, rounds=(high,) * 3, flags=("unstable",)
    )
    found = sweep(replace(table, rows={**table.rows, shape: bad}), GEOMETRY, "w")
    assert found.flagged == 1
    assert found.label.endswith("[1 of 41 points disturbed]")
    assert stairs_of(found).right_edges == (24, 32, 40, 48, 56, 64)


def test_no_sweep_says_what_is_there() -> None:
    with pytest.raises(MissingShapeError, match="no sweep of w1"):
        staircase(swept(), GEOMETRY, "w1")
    with pytest.raises(MissingShapeError, match=r"must be one of \['w', 'w1', 'w2', 'cout'\]"):
        staircase(swept(), GEOMETRY, "cin")
    with pytest.raises(MissingShapeError, match="it holds: block:4x4/1,identity"):
        staircase(swept(), "block:9x9/1,identity", "w")
    with pytest.raises(MissingShapeError):
        staircase(replace(table(points=1), rows={}), GEOMETRY, "w")


@given(
    y=st.lists(st.floats(0.01, 10), min_size=2, max_size=60),
    penalty=st.floats(1e-4, 10),
)
@settings(max_examples=100, deadline=None)
def test_cuts_cost_what_those_of_ruptures_cost(y: list[float], penalty: float) -> None:
    values = np.array(y)

    def cost(cuts: list[int]) -> float:
        parts = np.split(values, cuts)
        return sum(float(((p - p.mean()) ** 2).sum()) for p in parts) + penalty * len(cuts)

    rival = ruptures.Pelt(model="l2", min_size=1, jump=1).fit(values[:, None])
    theirs = [int(i) for i in rival.predict(pen=penalty)[:-1]]
    found = partition(values, penalty)
    assert found == sorted(set(found))
    assert cost(found) == pytest.approx(cost(theirs), rel=1e-9, abs=1e-9)
