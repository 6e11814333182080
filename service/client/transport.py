"""Requests and their answers: retries, streams that go on, refusals as errors."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from service.client.errors import KINDS, BusyError, ClientError, UnreachableError
from service.client.sse import Message, messages

_TRIES = 4
_WAIT_S = 0.5
_BASE = "/api/v1"


class Transport:
    """A connection to one server under one token."""

    def __init__(self, server: str, token: str, timeout_s: float) -> None:
        self.server = server
        self._http = httpx2.Client(
            base_url=server + _BASE,
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_s,
        )

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def posted(self, path: str, body: dict[str, Any], key: str | None) -> dict[str, Any]:
        """A post under a key, sent again while no answer comes."""
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        for again in range(_TRIES):
            try:
                return self.object("POST", path, json=body, headers=headers)
            except UnreachableError:
                if again == _TRIES - 1:
                    raise
                time.sleep(_WAIT_S * 2**again)
        raise AssertionError("unreachable")

    def json(self, method: str, path: str, **options: Any) -> Any:
        """An answer's JSON."""
        answer = self.answer(method, path, **options)
        try:
            return answer.json()
        except ValueError:
            raise self._foreign(answer) from None

    def object(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """An answer that is a JSON object."""
        found: dict[str, Any] = self.json(method, path, **options)
        return found

    def list(self, method: str, path: str, **options: Any) -> list[dict[str, Any]]:
        """An answer that is a JSON list."""
        found: list[dict[str, Any]] = self.json(method, path, **options)
        return found

    def answer(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """The answer to a request.

        Raises:
            ClientError: a refusal, by its class; or no answer.
        """
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None
        self._raise(answer)
        return answer

    def save(self, path: str, target: Path, params: dict[str, str] | None = None) -> None:
        """Writes an answer to a file, which is there whole, or not at all."""
        temporary = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
        try:
            with self._http.stream("GET", path, params=params) as answer:
                if answer.status_code >= 400:
                    answer.read()
                self._raise(answer)
                with temporary.open("wb") as file:
                    for chunk in answer.iter_bytes():
                        file.write(chunk)
            temporary.replace(target)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None
        finally:
            temporary.unlink(missing_ok=True)

    def stream(self, path: str, after: int, params: dict[str, str]) -> Iterator[Message]:
        """Messages until the server says that it was the last.

        A connection that brings nothing new, breaks, or is told to come later is made again, a
        few times in a row.
        """
        failures = 0
        while True:
            why: ClientError = UnreachableError(f"{self.server} ends a stream that has no end")
            failures += 1
            try:
                for message in self._messages(path, after, params):
                    if message.kind == "end":
                        return
                    failures = 0
                    after = after if message.id is None else message.id
                    yield message
            except httpx2.HTTPError as error:
                why = self._unreachable(error)
            except BusyError as error:
                why = error
            if failures >= _TRIES:
                raise why from None
            time.sleep(_WAIT_S * 2**failures)

    def _messages(self, path: str, after: int, params: dict[str, str]) -> Iterator[Message]:
        """What one connection brings."""
        headers = {"Last-Event-ID": str(after)} if after >= 0 else {}
        timeout = httpx2.Timeout(30.0, read=60.0)
        with self._http.stream(
            "GET", path, params=params, headers=headers, timeout=timeout
        ) as answer:
            if answer.status_code >= 400:
                answer.read()
            self._raise(answer)
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise self._foreign(answer)
            yield from messages(answer.iter_lines())

    def _foreign(self, answer: httpx2.Response) -> ClientError:
        return ClientError(
            f"{self.server} answers {answer.status_code} with something that is none of ours; "
            "is it the address of a stairprune server?",
            answer.status_code,
        )

    def _unreachable(self, error: Exception) -> UnreachableError:
        text = str(error) or type(error).__name__
        return UnreachableError(f"{self.server} does not answer: {text}")

    def _raise(self, answer: httpx2.Response) -> None:
        if answer.status_code < 400:
            return
        try:
            told = answer.json()["error"]
            message, field = str(told["message"]), told.get("field")
        except (ValueError, KeyError, TypeError, AttributeError):
            message, field = f"the server answers {answer.status_code}", None
        kind = KINDS.get(answer.status_code, ClientError)
        raise kind(message, answer.status_code, field)
