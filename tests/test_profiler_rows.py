"""Rows as differences of chains: what a block costs in a network, or a row that says it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiler_traces import SHORT, Machine, autocorrelated
from test_profiler_collect import FAST, NETWORK, planner

from latency_tables.table import LatencyTable, Measurement
from profiler.backend import load
from profiler.collect import collect
from profiler.journal import Journal, JournalError
from profiler.measure import measure
from profiler.models import Chain, piece
from profiler.protocol import Protocol
from profiler.rows import FALLEN_BACK, parts, preceding, row
from profiler.stats import measurement
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape

BODY = BlockShape(14, 1, "identity", 256, 64, 64, 256)
FIRST = BlockShape(28, 2, "projection", 128, 64, 64, 256)
STEM, HEAD = StemShape("7x7/2+maxpool", 224, 3, 64), HeadShape(7, 2048, 1000)
BORDER, START = 0.03, 0.012  # ms that every engine pays


def true_ms(shape: Shape) -> float:
    """What a shape costs inside a network, in ms."""
    return shape.macs / 1e9 + 0.011


def engine_ms(model: Chain) -> float:
    return BORDER + START + sum(true_ms(shape) for shape in model.pieces)


def measured(
    shapes: Iterable[Shape],
    machine: Machine | None = None,
    cost: Callable[[Chain], float] = engine_ms,
    protocol: Protocol = SHORT,
) -> dict[Chain, Measurement]:
    """All parts of these rows in one interleaved session on a simulated machine."""
    machine = machine or Machine()
    models = {m: None for shape in shapes for m in parts(shape, "in-context").values()}
    runners = {str(n): machine.runner(str(n), cost(m)) for n, m in enumerate(models)}
    session = measure(runners, machine.runner("s", 1.0), protocol, watch=lambda ms: "")
    return {m: session.measurements[str(n)] for n, m in enumerate(models)}


@pytest.mark.parametrize("shape", [BODY, FIRST, preceding(FIRST)], ids=str)
def test_what_every_engine_pays_cancels_out(shape: Shape) -> None:
    found = row(shape, "in-context", measured([shape]))
    assert found.median == pytest.approx(true_ms(shape), rel=1e-4)
    assert found.isolated == pytest.approx(engine_ms(piece(shape)), rel=1e-4)
    assert found.lo <= found.median <= found.hi
    assert found.flags == ()
    assert found.notes[0].startswith("difference of chains: ")


@given(st.floats(0.0, 10.0), st.floats(0.001, 10.0))
def test_differences_are_exact_whatever_the_border(border: float, block: float) -> None:
    for shape in (BODY, FIRST):
        wanted = parts(shape, "in-context")
        cost = {
            model: measurement([border + 0.5 + block * sum(s == shape for s in model.pieces)] * 5)
            for model in wanted.values()
        }
        found = row(shape, "in-context", cost)
        if FALLEN_BACK not in found.flags:
            # 6 digits of the chains are kept
            assert found.median == pytest.approx(block, abs=2e-5 * (border + 6 * block))
        else:
            assert block < 2e-5 * (border + 6 * block)


@pytest.mark.parametrize("shape", [STEM, HEAD, BODY, FIRST], ids=str)
def test_isolated_rows_stay_what_they_were(shape: Shape) -> None:
    assert list(parts(shape, "isolated").values()) == [piece(shape)]
    alone = measurement([1.0, 2.0])
    assert row(shape, "isolated", {piece(shape): alone}) is alone


@pytest.mark.parametrize("shape", [STEM, HEAD], ids=str)
def test_stem_and_head_are_measured_alone(shape: Shape) -> None:
    assert list(parts(shape, "in-context").values()) == [piece(shape)]
    found = row(shape, "in-context", measured([shape]))
    assert found.isolated is None
    assert found.flags == ()


def test_a_preceding_block_gives_what_the_block_takes() -> None:
    from profiler.pieces import check_chain

    for first in (FIRST, BlockShape(56, 1, "projection", 3, 64, 64, 256)):
        check_chain([preceding(first), first], batch=2)


def test_intervals_hold_the_truth_as_often_as_they_claim() -> None:
    """95 % is claimed; with 11 rounds a bootstrap of a median gives about that."""
    inside = []
    for seed in range(60):
        found = measured([BODY, FIRST], Machine(white=0.01, seed=seed))
        for shape in (BODY, FIRST):
            got = row(shape, "in-context", found)
            inside.append(got.lo <= true_ms(shape) <= got.hi)
    assert 0.88 < np.mean(inside) < 1.0


def test_drift_that_chains_share_neither_biases_nor_widens_a_difference() -> None:
    ratios, widths = [], []
    for seed in range(20):
        machine = Machine(autocorrelated(0.03, 2000.0, seed), white=0.004, seed=seed)
        got = row(BODY, "in-context", measured([BODY, FIRST], machine))
        ratios.append(got.median / true_ms(BODY))
        widths.append((got.hi - got.lo) / got.median)
    assert np.median(ratios) == pytest.approx(1, abs=0.03)
    assert np.median(widths) < 0.04


def test_rounds_are_paired_by_pass() -> None:
    """A pass twice as slow moves both chains, and their difference by no more than itself."""
    levels = np.array([1.0] * 5 + [2.0] + [1.0] * 5)
    found = {
        model: measurement((engine_ms(model) * levels).tolist())
        for model in parts(BODY, "in-context").values()
    }
    got = row(BODY, "in-context", found)
    assert got.rounds == pytest.approx(true_ms(BODY) * levels, rel=1e-4)
    assert got.median == pytest.approx(true_ms(BODY), rel=1e-4)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda model: -0.2 if len(model.pieces) == 6 else 0.0, "ms in a pass"),
        (lambda model: 4.0 if len(model.pieces) == 6 else 0.0, "exceed the isolated"),
    ],
    ids=["negative", "absurd"],
)
def test_a_difference_that_cannot_be_falls_back_to_the_isolated_engine(
    change: Callable[[Chain], float], why: str
) -> None:
    def cost(model: Chain) -> float:
        return max(0.01, engine_ms(model) + change(model))

    found = measured([BODY], cost=cost)
    got = row(BODY, "in-context", found)
    alone = found[piece(BODY)]
    assert got.flags == (FALLEN_BACK,)
    assert (got.median, got.rounds) == (alone.median, alone.rounds)
    assert got.isolated is None
    assert why in got.notes[-1]


def test_a_difference_lost_in_noise_falls_back() -> None:
    rng = np.random.default_rng(0)
    found = {
        model: measurement((1.0 + 0.1 * len(model.pieces) + 0.6 * rng.random(11)).tolist())
        for model in parts(BODY, "in-context").values()
    }
    got = row(BODY, "in-context", found)
    assert got.flags == (FALLEN_BACK,)
    assert "interval" in got.notes[-1] or "in a pass" in got.notes[-1]


def test_doubts_about_a_chain_are_doubts_about_the_row() -> None:
    found = measured([BODY])
    more = parts(BODY, "in-context")["more"]
    found[more] = replace(found[more], flags=("unstable",), notes=("tiles 64x64x32",))
    got = row(BODY, "in-context", found)
    assert got.flags == ("unstable",)
    assert "tiles 64x64x32" in got.notes


ort = pytest.mark.skipif(
    load("onnxruntime").unavailable() is not None, reason="onnxruntime is not installed"
)


@ort
def test_a_table_of_rows_in_context_with_the_real_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    protocol = replace(FAST, rounds=5, round_ms=1.0, rows="in-context")
    target = load("onnxruntime").target("fp32", 1, 1)
    journal = tmp_path / "journal.jsonl"
    table = collect(target, NETWORK, planner(), journal, protocol)
    assert table.protocol["rows"] == "in-context"
    blocks = {s: m for s, m in table.rows.items() if isinstance(s, BlockShape)}
    kept = [m for m in blocks.values() if m.isolated is not None]
    fallen = [m for m in blocks.values() if FALLEN_BACK in m.flags]
    assert len(kept) + len(fallen) == len(blocks)
    assert kept  # how many, and how good: with simulated runners, since this machine may be busy
    path = tmp_path / "table.json"
    table.save(path)
    assert LatencyTable.load(path) == table
    again = collect(target, NETWORK, planner(), journal, protocol)
    assert again.dumps() == table.dumps()
    with pytest.raises(JournalError, match="protocol rows 'in-context', but 'isolated'"):
        Journal(journal, target, NETWORK, replace(protocol, rows="isolated"))


def test_an_unknown_row_method_is_refused() -> None:
    with pytest.raises(ValueError, match="rows must be isolated or in-context, but got 'alone'"):
        Protocol(rows="alone")  # type: ignore[arg-type]
