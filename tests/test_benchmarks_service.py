"""The load benchmark of the server measures what it says, and notices a job that is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.service import __main__ as command
from benchmarks.service.running import running
from benchmarks.service.submits import Load, LoadError, check, submits


@pytest.mark.parametrize(("share", "expected"), [(0.5, 10), (0.95, 19), (0.951, 20), (1.0, 20)])
def test_a_quantile_is_one_of_the_figures(share: float, expected: float) -> None:
    assert command.quantile([n / 1000 for n in range(20, 0, -1)], share) == pytest.approx(expected)


def test_a_lost_a_doubled_and_a_refused_job_are_noticed(tmp_path: Path) -> None:
    with running(tmp_path, None) as server:
        load = submits(server, "a", clients=3, each=2)
        check(server, load, "a")
        assert len(load.ledger) == len(load.seconds) == 6
        lost = Load(ledger={**load.ledger, "a-9-9": "0" * 16})
        with pytest.raises(LoadError, match="a-9-9"):
            check(server, lost, "a")
        doubled = Load(ledger={"a-0-0": load.ledger["a-0-0"]})
        with pytest.raises(LoadError, match="1 jobs were acknowledged, and 7 are there"):
            check(server, doubled, "a")
        with pytest.raises(LoadError, match="a-0-0: 200"):
            submits(server, "a", clients=1, each=1)
        assert server.cpu_s() > 0
        assert server.megabytes() > 10


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "service.json"
    command.main(["--quick", "--stores", "sqlite", "--out", str(out)])
    result = json.loads(out.read_text())
    (store,) = result["stores"]
    assert store["burst"]["jobs"] == store["paced"]["jobs"] == 20
    assert 0 < store["burst"]["p50_ms"] <= store["burst"]["p95_ms"] <= store["burst"]["max_ms"]
    assert store["first_page"][0]["query"] == ""
    assert "none lost, none doubled" in capsys.readouterr().out
