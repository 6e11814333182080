"""The real thing: TensorRT on a GPU. Skipped, with the reason, where either is missing.

`pytest -m gpu tests/test_profiler_tensorrt_gpu.py`; about a quarter of an hour on one GPU. The
GPU's clocks are left alone unless STAIRPRUNE_LOCK_CLOCKS=1 is set.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from latency_tables.predict import Predictor
from latency_tables.stairs import stairs
from latency_tables.table import Target
from profiler import cuda_device
from profiler.backend import load
from profiler.collect import collect, compare
from profiler.gpu import choose, nvml
from profiler.gpu.watch import SWITCH
from profiler.models import Model, Whole, piece
from profiler.plan import Goals, Planner
from profiler.protocol import Protocol
from profiler.stats import paired_ratio
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape
from supernet.space import SearchSpace

REASON = load("tensorrt").unavailable()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
]
NETWORK = NetworkSpec()
RATIOS = (0.25, 0.5, 0.75, 1.0)
BATCH = 8


@pytest.fixture(autouse=True)
def gpu_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, os.environ.get(SWITCH, "0"))


@pytest.fixture(params=["fp16", "int8"])
def target(request: pytest.FixtureRequest) -> Target:
    return load("tensorrt").target(request.param, BATCH, 1)


def blocks(count: int) -> dict[str, Model]:
    """Bottlenecks of a ResNet50, with widths on and off the grid."""
    rng = np.random.default_rng(0)
    dense = dict.fromkeys(s for s in NETWORK.shapes(NETWORK.dense()) if isinstance(s, BlockShape))
    found: dict[str, Model] = {}
    for number in range(count):
        shape = list(dense)[number % len(dense)]
        w = int(rng.integers(shape.w1 // 4, shape.w1 + 1))
        inner = BlockShape(shape.size, shape.stride, shape.shortcut, shape.cin, w, w, shape.cout)
        found[f"{number:02}"] = piece(inner)
    return found


def test_two_sessions_agree(target: Target) -> None:
    """A/A: twenty blocks, each session in a process of its own with engines built anew."""
    models = blocks(20)
    first, second = compare(target, models), compare(target, models)
    apart = [abs(first[n].median / second[n].median - 1) for n in models]
    assert np.quantile(apart, 0.95) <= 0.03, sorted(apart)


def test_a_network_is_slower_than_its_half(target: Target) -> None:
    models: dict[str, Model] = {
        "whole": Whole(NETWORK, NETWORK.dense()),
        "half": Whole(NETWORK, NETWORK.uniform(0.5)),
    }
    found = compare(target, models)
    ratio = paired_ratio(found["whole"].adjusted, found["half"].adjusted)
    assert ratio.lo > 1.2


def test_a_small_table_predicts_whole_engines_it_has_not_seen(
    target: Target, tmp_path: Path
) -> None:
    space = SearchSpace.from_ratios(NETWORK, RATIOS)
    goals = Goals(points_per_geometry=14, chains=10, networks_fit=20, networks_held_out=10)
    table = collect(
        target, NETWORK, Planner(space, goals), tmp_path / "j.jsonl", Protocol(rounds=5)
    )
    assert table.protocol["rows"] == "in-context"
    inside = [m for m in table.rows.values() if m.isolated is not None]
    assert len(inside) > len(table.rows) / 2
    # borders cost something: as a rule a block costs less inside a network
    assert np.median([m.median / (m.isolated or 1.0) for m in inside]) <= 1.05
    held = Predictor(table).held_out
    assert held.points == 10
    assert held.mape_percent < 10


def test_stairs_are_found_where_widths_are_padded(target: Target) -> None:
    """Kernels compute whole groups of channels: odd widths cost what the next group costs."""
    widths = list(range(160, 257, 4))
    models: dict[str, Model] = {
        str(w): piece(BlockShape(14, 1, "identity", 1024, w, w, 1024)) for w in widths
    }
    found = compare(target, models, Protocol(rounds=7))
    levels, lows, highs = (
        np.array([getattr(found[str(w)], name) for w in widths]) for name in ("median", "lo", "hi")
    )
    staircase = stairs(widths, levels, lows, highs)
    assert len(staircase.plateaus) >= 2
    assert staircase.right_edges
    assert levels[-1] > levels[0]


@pytest.mark.parametrize("name", list(choose.PACKAGES))
def test_every_installed_package_times_the_same_engine_alike(
    name: str, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := choose.missing(name):
        pytest.skip(reason)
    models = {"block": piece(BlockShape(28, 1, "identity", 512, 128, 128, 512))}
    usual = compare(target, models)["block"]
    monkeypatch.setenv(choose.VARIABLE, name)
    found = compare(target, models)["block"]
    if name in choose.WITH_GRAPHS:
        assert found.median == pytest.approx(usual.median, rel=0.05)
    else:
        assert found.median >= 0.95 * usual.median
        assert "no CUDA graph" in found.notes


def test_package_driver_and_nvml_mean_the_same_gpu() -> None:
    device = choose.open_device()
    identity = device.identity()
    assert identity.name == cuda_device.names()[0]
    assert identity.uuid.lower() == cuda_device.uuid().lower()
    assert identity.compute_capability == cuda_device.facts()["compute_capability"]
    found = nvml.here()
    if isinstance(found, str):
        pytest.skip(found)
    assert found.sample().sm_mhz
