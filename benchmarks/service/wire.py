"""A client that costs little, so that the server is what is measured: one kept connection each.

Speaks just enough HTTP/1.1 for JSON answers with a Content-Length. Knows nothing of jobs.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, and after how many seconds."""

    status: int
    data: Any
    seconds: float


class Wire:
    """One connection to a server under a token; used with `async with`, one request at a time."""

    def __init__(self, address: str, token: str) -> None:
        parts = urlsplit(address)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._common = f"Host: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"

    async def __aenter__(self) -> Self:
        self._in, self._out = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._out.close()
        await self._out.wait_closed()

    async def ask(
        self, method: str, path: str, data: object = None, key: str | None = None
    ) -> Answer:
        """One request and its answer.

        Args:
            key: the idempotency key.
        """
        body = b"" if data is None else json.dumps(data).encode()
        head = f"{method} {path} HTTP/1.1\r\n{self._common}Content-Length: {len(body)}\r\n"
        if body:
            head += "Content-Type: application/json\r\n"
        if key is not None:
            head += f"Idempotency-Key: {key}\r\n"
        start = time.monotonic()
        self._out.write(head.encode() + b"\r\n" + body)
        await self._out.drain()
        status, text = await self._read()
        return Answer(status=status, data=json.loads(text), seconds=time.monotonic() - start)

    async def _read(self) -> tuple[int, bytes]:
        lines = (await self._in.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-len"))
        return int(lines[0].split()[1]), await self._in.readexactly(length)
