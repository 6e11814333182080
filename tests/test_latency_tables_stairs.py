"""Stairs: right edges from points alone, on known curves and on a measured one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latency_tables_synthetic import SPEC, TARGET, measurement, table, true_cost

from latency_tables.stairs import staircase, stairs
from latency_tables.sweeps import Floats, sweep, sweeps
from latency_tables.table import LatencyTable, MissingShapeError
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
    assert all(plateau.exact for plateau in found.plateaus[:-1])
    assert all(plateau.step_ms > found.noise_ms for plateau in found.plateaus[:-1])


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


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="ascending widths"):
        stairs([8, 8], [1, 1], [1, 1], [1, 1])
    with pytest.raises(ValueError, match="3 medians"):
        stairs([8, 9], [1, 1, 1], [1, 1], [1, 1])


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


def test_no_sweep_says_what_is_there() -> None:
    with pytest.raises(MissingShapeError, match="no sweep of w1"):
        staircase(swept(), GEOMETRY, "w1")
    with pytest.raises(MissingShapeError, match=r"must be one of \['w', 'w1', 'w2', 'cout'\]"):
        staircase(swept(), GEOMETRY, "cin")
    with pytest.raises(MissingShapeError, match="it holds: block:4x4/1,identity"):
        staircase(swept(), "block:9x9/1,identity", "w")
    with pytest.raises(MissingShapeError):
        staircase(replace(table(points=1), rows={}), GEOMETRY, "w")
