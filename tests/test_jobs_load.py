"""Many at once, as threads and as processes: nothing is lost, doubled or refused for a lock."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from jobs_stores import new_url, opened, submission

from jobs import views
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
