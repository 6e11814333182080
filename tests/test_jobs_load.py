"""Many at once, as threads and as processes: nothing is lost, doubled or refused for a lock."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from jobs_stores import new_url, opened, submission
from sqlalchemy import Connection, Table

from jobs import schema, views
from jobs.submit import submit

ROOT = Path(__file__).parent.parent
CLAIMER = """
import json, sys
from jobs.claim import claim
from jobs.database import Database
from jobs.devices import Host
database = Database(sys.argv[1])
host = Host(name=sys.argv[2], cpu_slots=400)
print("ready", flush=True)
sys.stdin.readline()
found = []
while (got := claim(database, host, 600, 600)) is not None:
    found.append(got.job)
print(json.dumps(found))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_url(request.param, tmp_path)


def test_eight_processes_claim_400_jobs_once_each(url: str) -> None:
    database = opened(url)
    with database.write() as tx:
        tx.exec_driver_sql("UPDATE users SET most_running = 1000")
    wanted = [submit(database, "ann", submission(f"j{n}", stages=1))[0] for n in range(400)]
    command = [sys.executable, "-c", CLAIMER, url]
    processes = [
        subprocess.Popen(
            [*command, f"host-{n % 4}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for n in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    start = time.monotonic()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    lists = [json.loads(process.communicate(timeout=100)[0]) for process in processes]
    print(f"{400 / (time.monotonic() - start):.0f} claims/s")
    assert Counter(job for found in lists for job in found) == Counter(wanted)
    assert sum(bool(found) for found in lists) >= 2
    database.close()


def test_100_clients_submit_five_jobs_each_with_retries(url: str) -> None:
    names = [f"user-{n}" for n in range(10)]
    database = opened(url, *names)
    seconds: list[float] = []

    def client(number: int) -> list[tuple[str, str]]:
        done = []
        for job in range(5):
            name = f"c{number}-{job}"
            start = time.monotonic()
            found, new = submit(database, names[number % 10], submission(name), name)
            seconds.append(time.monotonic() - start)
            assert new
            # The reply was lost: the client asks again.
            assert submit(database, names[number % 10], submission(name), name) == (found, False)
            done.append((name, found))
        return done

    with ThreadPoolExecutor(100) as pool:
        ledger = dict(pair for done in pool.map(client, range(100)) for pair in done)
    print(f"p95 of submit {sorted(seconds)[int(0.95 * len(seconds))] * 1000:.0f} ms")
    stored: dict[str, str] = {}
    cursor: str | None = None
    while True:
        page = views.page(database, limit=200, cursor=cursor)
        stored |= {job.name: job.id for job in page.jobs}
        if (cursor := page.cursor) is None:
            break
    assert stored == ledger
    assert len(ledger) == 500
    database.close()


def test_the_first_page_of_10000_jobs_comes_within_100_ms(url: str) -> None:
    database = opened(url, "ann", "bob")
    for name in ("ann", "bob"):
        submit(database, name, submission(name, stages=6))
    with database.write() as tx:
        for table in (schema.jobs, schema.stages):
            rows = [dict(row) for row in tx.execute(table.select()).mappings()]
            _multiply(tx, table, rows)
    for wanted in ({}, {"user": "bob"}, {"state": "queued"}, {"name": "ob-9"}):
        seconds = []
        for _ in range(7):
            start = time.monotonic()
            page = views.page(database, **wanted)  # type: ignore[arg-type]
            seconds.append(time.monotonic() - start)
        assert len(page.jobs) == 50
        print(f"first page of 10,000 {wanted}: {sorted(seconds)[3] * 1000:.1f} ms")
        assert min(seconds) <= 0.1
    database.close()


def _multiply(tx: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Adds copies of two jobs' rows until there are 10,000 jobs."""
    copies = []
    for copy in range(1, 5000):
        for row in rows:
            new = {**row, "number": row["number"] + copy * len(rows)}
            if table is schema.jobs:
                new |= {"id": f"{row['id']}-{copy}", "name": f"job-{copy}"}
            else:
                new |= {"job": row["job"] + 2 * copy}
            copies.append(new)
    tx.execute(table.insert(), copies)
