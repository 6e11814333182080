"""Why a job does not run now, in words for the person who waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from jobs import schema
from jobs.clock import now
from jobs.database import AnyRow


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What waiting depends on.

    Attributes:
        hosts: CPU slots, GPUs and classes of the executors that answer.
        running: running jobs by user.
        holders: who holds which device.
        keys: who computes the result of a key right now.
    """

    time: float
    hosts: list[tuple[int, int, list[str]]]
    running: Counter[int]
    holders: list[tuple[str, str]]
    keys: dict[str, str]


def reasons(tx: Connection, rows: Iterable[AnyRow]) -> dict[int, str]:
    """The reason by job number, for those of `rows` that wait."""
    rows = [row for row in rows if row.state in ("queued", "paused")]
    if not rows:
        return {}
    scene = _scene(tx)
    return {row.number: _reason(row, scene) for row in rows}


def _scene(tx: Connection) -> _Scene:
    executors, jobs, leases = schema.executors, schema.jobs, schema.leases
    stages, attempts, slots = schema.stages, schema.attempts, schema.slots
    columns = executors.c["cpu_slots", "gpus", "classes"]
    alive = select(*columns).where(executors.c.expires_at >= now())
    held = (
        select(jobs.c.id, jobs.c.user, stages.c.key, attempts.c.number)
        # Outer joins, though every lease has the rest: SQLite would begin with all the jobs.
        .select_from(leases)
        .outerjoin(jobs, jobs.c.number == leases.c.job)
        .outerjoin(attempts, attempts.c.number == leases.c.attempt)
        .outerjoin(stages, stages.c.number == attempts.c.stage)
    )
    running = tx.execute(held).all()
    owner = {row.number: row.id for row in running}
    taken = tx.execute(select(slots.c.device, slots.c.attempt)).all()
    return _Scene(
        time=tx.execute(select(now())).scalar_one(),
        hosts=[(row.cpu_slots, len(row.gpus), row.classes) for row in tx.execute(alive)],
        running=Counter(row.user for row in running),
        holders=sorted({(row.device, owner[row.attempt]) for row in taken if row.attempt in owner}),
        keys={row.key: row.id for row in running if row.key is not None},
    )


def _reason(row: AnyRow, scene: _Scene) -> str:
    if row.state == "paused":
        return "paused; resume it"
    if row.not_before > scene.time:
        return f"tries again in {row.not_before - scene.time:.0f} s"
    if row.key in scene.keys:
        return f"job {scene.keys[row.key]} computes the same {row.stage}; its result will be shared"
    if scene.running[row.owner] >= row.most_running:
        return f"{row.user} has {scene.running[row.owner]} running jobs, the most allowed"
    if not scene.hosts:
        return "no executor is running"
    able = [host for host in scene.hosts if row.device in (None, *host[2])]
    if not able:
        return f"needs a host of class {row.device}, and none answers"
    if (most := max(gpus for _, gpus, _ in able)) < row.gpus:
        return f"needs {row.gpus} GPUs, but no executor has more than {most}"
    large = sum(gpus >= row.gpus for _, gpus, _ in able)
    if large < (wanted := 1 if row.elastic else row.hosts):
        return f"needs {wanted} such hosts at once, but {large} answer{'s' * (large == 1)}"
    return _devices(row, scene)


def _devices(row: AnyRow, scene: _Scene) -> str:
    wanted = ["the whole CPU" if row.cpu == "all" else "a CPU slot"]
    if row.gpus:
        wanted.append(f"{row.gpus} GPU{'s' if row.gpus > 1 else ''}")
    each = "" if row.elastic or row.hosts == 1 else f" on each of {row.hosts} hosts"
    text = f"{row.stage} needs {' and '.join(wanted)}{each}"
    holders = [
        f"{'CPU' if device == 'cpu' else device} by job {job}"
        for device, job in scene.holders
        if device == "cpu" or row.gpus
    ]
    return f"{text}; held: {', '.join(holders[:8])}" if holders else f"{text}; next in turn"
