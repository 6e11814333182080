"""A worker whose stages are quick, and a scheduler that runs it; both can be told to crash.

`python tests/jobs_toy.py serve` runs the scheduler until SIGTERM; `... work ATTEMPT FENCING` is
its worker. A job's spec maps each stage to how it behaves. A stage's file depends only on the
spec and the files before it, however often it was interrupted.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from sqlalchemy import Engine, event  # noqa: E402
from sqlalchemy.pool import Pool  # noqa: E402

from jobs import variables, worker  # noqa: E402
from jobs.artifacts import Artifacts  # noqa: E402
from jobs.attempts import Work  # noqa: E402
from jobs.members import Meeting  # noqa: E402

HOME = "TOY_HOME"
CRASH = "TOY_CRASH"


def outcome(seed: object, stage: str, before: list[str]) -> str:
    """What a stage writes."""
    return hashlib.sha256(f"{seed}|{stage}|{'|'.join(before)}".encode()).hexdigest()


def do(work: Work, artifacts: Artifacts, report: worker.Report) -> Mapping[str, Path]:
    """One stage as its spec says."""
    spec = json.loads(work.spec)
    plan: dict[str, Any] = {**spec.get("all", {}), **spec.get(work.stage, {})}
    folder = Path(os.environ[HOME]) / "runs" / work.job
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "ledger").open("a") as ledger:
        ledger.write(f"{work.stage}\n")
    print(f"stage {work.stage}", flush=True)
    if "noise" in plan:
        print("x" * plan["noise"], flush=True)
    if "child" in plan:
        subprocess.Popen(["sleep", "300"], start_new_session=True)
    if "crash" in plan:
        crash_once(plan["crash"], folder / f"crashed-{work.stage}")
    if work.hosts > 1:
        gather(work, folder, plan)
    marker = folder / f"{work.stage}.step"
    steps = plan.get("steps", 2)
    for step in range(int(marker.read_text()) if marker.exists() else 0, steps):
        time.sleep(plan.get("sleep", 0.02))
        report(step + 1, steps, f"step {step + 1}")
        temporary = marker.with_suffix(".new")
        temporary.write_text(str(step + 1))
        temporary.replace(marker)
    if plan.get("end") == "fail":
        raise ValueError("this stage always fails")
    if plan.get("end") == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    before = []
    for files in work.finished.values():
        for digest in files.values():
            with artifacts.open(digest) as file:
                before.append(file.read().decode())
    out = folder / f"{work.stage}.txt"
    out.write_text(outcome(spec.get("seed"), work.stage, before))
    return {"out.txt": out}


def gather(work: Work, folder: Path, plan: dict[str, Any]) -> None:
    """Calls the members, and waits for as many as the plan says."""
    place = folder / f"members-{secrets.token_hex(4)}"
    place.mkdir()
    work.meet(json.dumps(str(place)))
    while len(list(place.iterdir())) < plan.get("members", work.hosts - 1):
        time.sleep(0.02)


def join(meeting: Meeting, number: int) -> None:
    """A member: says that it is there, and works until the worker is done with it."""
    assert meeting.place is not None
    if json.loads(meeting.spec)["all"].get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (Path(json.loads(meeting.place)) / f"{number}-{os.getpid()}").touch()
    time.sleep(300)


def crash_once(where: str, token: Path) -> None:
    """Arranges a SIGKILL at the n-th time that `where` ("commit 2") comes by, once per token.

    commit: before a transaction is committed; committed: after it was; fsync, replace: before a
    file is synced or renamed; replaced: after that.
    """
    name, count = where.split()
    left = [int(count)]

    def hit() -> None:
        left[0] -= 1
        if left[0] == 0:
            try:
                token.touch(exist_ok=False)
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)

    if name == "commit":
        event.listen(Engine, "commit", lambda connection: hit())
    elif name == "committed":
        event.listen(Pool, "checkin", lambda connection, record: hit())
    else:
        _patch(name, hit)


def _patch(name: str, hit: Callable[[], None]) -> None:
    function = {"fsync": "fsync", "replace": "replace", "replaced": "replace"}[name]
    real = getattr(os, function)

    def patched(*arguments: Any, **options: Any) -> Any:
        if name != "replaced":
            hit()
        result = real(*arguments, **options)
        if name == "replaced":
            hit()
        return result

    setattr(os, function, patched)


def serve() -> None:
    """The scheduler of this folder, until SIGTERM."""
    from jobs.database import Database
    from jobs.devices import Host
    from jobs.launcher import Launcher
    from jobs.launcher_local import LocalLauncher
    from jobs.launcher_ray import RayLauncher
    from jobs.logs import Logs
    from jobs.scheduler import Scheduler
    from jobs.settings import Settings

    home = Path(os.environ[HOME])
    if CRASH in os.environ:
        crash_once(os.environ[CRASH], home / f"crashed {os.environ[CRASH]}")
    settings = Settings(
        command=(sys.executable, str(Path(__file__)), "work"),
        environment={name: os.environ[name] for name in (variables.URL, variables.FILES, HOME)},
        heartbeat_s=float(os.environ.get("TOY_HEARTBEAT", "1.0")),
        start_s=float(os.environ.get("TOY_START", "20")),
        tick_s=0.05,
        grace_s=3.0,
    )
    launcher: Launcher
    if "TOY_RAY" in os.environ:
        launcher = RayLauncher(os.environ["TOY_RAY"], home)
    else:
        slots, count = (int(os.environ.get(f"TOY_{n}", d)) for n, d in (("SLOTS", 3), ("HOSTS", 1)))
        launcher = LocalLauncher(Host(name="toy", cpu_slots=slots))
        more = [Host(name=f"toy-{number}", cpu_slots=slots) for number in range(1, count)]
        if more:  # that are this machine as well
            launcher.hosts = lambda: [launcher.host, *more]  # type: ignore[method-assign]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    database = Database(os.environ[variables.URL])
    logs = Logs(home / "logs", limit=50_000)
    Scheduler(database, launcher, logs, settings).run(
        stop, say=lambda text: print(text, flush=True)
    )


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        sys.exit(worker.main(do, sys.argv[2:], join=join))
