"""What happens to a job, as a stream or a list; and what its attempts print."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import JSONResponse, PlainTextResponse, Response

from jobs import events, members, views
from jobs.database import Database
from jobs.errors import UnknownError
from jobs.logs import Logs
from jobs.states import ENDED
from service.http.context import Server
from service.http.routes.jobs import JobId
from service.http.streams import Message, last_id, stream

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
_MOST_LOG = 1 << 20
_CHUNK = 1 << 16


@router.get("/{job}/events", response_class=Response)
def follow_events(
    job: JobId,
    server: Server,
    after: Annotated[int, Query(ge=0, le=1 << 31, description="Number of the last one known.")] = 0,
    follow: Annotated[bool, Query(description="False: a JSON list of what there is.")] = True,
    last: Annotated[str | None, Header(alias="Last-Event-ID", max_length=40)] = None,
) -> Response:
    """Events from `after` on, with `progress` of what runs; ends after the job has ended."""
    database = server.instance.database
    views.view(database, job)
    start = last_id(last, after)
    if not follow:
        return JSONResponse([asdict(event) for event in events.after(database, job, start)])
    return stream(server, _Watch(database, job, start).look)


class _Watch:
    """Events and progress of a job since the last look."""

    def __init__(self, database: Database, job: str, after: int) -> None:
        self.database, self.job, self.after = database, job, after
        self.shown: dict[str, Any] | None = None

    def look(self) -> tuple[list[Message], bool]:
        """See `service.http.streams.Look`."""
        # The state first: an event that ends the job is written with it.
        state = views.view(self.database, self.job).state
        found = events.after(self.database, self.job, self.after)
        messages = [
            Message(kind=event.kind, data={"at": event.at, **event.data}, id=event.number)
            for event in found
        ]
        if found:
            self.after = found[-1].number
        running = views.progress(self.database, self.job)
        if running is not None and (shown := asdict(running)) != self.shown:
            self.shown = shown
            messages.append(Message(kind="progress", data=shown))
        return messages, state in ENDED and not found


@router.get("/{job}/log", response_class=PlainTextResponse)
def log(
    job: JobId,
    server: Server,
    attempt: Annotated[str | None, Query(max_length=64, description="The newest if none.")] = None,
    member: Annotated[int, Query(ge=0, le=1 << 31, description="0: the worker.")] = 0,
    last: Annotated[int, Query(ge=1, le=_MOST_LOG, description="Bytes from the end.")] = 1 << 16,
    follow: Annotated[bool, Query(description="A stream of what is added.")] = False,
    resume: Annotated[str | None, Header(alias="Last-Event-ID", max_length=40)] = None,
) -> Response:
    """What an attempt printed; of a stage on several hosts, the worker or one of the others."""
    database, logs = server.instance.database, server.instance.logs
    known = [a.id for a in views.show(database, job).attempts]
    if attempt is not None and attempt not in known:
        raise UnknownError(f"job {job} has no attempt {attempt!r:.60}")
    chosen = attempt or (known[-1] if known else None)
    if follow:
        tail = _Tail(database, logs, job, chosen, member, last_id(resume, -1), last)
        return stream(server, tail.look)
    if chosen is None:
        return PlainTextResponse("")
    return PlainTextResponse(logs.read(members.process_id(chosen, member), last))


class _Tail:
    """Text added to an attempt's log since the last look; a message's id is its end in bytes."""

    def __init__(
        self,
        database: Database,
        logs: Logs,
        job: str,
        attempt: str | None,
        member: int,
        at: int,
        last: int,
    ) -> None:
        self.database, self.logs, self.job, self.attempt = database, logs, job, attempt
        self.member, self.at, self.last = member, at, last

    def look(self) -> tuple[list[Message], bool]:
        """See `service.http.streams.Look`."""
        attempts = views.show(self.database, self.job).attempts
        if self.attempt is None:
            if not attempts:
                return [], views.view(self.database, self.job).state in ENDED
            self.attempt = attempts[-1].id
        over = next(a.finished_at for a in attempts if a.id == self.attempt) is not None
        name = members.process_id(self.attempt, self.member)
        text, end = self.logs.part(name, self.at, _CHUNK, self.last)
        self.at = end
        if not text:
            return [], over
        return [Message(kind="log", data={"attempt": self.attempt, "text": text}, id=end)], False
