"""What a server is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the API answers.

    Attributes:
        hosts: names under which it may be asked; any other Host is refused (DNS rebinding).
        secure: cookies go over HTTPS only.
        most_body: bytes of a request's body.
        most_table: the same of an uploaded table.
        session_s: seconds that a browser stays signed in.
        most_streams: event and log streams at a time.
        poll_s: seconds between two looks at the store for a stream.
        studies: storage that optuna-dashboard shows; None: it is not part of the page.
        threads: requests that are worked on at a time; more would only wait for each other in the
            interpreter and the database, each a little of everybody's time.
    """

    hosts: tuple[str, ...] = LOOPBACK
    secure: bool = False
    most_body: int = 1 << 20
    most_table: int = 32 << 20
    session_s: float = 7 * 24 * 3600.0
    most_streams: int = 200
    poll_s: float = 0.5
    threads: int = 8
    studies: str | None = None


def host_of(netloc: str) -> str:
    """The name in a Host header or URL authority, without port, user and brackets; lower case."""
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""
