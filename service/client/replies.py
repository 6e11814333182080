"""What the server answers, as values. Keys that a newer server adds are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """The reply in an answer's JSON."""
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(_Reply):
    """A job; see `jobs.views.JobView`."""

    id: str
    name: str
    user: str
    state: str
    wanted: str
    priority: int
    stage: str
    position: int
    created_at: float
    finished_at: float | None = None
    error: str | None = None
    waits: str | None = None
    done: int = 0
    total: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing happens to it any more, unless it is retried."""
        return self.state in ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host(_Reply):
    """Where stages run; see `jobs.executors.HostView`."""

    name: str
    classes: list[str]
    cpu_slots: int
    cpu_held: int
    gpus: int
    gpus_held: int
    jobs: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail(_Reply):
    """A job with its spec, stages and attempts."""

    job: Job
    spec: dict[str, Any]
    stages: list[dict[str, Any]]
    attempts: list[dict[str, Any]]

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """The reply in an answer's JSON."""
        rest = {key: data[key] for key in ("spec", "stages", "attempts")}
        return cls(job=Job.read(data["job"]), **rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Jobs, the newest first; `cursor` asks for the next page."""

    jobs: list[Job]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(_Reply):
    """Something that happened; `number` None for progress, which is not kept."""

    number: int | None
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class File(_Reply):
    """A file of a finished stage."""

    stage: str
    name: str
    artifact: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(_Reply):
    """A scored config; see `service.candidates.CandidateView`."""

    id: str
    config: dict[str, Any]
    figures: dict[str, float | None]
    front: bool
    finalist: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(_Reply):
    """A job's candidates, its limits and the networks beside them."""

    candidates: list[Candidate]
    budget: dict[str, float]
    metrics: list[str]
    others: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """The reply in an answer's JSON."""
        return cls(
            candidates=[Candidate.read(found) for found in data["candidates"]],
            budget=data["budget"],
            metrics=data["metrics"],
            others=data.get("others", {}),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo(_Reply):
    """A latency table or a supernet in a list."""

    id: str
    name: str
    job: str | None
    details: dict[str, Any]
    artifact: str | None = None
    created_at: float | None = None
