"""The scheduler's benchmarks, made small: decisions are the right ones, simulated jobs all end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.service import deciding, simulated
from jobs.devices import Host
from service.instance import open_instance


@pytest.mark.parametrize("kind", list(deciding.QUEUES))
def test_a_decision_of_every_queue(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "JOBS", 40)
    store = open_instance(tmp_path).database
    found = deciding.measure(store, kind, times=3)
    assert found["queue"] == kind
    assert 0 < found["decision_p50_ms"] <= found["decision_max_ms"]
    store.close()


def test_a_simulated_cluster_ends_all_jobs_under_every_policy(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    simulated.main(["--servers", "2", "--jobs", "16", "--out", str(out)])
    policies = json.loads(out.read_text())["policies"]
    assert set(policies) == {"fifo", "backfill", "stairprune"}
    for figures in policies.values():
        assert 0 < figures["gpus_in_use"] <= 1
        assert 0 < figures["evenness"] <= 1
        assert figures["wait_p95_h"] >= figures["wait_median_h"] >= 0


def test_rivals_give_nothing_away_twice() -> None:
    works = simulated.load(servers=1, jobs=12, share=2.0)
    host = Host(name="one", cpu_slots=4, gpus=("GPU-0", "GPU-1"))
    plain = simulated.Plain(works, [host], backfill=True)
    for number, work in enumerate(works):
        plain.arrive(number, work)
    [(job, place, ticket)] = plain.ask(0.0, {""})
    assert (job, place) == (0, "one")  # It profiles, and has the CPU for itself.
    assert plain.ask(0.0, {""}) == []
    plain.end(ticket)
    assert len(plain.ask(1.0, {"one"})) >= 1
