"""A disk that is full again and again, under a real file system of its own.

`STAIRPRUNE_KILLS` sets how often; needs the right to mount one.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs_service import Service, until

from jobs.errors import StoreFullError

TIMES = int(os.environ.get("STAIRPRUNE_KILLS", "3"))
STAGES = 2
pytestmark = pytest.mark.slow


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, small: Path) -> Iterator[Service]:
    made = Service(request.param, small, heartbeat=0.5, start=4)
    yield made
    made.close()


def fill(ballast: Path) -> None:
    """Takes all space that is left."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass


def test_a_disk_that_fills_up_loses_and_doubles_nothing(service: Service, small: Path) -> None:
    chance, ledger, refused = random.Random(TIMES), dict[str, str](), 0
    service.start()
    for number in range(TIMES):
        name = f"job-{number}"
        plan = {"steps": 6, "sleep": 0.05}
        ledger[name] = service.submit(name, STAGES, all=plan, most_attempts=100)
        time.sleep(chance.uniform(0.1, 0.5))
        fill(small / "ballast")
        late = f"late-{number}"
        try:
            ledger[late] = service.submit(late, STAGES, all=plan, most_attempts=100)
        except StoreFullError:
            refused += 1
        time.sleep(chance.uniform(0.2, 2.0))
        (small / "ballast").unlink()
        again = service.submit(late, STAGES, all=plan, most_attempts=100)
        assert ledger.setdefault(late, again) == again
    assert service.process is not None
    assert service.process.poll() is None, (service.home / "serve.log").read_text()[-2000:]
    for name, job in ledger.items():
        service.wait(job, "succeeded", seconds=60 + TIMES)
        service.expect_right(job, name, STAGES)
    # A write-ahead log that was longer before has room for some; PostgreSQL lies elsewhere.
    assert refused > 0 if service.database.sqlite else refused == 0
    until(lambda: service.workers() == [], 5)
