"""Snapping: wider for the same latency, never slower, nothing beyond what was measured."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latency_tables_synthetic import SPEC, Device, known_grain, table

from latency_tables.predict import Predictor
from latency_tables.reach import reach
from latency_tables.snap import Snapped, snap
from latency_tables.table import MissingShapeError
from latency_tables.widening import _Search
from supernet.arithmetic import count, encode
from supernet.config import ChannelConfig, ConfigError

with known_grain():
    PREDICTOR = Predictor(table())
with known_grain(DEVICE := Device(edge=16, align=4, convert=1e-5)):
    ALIGNED = Predictor(table(points=60, chains=30, device=DEVICE))
PREDICTORS = st.sampled_from([PREDICTOR, ALIGNED])
LOW, HIGH = reach(PREDICTOR.pricer)


@st.composite
def configs(draw: st.DrawFn, *, tied: bool = False) -> ChannelConfig:
    """Networks that the table can price, with removed blocks among them."""
    widths = [draw(st.integers(int(a), int(b))) for a, b in zip(LOW, HIGH, strict=True)]
    first = 1 + len(SPEC.depths)
    pairs = list(zip(widths[first::2], widths[first + 1 :: 2], strict=True))
    if tied:
        pairs = [(w1, w1) for w1, _ in pairs]
    if draw(st.booleans()):
        pairs[-1] = (0, 0)
    return ChannelConfig(widths[0], tuple(widths[1:first]), tuple(pairs))


def check(before: ChannelConfig, after: Snapped, predictor: Predictor, growth: int) -> None:
    """What holds of every result."""
    assert after.ms_before == predictor.config(before).predicted
    assert after.ms_after == predictor.config(after.config).predicted
    assert (after.macs_before, after.macs_after) == (
        count(SPEC, before)[0],
        count(SPEC, after.config)[0],
    )
    old, new = encode([before])[0], encode([after.config])[0]
    assert (new >= old).all()
    assert (new - old <= growth).all()
    assert ((new <= HIGH) | (new == old)).all()
    assert ((new == 0) == (old == 0)).all()
    assert {(a, b) for _, a, b in after.moved} == {
        (int(a), int(b)) for a, b in zip(old, new, strict=True) if a != b
    }


@settings(max_examples=40, deadline=None)
@given(configs(), PREDICTORS, st.sampled_from([4, 16, 32]))
def test_never_slower_and_never_narrower(
    config: ChannelConfig, predictor: Predictor, growth: int
) -> None:
    found = snap(config, predictor, max_growth=growth)
    check(config, found, predictor, growth)
    assert found.ms_after <= found.ms_before
    assert found.macs_after >= found.macs_before


@settings(max_examples=12, deadline=None)
@given(configs(), PREDICTORS)
def test_a_second_snap_gains_next_to_nothing(config: ChannelConfig, predictor: Predictor) -> None:
    everything = int(HIGH.max())
    once = snap(config, predictor, max_growth=everything)
    twice = snap(once.config, predictor, max_growth=everything)
    assert twice.macs_after < 1.01 * once.macs_after


@settings(max_examples=20, deadline=None)
@given(configs(tied=True), PREDICTORS)
def test_tied_stays_tied(config: ChannelConfig, predictor: Predictor) -> None:
    found = snap(config, predictor, tied=True)
    check(config, found, predictor, 32)
    assert found.ms_after <= found.ms_before
    assert all(w1 == w2 for w1, w2 in found.config.inner)
    assert all(a == b == 0 for (a, b), (c, _) in zip(found.config.inner, config.inner, strict=True)
               if c == 0)  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(configs(), st.floats(1, 1.5))
def test_a_budget_buys_more(config: ChannelConfig, share: float) -> None:
    budget = share * PREDICTOR.config(config).predicted
    found = snap(config, PREDICTOR, budget_ms=budget)
    check(config, found, PREDICTOR, 32)
    assert found.ms_after <= budget
    assert found.macs_after >= 0.995 * snap(config, PREDICTOR).macs_after


def test_unaligned_widths_reach_their_right_edges() -> None:
    config = ChannelConfig(18, (97, 193), ((17, 25), (33, 41), (42, 49)))
    found = snap(config, ALIGNED)
    assert found.macs_after > 1.3 * found.macs_before
    widths = encode([found.config])[0]
    assert (widths % 16 == 0).mean() > 0.7
    assert found.ms_after < found.ms_before


def test_layers_that_have_to_agree_move_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One aligned layer among others pays for changes of layout; all of a stage do not."""
    config = ChannelConfig(9, (65, 47), ((12, 14), (32, 23), (18, 16)))
    joint = snap(config, ALIGNED)
    monkeypatch.setattr(_Search, "joint", lambda self, row: iter(()))
    assert joint.macs_after > 1.2 * snap(config, ALIGNED).macs_after


def test_what_is_on_its_edges_stays() -> None:
    config = SPEC.uniform(0.5)
    found = snap(config, PREDICTOR)
    assert found.config == config
    assert found.moved == ()
    assert snap(SPEC.uniform(0.7), PREDICTOR, max_growth=0).config == SPEC.uniform(0.7)


def test_the_report_is_json() -> None:
    found = snap(SPEC.uniform(0.7), ALIGNED)
    data = json.loads(json.dumps(found.to_json()))
    assert ChannelConfig.from_json(data["config"]) == found.config
    assert data["ms_after"] <= data["ms_before"]
    assert len(data["moved"]) == len(found.moved) > 0
    assert all(entry["from"] < entry["to"] for entry in data["moved"])


def test_bad_questions_are_refused() -> None:
    config = SPEC.uniform(0.5)
    with pytest.raises(ValueError, match=r"budget_ms must be at least .* got 0\.01"):
        snap(config, PREDICTOR, budget_ms=0.01)
    with pytest.raises(ValueError, match="max_growth must be >= 0 channels, but got -1"):
        snap(config, PREDICTOR, max_growth=-1)
    uneven = ChannelConfig(16, (64, 128), ((16, 16), (32, 24), (32, 32)))
    with pytest.raises(ConfigError, match=r"inner\[1\] is \[32, 24\]"):
        snap(uneven, PREDICTOR, tied=True)
    with pytest.raises(MissingShapeError, match="outside what was measured"):
        snap(ChannelConfig(1, (64, 128), ((16, 16),) * 3), PREDICTOR)
    with pytest.raises(ConfigError, match="2 stages"):
        snap(ChannelConfig(16, (64,), ((16, 16),)), PREDICTOR)


def test_the_reach_is_what_every_piece_allows() -> None:
    assert (LOW <= HIGH).all()
    rows = np.stack([LOW, HIGH])
    assert np.isfinite(PREDICTOR.predict(rows)[0]).all()
    for column in range(len(LOW)):
        beyond = LOW.copy()
        beyond[column] -= 1
        with pytest.raises(MissingShapeError):
            PREDICTOR.predict(beyond[None])
