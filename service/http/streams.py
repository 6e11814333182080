"""Server-sent events: a blocking source asked again and again, sent as a stream.

A message's id is what `Last-Event-ID` brings back after a lost connection.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.http.context import Context
from service.http.errors import RefusedError

_SILENCE_S = 15.0  # after so long a comment keeps the connection open


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One event; `id` None: not resumed after."""

    kind: str
    data: object
    id: int | None = None

    def encode(self) -> bytes:
        """As the stream has it."""
        mark = "" if self.id is None else f"id: {self.id}\n"
        return f"{mark}event: {self.kind}\ndata: {json.dumps(self.data)}\n\n".encode()


Look = Callable[[], tuple[list[Message], bool]]
"""What is new since the last look, and whether nothing can follow."""


def stream(server: Context, look: Look) -> StreamingResponse:
    """A response that sends what `look` finds until it says that nothing can follow.

    Raises:
        RefusedError: too many streams are open.
    """
    if not server.streams.acquire(blocking=False):
        most = server.settings.most_streams
        raise RefusedError(429, f"{most} streams are open, and no more are allowed; try later")
    return _Released(_messages(server, look), media_type="text/event-stream", server=server)


class _Released(StreamingResponse):
    """Gives its place back however it ends."""

    def __init__(self, content: AsyncIterator[bytes], media_type: str, server: Context) -> None:
        super().__init__(content, media_type=media_type, headers={"x-accel-buffering": "no"})
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._server.streams.release()


async def _messages(server: Context, look: Look) -> AsyncIterator[bytes]:
    yield b": open\n\n"
    silent = 0.0
    while not server.closing.is_set():
        messages, over = await run_in_threadpool(look)
        for message in messages:
            yield message.encode()
        if over:
            yield Message(kind="end", data={}).encode()
            return
        silent = 0.0 if messages else silent + server.settings.poll_s
        if silent >= _SILENCE_S:
            silent = 0.0
            yield b": still here\n\n"
        await anyio.sleep(server.settings.poll_s)


def last_id(header: str | None, after: int) -> int:
    """Where to go on: the Last-Event-ID header if it is a number, else `after`."""
    known = header is not None and header.isascii() and header.isdigit() and len(header) < 16
    return int(header) if known and header is not None else after
