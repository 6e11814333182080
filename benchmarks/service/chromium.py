"""Chromium as a user has it: driven through its pipe, with no debugger attached to its pages.

Playwright attaches one. V8 then looks up the source position of every error that is thrown, caught
ones too; Plotly throws some while it starts, and each costs reading its five megabytes again.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, BinaryIO

FLAGS = ("--headless=new", "--no-sandbox", "--no-first-run", "--remote-debugging-pipe")


class Tab:
    """One page of a browser of its own."""

    def __init__(self, send: BinaryIO, receive: BinaryIO) -> None:
        self._send, self._receive, self._numbers = send, receive, count(1)
        self._session: str | None = None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def goto(self, url: str) -> None:
        """Asks for a page; returns when its first bytes are there."""
        self._ask("Page.navigate", url=url)

    def value(self, script: str) -> Any:
        """What an expression, or the promise that it is, comes to in the page.

        Raises:
            RuntimeError: it threw.
        """
        found = self._ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:500])
        return found["result"].get("value")

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._send.write(json.dumps(message).encode() + b"\0")
        self._send.flush()
        while (answer := self._next()).get("id") != number:
            pass  # Events, which nobody waits for.
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        found: dict[str, Any] = answer["result"]
        return found

    def _next(self) -> dict[str, Any]:
        got = bytearray()
        while (byte := self._receive.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser is gone")
            got += byte
        message: dict[str, Any] = json.loads(got)
        return message


@contextmanager
def tab(program: str) -> Iterator[Tab]:
    """A new browser without history or caches, and a page of it; both end with the block."""
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'  # where the browser reads and writes
        process = subprocess.Popen(
            ["sh", "-c", script, "sh", program, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        with os.fdopen(ours_out, "wb") as send, os.fdopen(ours_in, "rb") as receive:
            try:
                yield Tab(send, receive)
            finally:
                process.terminate()
                process.wait()
