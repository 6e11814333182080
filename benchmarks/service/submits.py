"""Many clients that submit at the same time: how long each waits, and what the store has then."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks.service.running import Running
from benchmarks.service.wire import Answer, Wire

PRESET = "quickstart"
_PROBE_S = 0.01


class LoadError(RuntimeError):
    """The server answered what it must not, or the store does not have what was acknowledged."""


@dataclass(slots=True, kw_only=True)
class Load:
    """What came of it.

    Attributes:
        ledger: the acknowledged jobs: id by name.
        seconds: of each submission.
        probes: seconds of requests for /health meanwhile: how long the event loop is held up.
    """

    ledger: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)
    whole_s: float = 0.0
    server_cpu_s: float = 0.0
    client_cpu_s: float = 0.0


def submits(server: Running, mark: str, clients: int, each: int, every_s: float = 0.0) -> Load:
    """`clients` submit `each` jobs.

    Args:
        mark: begins the names of these jobs.
        every_s: seconds from one submission of a client to its next, the clients spread evenly
            over them; 0: the next one as soon as the answer is there, all beginning at once.

    Raises:
        LoadError: an answer other than 201.
    """
    load = Load()
    before, mine, start = server.cpu_s(), time.process_time(), time.monotonic()
    asyncio.run(_all(server, load, mark, (clients, each, every_s)))
    load.whole_s = time.monotonic() - start
    load.client_cpu_s = time.process_time() - mine
    load.server_cpu_s = server.cpu_s() - before
    return load


def check(server: Running, load: Load, mark: str) -> None:
    """Asks for everything again, and reads the whole list.

    Raises:
        LoadError: a job is lost, or is there twice.
    """
    asyncio.run(_check(server, load, mark))


async def _all(server: Running, load: Load, mark: str, how: tuple[int, int, float]) -> None:
    clients, each, every_s = how
    gate, over = asyncio.Event(), asyncio.Event()
    tasks = [
        asyncio.create_task(
            _client(server, load, gate, [f"{mark}-{c}-{n}" for n in range(each)],
                    (every_s, every_s * c / clients))
        )
        for c in range(clients)
    ]  # fmt: skip
    probe = asyncio.create_task(_probe(server, load, over))
    await asyncio.sleep(0.5)  # All are connected before any begins.
    gate.set()
    try:
        await asyncio.gather(*tasks)
    finally:
        over.set()
        await probe


async def _client(
    server: Running, load: Load, gate: asyncio.Event, names: list[str], pace: tuple[float, float]
) -> None:
    every_s, offset = pace
    async with Wire(server.address, server.token) as wire:
        await gate.wait()
        start = time.monotonic() + offset
        for place, name in enumerate(names):
            await asyncio.sleep(max(0.0, start + place * every_s - time.monotonic()))
            answer = await _submit(wire, name)
            if answer.status != 201:
                raise LoadError(f"{name}: {answer.status} {answer.data}")
            load.seconds.append(answer.seconds)
            load.ledger[name] = answer.data["id"]


async def _submit(wire: Wire, name: str) -> Answer:
    body = {"preset": PRESET, "changes": {"name": name}}
    return await wire.ask("POST", "/api/v1/jobs", body, key=name)


async def _probe(server: Running, load: Load, over: asyncio.Event) -> None:
    async with Wire(server.address, server.token) as wire:
        while not over.is_set():
            load.probes.append((await wire.ask("GET", "/api/v1/health")).seconds)
            await asyncio.sleep(_PROBE_S)


async def _check(server: Running, load: Load, mark: str) -> None:
    async with Wire(server.address, server.token) as wire:
        for name, job in load.ledger.items():
            again = await _submit(wire, name)
            if again.status != 200 or again.data["id"] != job:
                raise LoadError(f"{name} is {job}, but asked again {again.status} {again.data}")
        found = [job for job in await listed(wire) if job["name"].startswith(f"{mark}-")]
    names = Counter(job["name"] for job in found)
    if {job["name"]: job["id"] for job in found} != load.ledger or max(names.values()) > 1:
        raise LoadError(f"{len(load.ledger)} jobs were acknowledged, and {len(found)} are there")


async def listed(wire: Wire) -> list[dict[str, Any]]:
    """All jobs, page by page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = await wire.ask("GET", f"/api/v1/jobs?limit=200{cursor}")
        if answer.status != 200:
            raise LoadError(f"the list of jobs: {answer.status} {answer.data}")
        found += answer.data["jobs"]
        if answer.data["cursor"] is None:
            return found
        cursor = f"&cursor={answer.data['cursor']}"
