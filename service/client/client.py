"""`Client`: every call of the API as a method.

A submission whose answer got lost is sent again under the same key, so it is one job; streams go on
where they broke. Nothing here knows what a job does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from service.client.replies import Candidate, Detail, Event, File, Found, Host, Job, Page, TableInfo
from service.client.transport import Transport


class Client:
    """A server under a token. Close it, or use it in a `with`."""

    def __init__(self, server: str, token: str, timeout_s: float = 30.0) -> None:
        self._to = Transport(server, token, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        self._to.close()

    def health(self) -> dict[str, Any]:
        """Whether the server answers, and its version."""
        return self._to.object("GET", "/health")

    def me(self) -> dict[str, Any]:
        """The token's user and caps."""
        return self._to.object("GET", "/me")

    def presets(self) -> list[dict[str, Any]]:
        """The shipped jobs."""
        return self._to.list("GET", "/presets")

    def schema(self) -> dict[str, Any]:
        """JSON schema of a spec."""
        return self._to.object("GET", "/schema")

    def searchers(self) -> list[dict[str, Any]]:
        """Searchers with their options."""
        return self._to.list("GET", "/searchers")

    def hosts(self) -> list[Host]:
        """Hosts that take work now, and what is held on them."""
        return [Host.read(host) for host in self._to.list("GET", "/hosts")]

    def metrics(self) -> str:
        """Figures in Prometheus' text format."""
        return self._to.answer("GET", "/metrics").text

    def check(self, **job: Any) -> dict[str, Any]:
        """What a job would do; takes what `submit` takes, but for priority and key."""
        return self._to.object("POST", "/jobs/check", json=job)

    def submit(self, *, key: str | None = None, **job: Any) -> Job:
        """Submits `spec=...`, or `preset=...` with `changes=...`; `until` and `priority` too.

        Args:
            key: the same key with the same job is one job; a random one if not given.
        """
        return Job.read(self._to.posted("/jobs", job, key))

    def jobs(self, **filters: Any) -> Page:
        """A page of jobs; `user`, `state`, `name`, `limit` and `cursor` as the API has them."""
        given = {name: value for name, value in filters.items() if value is not None}
        data = self._to.object("GET", "/jobs", params=given)
        return Page(jobs=[Job.read(job) for job in data["jobs"]], cursor=data["cursor"])

    def show(self, job: str) -> Detail:
        """A job in detail."""
        return Detail.read(self._to.object("GET", f"/jobs/{job}"))

    def cancel(self, job: str) -> Job:
        """Ends a job."""
        return self._do(job, "cancel")

    def pause(self, job: str) -> Job:
        """Stops a job until it is resumed."""
        return self._do(job, "pause")

    def resume(self, job: str) -> Job:
        """Lets a paused job go on."""
        return self._do(job, "resume")

    def retry(self, job: str) -> Job:
        """Runs what failed or was cancelled again."""
        return self._do(job, "retry")

    def prioritise(self, job: str, priority: int) -> Job:
        """Changes a job's priority."""
        data = self._to.object("PUT", f"/jobs/{job}/priority", json={"priority": priority})
        return Job.read(data)

    def events(self, job: str, after: int = 0, follow: bool = True) -> Iterator[Event]:
        """What happens to a job, until it ends; goes on by itself after a lost connection."""
        if not follow:
            found = self._to.list(
                "GET", f"/jobs/{job}/events", params={"after": after, "follow": "0"}
            )
            for event in found:
                yield Event(number=event["number"], kind=event["kind"], data=event["data"])
            return
        for message in self._to.stream(f"/jobs/{job}/events", after, {}):
            yield Event(number=message.id, kind=message.kind, data=message.data)

    def log(
        self, job: str, attempt: str | None = None, last: int = 1 << 16, member: int = 0
    ) -> str:
        """The end of what an attempt printed; the newest attempt's if none is named.

        Args:
            member: of a stage on several hosts; 0 is the worker.
        """
        params = {"last": last, "member": member} | (
            {} if attempt is None else {"attempt": attempt}
        )
        return self._to.answer("GET", f"/jobs/{job}/log", params=params).text

    def follow_log(self, job: str, attempt: str | None = None, member: int = 0) -> Iterator[str]:
        """What an attempt prints, until it ends; see `log`."""
        params = {"follow": "1", "member": str(member)} | (
            {} if attempt is None else {"attempt": attempt}
        )
        for message in self._to.stream(f"/jobs/{job}/log", -1, params):
            yield message.data["text"]

    def files(self, job: str) -> list[File]:
        """What finished stages made."""
        return [File.read(file) for file in self._to.list("GET", f"/jobs/{job}/files")]

    def download(self, artifact: str, target: Path) -> None:
        """Saves a stored file; it is there whole, or not at all."""
        self._to.save(f"/artifacts/{artifact}", target)

    def candidates(self, job: str) -> Found:
        """A job's scored configs."""
        return Found.read(self._to.object("GET", f"/jobs/{job}/candidates"))

    def candidate(self, job: str, candidate: str) -> Candidate:
        """One, by its id or its name among the finalists."""
        return Candidate.read(self._to.object("GET", f"/jobs/{job}/candidates/{candidate}"))

    def export(self, job: str, candidate: str, target: Path, precision: str | None = None) -> None:
        """Saves a candidate's network with random weights as ONNX, to time it elsewhere."""
        params = None if precision is None else {"precision": precision}
        self._to.save(f"/jobs/{job}/candidates/{candidate}/onnx", target, params)

    def best(self, job: str, under: float, metric: str = "latency_ms") -> Candidate:
        """The highest estimate that costs at most `under`."""
        params = {"metric": metric, "under": under}
        return Candidate.read(self._to.object("GET", f"/jobs/{job}/best", params=params))

    def train(
        self, job: str, candidates: Sequence[str], priority: int = 0, key: str | None = None
    ) -> Job:
        """A new job that trains these candidates of a job."""
        body = {"candidates": list(candidates), "priority": priority}
        return Job.read(self._to.posted(f"/jobs/{job}/train", body, key))

    def report(self, job: str) -> dict[str, Any]:
        """A finished job's report."""
        return self._to.object("GET", f"/jobs/{job}/report")

    def compare(self, jobs: Sequence[str]) -> list[dict[str, Any]]:
        """Jobs side by side."""
        return self._to.list("GET", "/compare", params={"job": list(jobs)})

    def tables(self) -> list[TableInfo]:
        """All latency tables."""
        return [TableInfo.read(table) for table in self._to.list("GET", "/tables")]

    def table(self, table: str) -> dict[str, Any]:
        """What a table covers, its curves in short, and how far to trust it."""
        return self._to.object("GET", f"/tables/{table}")

    def curve(self, table: str, block: str, gene: str) -> dict[str, Any]:
        """One step-shaped curve with raw rounds and right edges."""
        return self._to.object(
            "GET", f"/tables/{table}/curve", params={"block": block, "gene": gene}
        )

    def stairs(self, table: str) -> list[dict[str, Any]]:
        """All curves of a table with their right edges."""
        return self._to.list("GET", f"/tables/{table}/stairs")

    def held_out(self, table: str) -> dict[str, Any] | None:
        """Networks never fitted, predicted against measured; may take minutes without a fit."""
        found: dict[str, Any] | None = self._to.json("GET", f"/tables/{table}/held-out")
        return found

    def rows(self, table: str, **paging: Any) -> dict[str, Any]:
        """Raw rows; `block`, `start` and `limit` as the API has them."""
        return self._to.object("GET", f"/tables/{table}/rows", params=paging)

    def roof(self, table: str) -> dict[str, Any] | None:
        """The roofline with every row; None where it was not measured."""
        found: dict[str, Any] | None = self._to.json("GET", f"/tables/{table}/roof")
        return found

    def diff(self, table: str, other: str) -> dict[str, Any]:
        """What differs between two tables."""
        return self._to.object("GET", f"/tables/{table}/diff/{other}")

    def upload_table(self, file: Path, name: str | None = None) -> TableInfo:
        """Hands a table in that was measured elsewhere."""
        answer = self._to.answer(
            "POST", "/tables", params={"name": name or file.stem}, content=file.read_bytes()
        )
        return TableInfo.read(answer.json())

    def download_table(self, table: str, target: Path) -> None:
        """Saves a table's file."""
        self._to.save(f"/tables/{table}/download", target)

    def supernets(self) -> list[TableInfo]:
        """Trained supernets."""
        return [TableInfo.read(found) for found in self._to.list("GET", "/supernets")]

    def _do(self, job: str, verb: str) -> Job:
        return Job.read(self._to.object("POST", f"/jobs/{job}/{verb}"))
