"""A measured table beside the model: the model's own rows come out as exact, others do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.modelled.measured import compared, figure
from latency_tables.table import LatencyTable, Measurement
from profiler.backend import load
from profiler.modelled.cost import total_ms
from profiler.sweep import named_shape, sweep
from supernet.network import NetworkSpec

NETWORK = NetworkSpec()
WIDTHS = range(8, 257, 8)


def table_of(factor: float) -> LatencyTable:
    """Rows of the model itself, times a factor."""
    target = load("modelled", "h100").target("fp16", 128, 1)
    rows = {}
    for shape in sweep(named_shape(NETWORK, "stage3.1"), "w", WIDTHS):
        ms = factor * total_ms([shape], "h100", 128, "fp16")
        rows[shape] = Measurement(median=ms, lo=ms, hi=ms, rounds=(ms,))
    return LatencyTable(target=target, network=NETWORK, rows=rows)


def test_a_device_that_is_the_model_times_a_factor_has_no_error_left() -> None:
    (found,) = compared(table_of(1.7), "h100")
    assert found.block == "14x14, 1024 -> w -> w -> 1024"
    assert found.ratio == pytest.approx(1.7)
    assert found.residual_percent == pytest.approx(0, abs=1e-9)
    assert found.rank == pytest.approx(1)
    assert found.edges == found.modelled_edges
    assert found.found == len(found.edges) > 0
    assert found.line_percent > 1


def test_another_device_differs_and_all_of_it_is_told() -> None:
    (found,) = compared(table_of(1.0), "t4")
    assert found.ratio < 0.5
    assert found.residual_percent > 0
    told = found.to_json()
    assert told["edges_in_both"] == found.found
    assert len(told["widths"]) == len(told["measured_ms"]) == len(WIDTHS)


def test_only_multiples_of_a_step_count_if_asked() -> None:
    (found,) = compared(table_of(1.0), "h100", step=32)
    assert found.widths == tuple(range(32, 257, 32))


def test_a_line_fits_what_is_a_line_in_macs() -> None:
    (found,) = compared(table_of(1.0), "h100")
    straight = replace(found, measured=np.asarray(0.01 + 1e-9 * found.macs))
    assert straight.line_percent == pytest.approx(0, abs=1e-6)
    assert len(figure([found, straight], "both").axes) == 2
