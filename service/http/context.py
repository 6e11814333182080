"""What routes are given: the instance, the settings, and who asks."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from jobs.users import User
from service.http.metrics import Metrics
from service.http.sessions import OneTimeCodes
from service.http.settings import ServerSettings
from service.http.submitting import Answer, Submitting
from service.http.together import Together
from service.instance import Instance
from service.library import Library


@dataclass(frozen=True, kw_only=True)
class Context:
    """One server.

    Attributes:
        submissions: takes jobs in.
        closing: set when the server ends; streams end then.
        streams: places for event and log streams.
    """

    instance: Instance
    settings: ServerSettings
    codes: OneTimeCodes
    metrics: Metrics
    library: Library
    submissions: Together[Submitting, Answer]
    closing: threading.Event = field(default_factory=threading.Event)
    streams: threading.BoundedSemaphore


# Async, or each would cost a turn in the thread pool.
async def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


async def _user(request: Request) -> User:
    found: User = request.state.user
    return found


Server = Annotated[Context, Depends(_context)]
Asking = Annotated[User, Depends(_user)]
